//! The server and other processes: away, back, killed.

use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use car_core::Failure;
use car_core::failure::{Effect, Retry};
use car_core::tasks::{Outcome, Schedule, Status, TaskEngine, TaskError, TaskSpec};
use car_temporal::{Address, TaskWorkflow, TemporalEngine, TemporalOptions};
use temporalio_client::WorkflowDescribeOptions;

use crate::support::{
    Other, Own, PATIENCE, be_other, client, free_port, options, program, say, server, soon, unique,
};
use crate::tasks::support::{CONNECTOR, id, named, steps};

/// Children of a step: enough that a process can be killed before all are scheduled.
const MANY: usize = 200;

/// Makes a child whose turn does not come.
fn later(number: usize) -> TaskSpec {
    let hour = Duration::from_secs(3600);
    spec(&format!("child {number}")).schedule(Schedule::after(hour))
}

/// The test that is another process.
const OTHER: &str = "server::other";

fn spec(name: &str) -> TaskSpec {
    TaskSpec::new(named(name))
}

async fn until_terminated(engine: &TemporalEngine, name: &str) -> car_core::tasks::TaskView {
    soon(async {
        loop {
            // The server may be on its way back.
            match engine.task(CONNECTOR, &id(name)).await {
                Ok(view) if view.status == Status::Terminated => return view,
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_told_at_the_start() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let address: Address = format!("temporal://127.0.0.1:{port}").parse().unwrap();
    let error = TemporalEngine::connect(&address, TemporalOptions::default()).await;
    let error = error.unwrap_err();
    assert!(matches!(error, TaskError::Server { .. }), "{error}");
    let failure = Failure::from(error);
    let text = failure.chain().join(": ");
    assert!(text.contains(&format!("127.0.0.1:{port}")), "{text}");
    assert_eq!(failure.retry(), Retry::Backoff);
    assert!(failure.hints().any(|hint| hint.contains("namespace")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_namespace_that_is_not_there_is_told_at_the_start() {
    let Some(address) = server() else { return };
    let nowhere = address.to_string().replace("/default", "/nowhere");
    let nowhere: Address = nowhere.parse().unwrap();
    let error = TemporalEngine::connect(&nowhere, options(&unique())).await;
    let text = Failure::from(error.unwrap_err()).chain().join(": ");
    assert!(text.contains("nowhere"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_past_is_left_behind_and_nothing_else() {
    let Some(address) = server() else { return };
    let prefix = unique();
    let mut options = options(&prefix);
    options.history = 60;
    let engine = TemporalEngine::connect(&address, options).await.unwrap();
    let work = steps(|step| async move {
        let count = step.state::<u64>()? + 1;
        assert_eq!((count, step.run), (step.number, 1));
        let outcome = match count {
            40 => Outcome::done(),
            _ => Outcome::again(),
        };
        outcome.with_state(&count)
    });
    engine.start(CONNECTOR, 1, work).await.unwrap();
    engine.run(CONNECTOR, spec("long"), PATIENCE).await.unwrap();
    let view = engine.task(CONNECTOR, &id("long")).await.unwrap();
    assert_eq!((view.runs, view.state), (1, Some(40.into())));
    let workflow = format!("{prefix}/{CONNECTOR}/{}", id("long"));
    let client = client(&address).await;
    let handle = client.get_workflow_handle::<TaskWorkflow>(workflow);
    let described = handle.describe(WorkflowDescribeOptions::default()).await;
    let events = described.unwrap().history_length();
    assert!(events < 100, "{events}");
    engine.close().await.unwrap();
}

#[test]
#[ignore = "the tests here start it as a process of its own"]
fn other() {
    be_other(async |what, address, prefix| {
        let engine = TemporalEngine::connect(&address, failover(&prefix)).await;
        let engine = engine.unwrap();
        if what == "spawn" {
            let work = steps(|_| async { Ok(Outcome::done().spawn_all((0..MANY).map(later))) });
            engine.start(CONNECTOR, 1, work).await.unwrap();
            engine.schedule(CONNECTOR, spec("task")).await.unwrap();
        } else {
            let work = steps(|step| async move {
                if step.number == 1 {
                    return Outcome::again().with_state(&"of the first process");
                }
                say("at work");
                std::future::pending().await
            });
            engine.start(CONNECTOR, 1, work).await.unwrap();
        }
        std::future::pending::<()>().await;
    });
}

fn failover(prefix: &str) -> TemporalOptions {
    TemporalOptions {
        heartbeat: Duration::from_secs(3),
        ..options(prefix)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_of_a_process_that_is_killed_go_on_in_another() {
    let Some(address) = server() else { return };
    let prefix = unique();
    let engine = TemporalEngine::connect(&address, failover(&prefix))
        .await
        .unwrap();
    let place = format!("{address} {prefix}");
    let mut other = Other::start(OTHER, "work", Path::new(&place)).await;
    engine.schedule(CONNECTOR, spec("task")).await.unwrap();
    assert_eq!(other.says().await.as_deref(), Some("at work"));
    let work = steps(|step| async move {
        assert_eq!((step.number, step.attempt), (2, 1));
        assert_eq!(step.state::<String>()?, "of the first process");
        Outcome::done().with_state(&"of the second")
    });
    engine.start(CONNECTOR, 1, work).await.unwrap();
    other.kill().await;
    let view = until_terminated(&engine, "task").await;
    assert_eq!((view.runs, view.state), (1, Some("of the second".into())));
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn children_that_a_killed_process_was_scheduling_are_scheduled_by_another() {
    let Some(address) = server() else { return };
    let prefix = unique();
    let client = client(&address).await;
    let place = format!("{address} {prefix}");
    let other = Other::start(OTHER, "spawn", Path::new(&place)).await;
    let first = format!("{prefix}/{CONNECTOR}/{}", id("child 0"));
    let first = client.get_workflow_handle::<TaskWorkflow>(first);
    soon(async {
        while first
            .describe(WorkflowDescribeOptions::default())
            .await
            .is_err()
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    other.kill().await;
    let engine = TemporalEngine::connect(&address, failover(&prefix))
        .await
        .unwrap();
    engine
        .start(CONNECTOR, 1, steps(|_| async { Ok(Outcome::done()) }))
        .await
        .unwrap();
    let view = until_terminated(&engine, "task").await;
    assert_eq!(view.runs, 1);
    soon(async {
        for number in 0..MANY {
            let child = id(&format!("child {number}"));
            while engine.task(CONNECTOR, &child).await.is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    })
    .await;
    engine.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_away_is_told_and_nothing_is_lost_when_it_is_back() {
    let Some(program) = program() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let first = Own::start(&program, folder.path(), port).await;
    let address: Address = format!("temporal://127.0.0.1:{port}").parse().unwrap();
    let options = TemporalOptions {
        call: Duration::from_secs(3),
        heartbeat: Duration::from_secs(5),
        ..options(&unique())
    };
    let engine = soon(async {
        loop {
            // It takes connections before it knows its namespace.
            match TemporalEngine::connect(&address, options.clone()).await {
                Ok(engine) => return engine,
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    })
    .await;
    let gate = std::sync::Arc::new(tokio::sync::Semaphore::new(0));
    let door = std::sync::Arc::clone(&gate);
    let work = steps(move |step| {
        let door = std::sync::Arc::clone(&door);
        async move {
            let count = step.state::<u64>()? + 1;
            if count == 3 {
                door.acquire().await.unwrap().forget();
                return Outcome::done().with_state(&count);
            }
            Outcome::again().with_state(&count)
        }
    });
    engine.start(CONNECTOR, 1, work).await.unwrap();
    engine.schedule(CONNECTOR, spec("task")).await.unwrap();
    soon(async {
        while engine.task(CONNECTOR, &id("task")).await.unwrap().state != Some(2.into()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    first.kill();
    let error = engine.schedule(CONNECTOR, spec("other")).await.unwrap_err();
    assert!(
        matches!(
            error,
            TaskError::Server {
                effect: Effect::Unknown,
                ..
            }
        ),
        "{error:?}"
    );
    assert!(engine.health().await.trouble.is_some());
    gate.add_permits(5);
    let second = Own::start(&program, folder.path(), port).await;
    let view = until_terminated(&engine, "task").await;
    assert_eq!((view.runs, view.state), (1, Some(3.into())));
    engine
        .run(CONNECTOR, spec("after"), PATIENCE)
        .await
        .unwrap();
    assert_eq!(engine.health().await.trouble, None);
    second.kill();
}
