//! Processes that are killed while they work on tasks, or cannot write any more.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use car_core::Failure;
use car_core::tasks::{
    Outcome, Policy, Resolve, SqliteEngine, Status, TaskEngine, TaskError, TaskSpec,
};

use super::support::{CONNECTOR, id, named, steps, word};
use crate::support::{Other, PATIENCE, say, soon};

/// The test that is another process.
const OTHER: &str = "tasks::processes::other";
const ROUNDS: u64 = 40;
const TASKS: [&str; 3] = ["a", "b", "c"];

#[test]
#[ignore = "the other tests here start it as a process of its own"]
fn other() {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let (task, folder) = line.trim_end().split_once(' ').unwrap();
    runtime.block_on(async {
        match task {
            "work" => work(Path::new(folder)).await,
            "fill" => fill(Path::new(folder)).await,
            _ => {}
        }
    });
}

async fn open(folder: &Path) -> Arc<dyn TaskEngine> {
    let engine = SqliteEngine::open(&folder.join("tasks.db")).await;
    Arc::new(engine.unwrap())
}

/// Writes a batch into a file of its own, which stands for a graph that takes the same batch
/// twice; only then comes the state.
fn batches(folder: &Path) -> Arc<dyn Resolve> {
    let folder = folder.to_owned();
    steps(move |step| {
        let folder = folder.clone();
        async move {
            let batch = step.state::<u64>()?;
            let name = folder.join(format!("{}-{batch}", word(&step)));
            let mut file = std::fs::File::create(name).unwrap();
            file.write_all(b"a batch").unwrap();
            say(&format!("{} {batch}", word(&step)));
            let next = batch + 1;
            let outcome = if next == ROUNDS {
                Outcome::done()
            } else {
                Outcome::again()
            };
            outcome.with_state(&next)
        }
    })
}

fn careless() -> Policy {
    // Killed far more often than a step that ends its process should be.
    let mut policy = Policy::default().waits(Duration::from_millis(1), Duration::from_millis(2));
    policy.crashes = 0;
    policy
}

async fn work(folder: &Path) {
    let engine = open(folder).await;
    engine.start(CONNECTOR, 4, batches(folder)).await.unwrap();
    for name in TASKS {
        let task = TaskSpec::new(named(name)).policy(careless());
        engine.schedule(CONNECTOR, task).await.unwrap();
    }
    for name in TASKS {
        while engine.task(CONNECTOR, &id(name)).await.unwrap().status == Status::Active {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
    engine.close().await.unwrap();
    say("done");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acceptance_07_killed_between_batch_and_state_nothing_is_lost_or_doubled() {
    let folder = tempfile::tempdir().unwrap();
    let mut said = 0_usize;
    for patience in [0, 1, 2, 3, 5, 8, 13, 4, 2, 1, 7, 10_000] {
        let mut other = Other::start(OTHER, "work", folder.path()).await;
        for _ in 0..patience {
            match other.says().await.as_deref() {
                None | Some("done") => break,
                Some(_) => said += 1,
            }
        }
        other.kill().await;
    }
    assert!(said >= TASKS.len() * ROUNDS as usize, "{said}");
    let engine = open(folder.path()).await;
    let mut expected = BTreeSet::new();
    for name in TASKS {
        let view = engine.task(CONNECTOR, &id(name)).await.unwrap();
        assert_eq!(
            (view.status, view.runs),
            (Status::Terminated, 1),
            "{view:?}"
        );
        assert_eq!(view.state, Some(ROUNDS.into()));
        expected.extend((0..ROUNDS).map(|batch| format!("{name}-{batch}")));
    }
    let found: BTreeSet<String> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.starts_with("tasks.db"))
        .collect();
    assert_eq!(found, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn acceptance_10_two_processes_never_work_on_one_store() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = Other::start(OTHER, "work", folder.path()).await;
    other.says().await.unwrap();
    let refused = SqliteEngine::open(&folder.path().join("tasks.db")).await;
    // It may have come to its end meanwhile, which is not what is tested here.
    if !matches!(refused, Err(TaskError::InUse { .. })) {
        while let Some(said) = other.says().await {
            assert_ne!(said, "a 0", "{refused:?}");
        }
    }
    drop(refused);
    other.kill().await;
    // The dead one is known to be dead at once.
    let engine = open(folder.path()).await;
    engine.close().await.unwrap();
}

/// Grows the state until the disk is full, then says what happens and waits for room.
async fn fill(folder: &Path) {
    let engine = open(folder).await;
    let large = steps(|step| async move {
        let mut text: String = step.state()?;
        text.push_str(&"x".repeat(4000));
        Outcome::again().with_state(&text)
    });
    engine.start(CONNECTOR, 1, large).await.unwrap();
    engine
        .schedule(CONNECTOR, TaskSpec::new(named("grows")))
        .await
        .unwrap();
    loop {
        if let Some(trouble) = engine.health().await.trouble {
            say(&trouble);
            break;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // Whoever asks is told, and nothing hangs.
    let asked = engine
        .schedule(CONNECTOR, TaskSpec::new(named("other")))
        .await;
    let failure = Failure::from(asked.unwrap_err());
    say(&failure.chain().join(": "));
    let hints: Vec<&str> = failure.hints().collect();
    say(&hints.join("; "));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_nothing_can_be_written_any_more_tasks_wait_and_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut other = Other::start_limited(1200, OTHER, "fill", folder.path()).await;
    for _ in 0..2 {
        let said = other.says().await.unwrap();
        assert!(
            said.starts_with("the task store cannot be written"),
            "{said}"
        );
    }
    let hints = other.says().await.unwrap();
    assert!(hints.contains("tasks go on by themselves"), "{hints}");
    other.kill().await;

    let engine = open(folder.path()).await;
    let whole = steps(|step| async move {
        let text: String = step.state()?;
        assert!(text.len().is_multiple_of(4000) && text.chars().all(|c| c == 'x'));
        Ok(Outcome::done())
    });
    engine.start(CONNECTOR, 1, whole).await.unwrap();
    soon(async {
        while engine.task(CONNECTOR, &id("grows")).await.unwrap().status == Status::Active {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    let view = engine.task(CONNECTOR, &id("grows")).await.unwrap();
    assert_eq!(view.status, Status::Terminated, "{view:?}");
    engine
        .run(CONNECTOR, TaskSpec::new(named("more")), PATIENCE)
        .await
        .unwrap();
}
