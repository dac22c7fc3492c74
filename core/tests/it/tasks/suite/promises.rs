//! What an engine promises to authors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use car_core::failure::Retry;
use car_core::tasks::{
    Activity, MOST_CHILDREN, Outcome, Recurring, Restart, Schedule, ScheduleEffect, Status,
    TaskDescriptor, TaskError, TaskId, TaskSpec,
};

use super::super::support::{
    CONNECTOR, Log, Place, blip, id, named, quick, status, steps, unclassified, until, word,
};
use crate::support::PATIENCE;

fn spec(name: &str) -> TaskSpec {
    TaskSpec::new(named(name)).policy(quick())
}

pub(crate) async fn a_recurring_task_that_fails_for_ever_is_paused_and_says_why(
    place: &impl Place,
) {
    let engine = place.open().await;
    let work = steps(|_| async { Err::<Outcome, _>(unclassified()) });
    engine.start(CONNECTOR, 1, work).await.unwrap();
    let often = Recurring::period(Duration::from_millis(10)).unwrap();
    let task = spec("poll")
        .schedule(Schedule::Every(often))
        .policy(quick().pause_after(3));
    engine.schedule(CONNECTOR, task).await.unwrap();
    let view = status(&engine, "poll", Status::Paused).await;
    assert_eq!(view.failed_runs, 3);
    let reason = view.reason.unwrap();
    assert!(
        reason.starts_with("paused after 3 failed runs in a row"),
        "{reason}"
    );
    assert_eq!(view.error.as_deref(), Some("something went wrong"));
    assert!(matches!(
        engine.retry(CONNECTOR, &id("poll")).await,
        Err(TaskError::NotNow { .. })
    ));
    engine.resume(CONNECTOR, &id("poll")).await.unwrap();
    until(&engine, "poll", |view| {
        view.status == Status::Paused && view.runs == 6
    })
    .await;
}

pub(crate) async fn acceptance_11_the_order_of_keys_does_not_change_a_task(place: &impl Place) {
    let engine = place.open().await;
    engine
        .start(CONNECTOR, 1, steps(|_| async { Ok(Outcome::done()) }))
        .await
        .unwrap();
    let task = |text: &str| TaskSpec::new(TaskDescriptor::parse(text).unwrap());
    let one = task(r#"{"file": "a", "size": 1}"#);
    let one = engine.run(CONNECTOR, one, PATIENCE).await.unwrap();
    let other = task(r#"{ "size": 1.0, "file": "\u0061" }"#);
    let other = engine.schedule(CONNECTOR, other).await.unwrap();
    assert_eq!((other.id, other.effect), (one.id, ScheduleEffect::Ended));
    let page = engine.tasks(CONNECTOR, &Default::default()).await.unwrap();
    assert_eq!(page.tasks.len(), 1);
}

pub(crate) async fn a_step_is_repeated_with_the_state_that_was_stored(place: &impl Place) {
    let log = Log::new();
    let pen = log.pen();
    let work = steps(move |step| {
        let count = step.state::<u32>().unwrap();
        pen.write(format!("{count} {} {}", step.number, step.attempt));
        async move {
            match (count, step.attempt) {
                (2, 1) => Err(blip()),
                (2, 2) => panic!("never mind"),
                (4, _) => Ok(Outcome::done()),
                _ => Outcome::again().with_state(&(count + 1)),
            }
        }
    });
    let engine = place.open().await;
    engine.start(CONNECTOR, 1, work).await.unwrap();
    let ended = engine.run(CONNECTOR, spec("count"), PATIENCE).await;
    assert!(matches!(ended, Err(TaskError::Failed(_))), "{ended:?}");
    engine.retry(CONNECTOR, &id("count")).await.unwrap();
    // The retry begins with the state there is, and the same blip comes first.
    status(&engine, "count", Status::Failed).await;
    let expected = ["0 1 1", "1 2 1", "2 3 1", "2 3 2", "2 1 1", "2 1 2"];
    until(&engine, "count", |view| {
        view.runs == 2 && view.status == Status::Failed
    })
    .await;
    assert_eq!(log.all(), expected);
}

pub(crate) async fn the_other_side_says_when_to_try_again(place: &impl Place) {
    let work = steps(|step| async move {
        match step.attempt {
            1 => Err(blip().with_retry(Retry::After(Duration::from_secs(700)))),
            _ => Ok(Outcome::done()),
        }
    });
    let engine = place.open().await;
    engine.start(CONNECTOR, 1, work).await.unwrap();
    engine.schedule(CONNECTOR, spec("throttled")).await.unwrap();
    let view = until(&engine, "throttled", |view| view.attempts == 1).await;
    let now = place.clock().now_ms();
    assert!(view.next.unwrap() > now + 600_000);
    let history = engine.history(CONNECTOR, &id("throttled")).await.unwrap();
    assert_eq!(history.attempts[0].wait, Some(700_000));
    place.clock().pass(Duration::from_secs(700));
    status(&engine, "throttled", Status::Terminated).await;
}

pub(crate) async fn a_step_that_does_not_listen_is_cut_off(place: &impl Place) {
    let engine = place.open().await;
    let work = steps(|_| std::future::pending());
    engine.start(CONNECTOR, 1, work).await.unwrap();
    let policy = quick().grace(Duration::from_millis(10));
    engine
        .schedule(CONNECTOR, spec("deaf").policy(policy))
        .await
        .unwrap();
    until(&engine, "deaf", |view| view.activity == Activity::Running).await;
    engine.stop(CONNECTOR, &id("deaf")).await.unwrap();
    until(&engine, "deaf", |view| view.activity == Activity::None).await;
    engine.close().await.unwrap();
}

pub(crate) async fn a_flood_of_children_is_refused(place: &impl Place) {
    let many = place.many();
    let work = steps(move |step| async move {
        let count = match word(&step).as_str() {
            "flood" => MOST_CHILDREN + 1,
            "many" => many,
            _ => 0,
        };
        let children = (0..count).map(|number| spec(&format!("child {number}")));
        Ok(Outcome::done().spawn_all(children))
    });
    let engine = place.open().await;
    engine.start(CONNECTOR, 4, work).await.unwrap();
    engine.schedule(CONNECTOR, spec("flood")).await.unwrap();
    let view = status(&engine, "flood", Status::Failed).await;
    let error = view.error.unwrap();
    assert!(
        error.contains("spawns 1001 children, and may spawn 1000"),
        "{error}"
    );
    engine.run(CONNECTOR, spec("many"), PATIENCE).await.unwrap();
    let last = format!("child {}", many - 1);
    status(&engine, &last, Status::Terminated).await;
}

pub(crate) async fn a_task_cannot_wait_for_itself(place: &impl Place) {
    let work = steps(|step| async move {
        let wait = |name| {
            let child = spec(name).schedule(Schedule::NowAndWait);
            Ok(Outcome::again().spawn(child.restart(Restart::IfNotActive)))
        };
        match (word(&step).as_str(), step.number) {
            ("one", 1) => wait("two"),
            ("two", 1) => wait("three"),
            ("three", 1) => wait("one"),
            _ => Ok(Outcome::done()),
        }
    });
    let engine = place.open().await;
    engine.start(CONNECTOR, 4, work).await.unwrap();
    engine.run(CONNECTOR, spec("one"), PATIENCE).await.unwrap();
    let three = status(&engine, "three", Status::Failed).await;
    assert!(three.error.unwrap().contains("would wait for itself"));
}

pub(crate) async fn whoever_runs_a_task_learns_how_it_ended(place: &impl Place) {
    let tried = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&tried);
    let work = steps(move |step| {
        let count = Arc::clone(&count);
        async move {
            match word(&step).as_str() {
                "badly" => Err(unclassified()),
                "late" => std::future::pending().await,
                _ if count.fetch_add(1, Ordering::SeqCst) < 2 => Err(blip()),
                _ => Ok(Outcome::done()),
            }
        }
    });
    let engine = place.open().await;
    engine.start(CONNECTOR, 4, work).await.unwrap();
    engine
        .run(CONNECTOR, spec("shaky"), PATIENCE)
        .await
        .unwrap();
    let failed = engine.run(CONNECTOR, spec("badly"), PATIENCE).await;
    assert!(matches!(failed, Err(TaskError::Failed(text)) if text == "something went wrong"));
    let patience = Duration::from_millis(10);
    let late = engine.run(CONNECTOR, spec("late"), patience).await;
    assert!(matches!(late, Err(TaskError::TooLate(_))));
    until(&engine, "late", |view| view.activity == Activity::Running).await;
    engine.stop(CONNECTOR, &id("late")).await.unwrap();
}

pub(crate) async fn unknown_tasks_are_called_that(place: &impl Place) {
    let engine = place.open().await;
    engine.schedule(CONNECTOR, spec("task")).await.unwrap();
    let malformed = TaskId::from_text("'; DROP TABLE task; --");
    for (connector, task) in [
        (CONNECTOR, id("other")),
        ("other", id("task")),
        ("", malformed),
    ] {
        for answer in [
            engine.task(connector, &task).await,
            engine.retry(connector, &task).await,
            engine.pause(connector, &task).await,
            engine.resume(connector, &task).await,
            engine.stop(connector, &task).await,
            engine
                .history(connector, &task)
                .await
                .map(|history| history.task),
        ] {
            assert!(
                matches!(answer, Err(TaskError::NoTask { .. })),
                "{answer:?}"
            );
        }
    }
    assert!(engine.task(CONNECTOR, &id("task")).await.is_ok());
}
