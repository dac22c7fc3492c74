//! Pausing, stopping, halting and forgetting; lists.

use std::sync::Arc;
use std::time::Duration;

use car_core::tasks::{
    Activity, Listing, Outcome, Restart, RunOutcome, Schedule, Status, TaskError, TaskSpec,
};
use tokio::sync::Semaphore;

use super::super::support::{
    CONNECTOR, Log, Place, id, named, quick, status, steps, unclassified, until, word,
};
use crate::support::PATIENCE;

fn spec(name: &str) -> TaskSpec {
    TaskSpec::new(named(name)).policy(quick())
}

pub(crate) async fn pausing_lets_the_step_end_and_resuming_goes_on(place: &impl Place) {
    let log = Log::new();
    let pen = log.pen();
    let gate = Arc::new(Semaphore::new(0));
    let door = Arc::clone(&gate);
    let work = steps(move |step| {
        let (pen, door) = (pen.clone(), Arc::clone(&door));
        async move {
            pen.write(format!("step {}", step.number));
            door.acquire().await.unwrap().forget();
            let outcome = if step.number == 3 {
                Outcome::done()
            } else {
                Outcome::again()
            };
            outcome.with_state(&step.number)
        }
    });
    let engine = place.open().await;
    engine.start(CONNECTOR, 1, Arc::clone(&work)).await.unwrap();
    engine.schedule(CONNECTOR, spec("task")).await.unwrap();
    assert_eq!(log.next().await, "step 1");
    let paused = engine.pause(CONNECTOR, &id("task")).await.unwrap();
    assert_eq!(
        (paused.status, paused.activity),
        (Status::Paused, Activity::Running)
    );
    gate.add_permits(1);
    let view = until(&engine, "task", |view| view.activity == Activity::None).await;
    assert_eq!((view.status, view.state), (Status::Paused, Some(1.into())));
    engine.close().await.unwrap();

    let engine = place.open().await;
    engine.start(CONNECTOR, 1, work).await.unwrap();
    let still = engine.task(CONNECTOR, &id("task")).await.unwrap();
    assert_eq!(still.status, Status::Paused);
    engine.resume(CONNECTOR, &id("task")).await.unwrap();
    assert_eq!(log.next().await, "step 2");
    gate.add_permits(2);
    let view = status(&engine, "task", Status::Terminated).await;
    assert_eq!((view.runs, view.state), (1, Some(3.into())));
    assert_eq!(log.all(), ["step 1", "step 2", "step 3"]);
}

pub(crate) async fn stopping_a_task_ends_its_step_and_retrying_starts_it_again(place: &impl Place) {
    let log = Log::new();
    let pen = log.pen();
    let work = steps(move |step| {
        pen.write(word(&step));
        async move {
            if step.run == 2 {
                return Ok(Outcome::done());
            }
            step.cancel.cancelled().await;
            // Too late to count.
            Outcome::done().with_state(&"stopped")
        }
    });
    let engine = place.open().await;
    engine.start(CONNECTOR, 1, work).await.unwrap();
    engine.schedule(CONNECTOR, spec("task")).await.unwrap();
    log.next().await;
    engine.stop(CONNECTOR, &id("task")).await.unwrap();
    let view = until(&engine, "task", |view| view.activity == Activity::None).await;
    assert_eq!((view.status, view.state), (Status::Stopped, None));
    assert!(matches!(
        engine.stop(CONNECTOR, &id("task")).await,
        Err(TaskError::NotNow { .. })
    ));
    engine.retry(CONNECTOR, &id("task")).await.unwrap();
    status(&engine, "task", Status::Terminated).await;
    let history = engine.history(CONNECTOR, &id("task")).await.unwrap();
    let outcomes: Vec<RunOutcome> = history.runs.iter().map(|run| run.outcome).collect();
    assert_eq!(outcomes, [RunOutcome::Done, RunOutcome::Stopped]);
}

pub(crate) async fn halting_a_connector_gives_steps_their_grace(place: &impl Place) {
    let log = Log::new();
    let pen = log.pen();
    let work = steps(move |step| {
        pen.write(word(&step));
        async move {
            step.cancel.cancelled().await;
            match word(&step).as_str() {
                "polite" => Outcome::again().with_state(&"saved"),
                _ => std::future::pending().await,
            }
        }
    });
    let engine = place.open().await;
    engine.start(CONNECTOR, 2, work).await.unwrap();
    engine.schedule(CONNECTOR, spec("polite")).await.unwrap();
    engine.schedule(CONNECTOR, spec("deaf")).await.unwrap();
    log.next().await;
    log.next().await;
    engine.halt(CONNECTOR).await.unwrap();
    let polite = engine.task(CONNECTOR, &id("polite")).await.unwrap();
    assert_eq!(
        polite.state,
        Some("saved".into()),
        "what is done in time counts"
    );
    for name in ["polite", "deaf"] {
        let view = engine.task(CONNECTOR, &id(name)).await.unwrap();
        assert_eq!(
            (view.status, view.activity),
            (Status::Active, Activity::Due),
            "{name}"
        );
        assert_eq!(
            (view.error, view.attempts),
            (None, 0),
            "{name}: nothing failed"
        );
    }
    // They go on with what the connector is now.
    let now = steps(|_| async { Ok(Outcome::done()) });
    engine.start(CONNECTOR, 2, now).await.unwrap();
    status(&engine, "polite", Status::Terminated).await;
    status(&engine, "deaf", Status::Terminated).await;
}

pub(crate) async fn a_connector_is_forgotten_with_all_of_its_tasks(place: &impl Place) {
    let log = Log::new();
    let pen = log.pen();
    let work = steps(move |step| {
        pen.write(word(&step));
        async move {
            step.cancel.cancelled().await;
            Err(step.interrupted())
        }
    });
    let engine = place.open().await;
    engine.start(CONNECTOR, 1, Arc::clone(&work)).await.unwrap();
    engine.start("other", 1, work).await.unwrap();
    engine.schedule(CONNECTOR, spec("task")).await.unwrap();
    engine.schedule("other", spec("task")).await.unwrap();
    log.next().await;
    log.next().await;
    engine.forget(CONNECTOR).await.unwrap();
    assert!(engine.task(CONNECTOR, &id("task")).await.is_err());
    let other = named("task").id("other");
    let view = engine.task("other", &other).await.unwrap();
    assert_eq!(view.activity, Activity::Running, "others are not touched");
    // The name is free again, and begins with nothing.
    let anew = steps(|step| async move {
        assert_eq!(step.state::<Option<String>>().unwrap(), None);
        Ok(Outcome::done())
    });
    engine.start(CONNECTOR, 1, anew).await.unwrap();
    engine.run(CONNECTOR, spec("task"), PATIENCE).await.unwrap();
    engine.forget("never was").await.unwrap();
    engine.close().await.unwrap();
}

pub(crate) async fn lists_are_paged_and_filtered(place: &impl Place) {
    let work = steps(|step| async move {
        match word(&step).as_str() {
            "root" => {
                let names = (0..5).map(|number| spec(&format!("child {number}")));
                Ok(Outcome::done().spawn_all(names))
            }
            "child 3" => Err(unclassified()),
            _ => Ok(Outcome::done()),
        }
    });
    let engine = place.open().await;
    engine.start(CONNECTOR, 1, work).await.unwrap();
    engine.run(CONNECTOR, spec("root"), PATIENCE).await.unwrap();
    status(&engine, "child 3", Status::Failed).await;
    status(&engine, "child 4", Status::Terminated).await;
    let mut listing = Listing {
        limit: Some(4),
        ..Listing::default()
    };
    let mut names = Vec::new();
    loop {
        let page = engine.tasks(CONNECTOR, &listing).await.unwrap();
        assert!(page.tasks.len() <= 4);
        names.extend(page.tasks.into_iter().map(|task| task.name));
        listing.after = page.next;
        if listing.after.is_none() {
            break;
        }
    }
    let latest_first = [
        "child 4", "child 3", "child 2", "child 1", "child 0", "root",
    ];
    assert_eq!(names, latest_first);
    let listed = async |listing: Listing| -> Vec<String> {
        let page = engine.tasks(CONNECTOR, &listing).await.unwrap();
        page.tasks.into_iter().map(|task| task.name).collect()
    };
    let failed = Listing {
        status: Some(Status::Failed),
        ..Listing::default()
    };
    assert_eq!(listed(failed).await, ["child 3"]);
    let roots = Listing {
        roots: true,
        ..Listing::default()
    };
    assert_eq!(listed(roots).await, ["root"]);
    let children = Listing {
        parent: Some(id("root")),
        ..Listing::default()
    };
    assert_eq!(listed(children).await, &latest_first[..5]);
    let nonsense = Listing {
        after: Some("nonsense".to_owned()),
        limit: Some(0),
        ..Listing::default()
    };
    assert!(listed(nonsense).await.is_empty());
}

pub(crate) async fn steps_take_turns_when_workers_are_few(place: &impl Place) {
    let log = Log::new();
    let pen = log.pen();
    let work = steps(move |step| {
        pen.write(word(&step));
        async move {
            Ok(match (word(&step).as_str(), step.number) {
                ("endless", ..50) => Outcome::again(),
                _ => Outcome::done(),
            })
        }
    });
    let engine = place.open().await;
    engine.schedule(CONNECTOR, spec("endless")).await.unwrap();
    for name in ["a", "b", "c"] {
        engine.schedule(CONNECTOR, spec(name)).await.unwrap();
    }
    let later = spec("later")
        .schedule(Schedule::At(i64::MAX))
        .restart(Restart::Never);
    engine.schedule(CONNECTOR, later).await.unwrap();
    place.clock().pass(Duration::from_millis(5));
    engine.start(CONNECTOR, 1, work).await.unwrap();
    status(&engine, "endless", Status::Terminated).await;
    let first: Vec<String> = log.all().into_iter().take(4).collect();
    assert_eq!(
        first,
        ["endless", "a", "b", "c"],
        "no task takes the worker for itself"
    );
    let later = engine.task(CONNECTOR, &id("later")).await.unwrap();
    assert_eq!(later.activity, Activity::Waiting);
}
