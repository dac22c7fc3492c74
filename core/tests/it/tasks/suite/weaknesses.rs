//! The weaknesses of the framework before this one, one test each. Those of installing and of
//! the HTTP interface are tested with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use car_core::failure::{Failure, FailureKind};
use car_core::tasks::{
    Activity, Outcome, Recurring, Restart, RunOutcome, Schedule, ScheduleEffect, Status, Task,
    TaskDescriptor, TaskSpec,
};
use tokio::sync::Semaphore;

use super::super::support::{
    CONNECTOR, Log, Place, blip, id, named, quick, status, steps, unclassified, until, word,
};
use crate::support::{PATIENCE, soon};

fn spec(name: &str) -> TaskSpec {
    TaskSpec::new(named(name)).policy(quick())
}

pub(crate) async fn weakness_01_a_finished_task_is_not_run_again_and_its_state_is_kept(
    place: &impl Place,
) {
    let log = Log::new();
    let pen = log.pen();
    let work = steps(move |step| {
        pen.write(word(&step));
        async { Outcome::done().with_state(&"read") }
    });
    let engine = place.open().await;
    engine.start(CONNECTOR, 2, Arc::clone(&work)).await.unwrap();
    engine.run(CONNECTOR, spec("file"), PATIENCE).await.unwrap();
    let polled = engine.schedule(CONNECTOR, spec("file")).await.unwrap();
    assert_eq!(polled.effect, ScheduleEffect::Ended);
    engine.close().await.unwrap();

    let engine = place.open().await;
    engine.start(CONNECTOR, 2, work).await.unwrap();
    let polled = engine.schedule(CONNECTOR, spec("file")).await.unwrap();
    assert_eq!(polled.effect, ScheduleEffect::Ended);
    let active = spec("file").restart(Restart::IfNotActive);
    engine.run(CONNECTOR, active, PATIENCE).await.unwrap();
    let view = engine.task(CONNECTOR, &id("file")).await.unwrap();
    assert_eq!((view.status, view.runs), (Status::Terminated, 2));
    assert_eq!(view.state, Some("read".into()));
    assert_eq!(
        log.count("file"),
        2,
        "once by itself, once as was asked for"
    );
}

pub(crate) async fn weakness_02_scheduling_an_active_task_returns_at_once(place: &impl Place) {
    let log = Log::new();
    let pen = log.pen();
    let engine = place.open().await;
    let work = steps(move |step| {
        pen.write(word(&step));
        async move {
            step.cancel.cancelled().await;
            Err(step.interrupted())
        }
    });
    engine.start(CONNECTOR, 1, work).await.unwrap();
    engine.schedule(CONNECTOR, spec("long")).await.unwrap();
    log.next().await;
    for restart in [Restart::IfNotActive, Restart::Never] {
        let again = engine.schedule(CONNECTOR, spec("long").restart(restart));
        let again = soon(again).await.unwrap();
        assert_eq!(again.effect, ScheduleEffect::Active, "{restart:?}");
    }
    engine.close().await.unwrap();
}

pub(crate) async fn weakness_03_a_panic_is_a_failure_with_its_text(place: &impl Place) {
    let engine = place.open().await;
    let work = steps(|step| async move {
        match word(&step).as_str() {
            "panics" => panic!("index 7 is {}", "out of bounds"),
            _ => Ok(Outcome::done()),
        }
    });
    engine.start(CONNECTOR, 2, work).await.unwrap();
    engine.schedule(CONNECTOR, spec("panics")).await.unwrap();
    let view = status(&engine, "panics", Status::Failed).await;
    let error = view.error.unwrap();
    assert!(
        error.contains("panicked: index 7 is out of bounds"),
        "{error}"
    );
    // The others go on.
    engine.run(CONNECTOR, spec("well"), PATIENCE).await.unwrap();
}

pub(crate) async fn weakness_04_after_100_stops_and_restarts_one_run_is_alive(place: &impl Place) {
    let alive = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let engine = place.open().await;
    let (count, peak) = (Arc::clone(&alive), Arc::clone(&most));
    let work = steps(move |step| {
        let (count, peak) = (Arc::clone(&count), Arc::clone(&peak));
        async move {
            peak.fetch_max(count.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            step.cancel.cancelled().await;
            count.fetch_sub(1, Ordering::SeqCst);
            Err(step.interrupted())
        }
    });
    engine.start(CONNECTOR, 8, work).await.unwrap();
    let again = || spec("task").restart(Restart::StopAndRestart);
    for _ in 0..=100 {
        engine.schedule(CONNECTOR, again()).await.unwrap();
    }
    let one = |view: &car_core::tasks::TaskView| view.activity == Activity::Running;
    until(&engine, "task", one).await;
    soon(async {
        while alive.load(Ordering::SeqCst) != 1 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(most.load(Ordering::SeqCst), 1, "never two at a time");
    // It is known and can be stopped.
    engine.stop(CONNECTOR, &id("task")).await.unwrap();
    until(&engine, "task", |view| view.activity == Activity::None).await;
    assert_eq!(alive.load(Ordering::SeqCst), 0);
}

pub(crate) async fn weakness_05_always_never_makes_two_runs_at_a_time(place: &impl Place) {
    let log = Log::new();
    let pen = log.pen();
    let gate = Arc::new(Semaphore::new(0));
    let alive = Arc::new(AtomicUsize::new(0));
    let engine = place.open().await;
    let (door, count) = (Arc::clone(&gate), Arc::clone(&alive));
    let work = steps(move |step| {
        let (door, count, pen) = (Arc::clone(&door), Arc::clone(&count), pen.clone());
        async move {
            let others = count.fetch_add(1, Ordering::SeqCst);
            pen.write(format!("run {} beside {others}", step.run));
            door.acquire().await.unwrap().forget();
            count.fetch_sub(1, Ordering::SeqCst);
            Ok(Outcome::done())
        }
    });
    engine.start(CONNECTOR, 4, work).await.unwrap();
    let always = || spec("task").restart(Restart::Always);
    engine.schedule(CONNECTOR, always()).await.unwrap();
    assert_eq!(log.next().await, "run 1 beside 0");
    for _ in 0..5 {
        let again = engine.schedule(CONNECTOR, always()).await.unwrap();
        assert_eq!(again.effect, ScheduleEffect::Queued);
    }
    gate.add_permits(2);
    assert_eq!(log.next().await, "run 2 beside 0");
    let view = status(&engine, "task", Status::Terminated).await;
    assert_eq!(
        view.runs, 2,
        "one more run stands for all that were asked for"
    );
}

pub(crate) async fn weakness_06_a_changed_period_is_kept(place: &impl Place) {
    let hour = Duration::from_secs(3600);
    let every = |period| Schedule::Every(Recurring::period(period).unwrap().jitter(Duration::ZERO));
    let work = || steps(|_| async { Ok(Outcome::done()) });
    let engine = place.open().await;
    engine.start(CONNECTOR, 1, work()).await.unwrap();
    let slow = spec("poll").schedule(every(24 * hour));
    engine.schedule(CONNECTOR, slow).await.unwrap();
    let before = until(&engine, "poll", |view| {
        view.runs == 1 && view.activity == Activity::Waiting
    })
    .await;
    place.clock().pass(Duration::from_secs(1));
    let quick = spec("poll")
        .schedule(every(hour))
        .restart(Restart::IfNotActive);
    engine.schedule(CONNECTOR, quick).await.unwrap();
    let after = engine.task(CONNECTOR, &id("poll")).await.unwrap();
    assert!(after.updated_at > before.updated_at);
    let next = after.next.unwrap();
    let expected = place.clock().now_ms() + 3_600_000;
    assert!(
        (expected - 60_000..=expected).contains(&next),
        "{next} {expected}"
    );
    engine.close().await.unwrap();

    let engine = place.open().await;
    engine.start(CONNECTOR, 1, work()).await.unwrap();
    let kept = engine.task(CONNECTOR, &id("poll")).await.unwrap();
    assert_eq!(kept.schedule, every(hour));
    assert_eq!(kept.next, Some(next));
    place.clock().pass(hour);
    until(&engine, "poll", |view| {
        view.runs == 2 && view.activity == Activity::Waiting
    })
    .await;
}

pub(crate) async fn weakness_07_waits_grow_and_are_counted(place: &impl Place) {
    let engine = place.open().await;
    let work = steps(|step| async move {
        if step.attempt < 6 {
            Err(blip())
        } else {
            Ok(Outcome::done())
        }
    });
    engine.start(CONNECTOR, 1, work).await.unwrap();
    let policy = quick().waits(Duration::from_secs(60), Duration::from_secs(600));
    engine
        .schedule(CONNECTOR, spec("shaky").policy(policy))
        .await
        .unwrap();
    for attempts in 1..=5 {
        let view = until(&engine, "shaky", |view| view.attempts == attempts).await;
        assert_eq!(view.activity, Activity::Retrying, "it waits");
        assert_eq!(
            view.error.as_deref(),
            Some("the source is away"),
            "and says why"
        );
        place.clock().pass(Duration::from_secs(600));
    }
    status(&engine, "shaky", Status::Terminated).await;
    let history = engine.history(CONNECTOR, &id("shaky")).await.unwrap();
    let mut waits: Vec<i64> = history
        .attempts
        .iter()
        .map(|attempt| attempt.wait.unwrap())
        .collect();
    waits.reverse();
    assert!(waits[..4].is_sorted_by(|one, next| one < next), "{waits:?}");
    assert!(
        (450_000..=600_000).contains(&waits[4]),
        "the cap: {waits:?}"
    );
    assert_eq!(history.runs[0].failed_attempts, 5);
}

pub(crate) async fn weakness_08_a_blip_does_not_end_a_recurring_task_and_a_failed_one_can_be_retried(
    place: &impl Place,
) {
    let log = Log::new();
    let pen = log.pen();
    let work = steps(move |step| {
        pen.write(word(&step));
        async move {
            if step.run == 1 {
                Err(unclassified())
            } else {
                Ok(Outcome::done())
            }
        }
    });
    let engine = place.open().await;
    engine.start(CONNECTOR, 2, Arc::clone(&work)).await.unwrap();
    let hourly = Schedule::every(Duration::from_secs(3600)).unwrap();
    engine
        .schedule(CONNECTOR, spec("poll").schedule(hourly))
        .await
        .unwrap();
    engine.schedule(CONNECTOR, spec("once")).await.unwrap();
    let view = until(&engine, "poll", |view| view.failed_runs == 1).await;
    assert_eq!(view.status, Status::Active);
    assert_eq!(view.error.as_deref(), Some("something went wrong"));
    place.clock().pass(Duration::from_secs(4000));
    let view = until(&engine, "poll", |view| {
        view.runs == 2 && view.error.is_none()
    })
    .await;
    assert_eq!((view.status, view.failed_runs), (Status::Active, 0));
    status(&engine, "once", Status::Failed).await;
    engine.close().await.unwrap();

    let engine = place.open().await;
    engine.start(CONNECTOR, 2, work).await.unwrap();
    let failed = engine.task(CONNECTOR, &id("once")).await.unwrap();
    assert_eq!(failed.error.as_deref(), Some("something went wrong"));
    engine.retry(CONNECTOR, &id("once")).await.unwrap();
    status(&engine, "once", Status::Terminated).await;
    assert_eq!(
        log.count("once"),
        2,
        "the start alone does not run it again"
    );
}

pub(crate) async fn weakness_09_children_live_on_when_their_parent_is_restarted(
    place: &impl Place,
) {
    let log = Log::new();
    let pen = log.pen();
    let gate = Arc::new(Semaphore::new(0));
    let door = Arc::clone(&gate);
    let work = steps(move |step| {
        let (pen, door) = (pen.clone(), Arc::clone(&door));
        async move {
            pen.write(format!("{} {}", word(&step), step.run));
            match word(&step).as_str() {
                "parent" if step.number == 1 => Ok(Outcome::again().spawn(spec("child"))),
                "parent" => {
                    step.cancel.cancelled().await;
                    Err(step.interrupted())
                }
                _ => {
                    tokio::select! {
                        () = step.cancel.cancelled() => Err(step.interrupted()),
                        permit = door.acquire() => {
                            permit.unwrap().forget();
                            Ok(Outcome::done())
                        }
                    }
                }
            }
        }
    });
    let engine = place.open().await;
    engine.start(CONNECTOR, 4, work).await.unwrap();
    engine.schedule(CONNECTOR, spec("parent")).await.unwrap();
    let mut said = [log.next().await, log.next().await, log.next().await];
    said.sort();
    assert_eq!(said, ["child 1", "parent 1", "parent 1"]);
    let restart = spec("parent").restart(Restart::StopAndRestart);
    let restarted = engine.schedule(CONNECTOR, restart).await.unwrap();
    assert_eq!(restarted.effect, ScheduleEffect::Restarted);
    assert_eq!(log.next().await, "parent 2");
    engine.stop(CONNECTOR, &id("parent")).await.unwrap();
    gate.add_permits(1);
    let child = status(&engine, "child", Status::Terminated).await;
    assert_eq!(child.runs, 1, "it was not disturbed");
    assert_eq!(child.parent, Some(id("parent")));
}

pub(crate) async fn weakness_10_a_task_that_waits_for_its_child_holds_no_worker(
    place: &impl Place,
) {
    let work = steps(|step| async move {
        match (word(&step).as_str(), step.number) {
            ("parent", 1) => {
                let wait = |name| spec(name).schedule(Schedule::NowAndWait);
                Ok(Outcome::again().spawn(wait("well")).spawn(wait("badly")))
            }
            ("parent", _) => {
                let ends = step.waited.iter().map(|child| child.error.clone());
                Outcome::done().with_state(&ends.collect::<Vec<_>>())
            }
            ("badly", _) => Err(unclassified()),
            _ => Ok(Outcome::done()),
        }
    });
    let engine = place.open().await;
    // One worker for all three.
    engine.start(CONNECTOR, 1, work).await.unwrap();
    engine
        .run(CONNECTOR, spec("parent"), PATIENCE)
        .await
        .unwrap();
    let parent = engine.task(CONNECTOR, &id("parent")).await.unwrap();
    assert_eq!(
        parent.state,
        Some(serde_json::json!([null, "something went wrong"]))
    );
}

pub(crate) async fn weakness_13_a_descriptor_that_means_nothing_fails_once(place: &impl Place) {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let resolve = Arc::new(
        move |descriptor: &TaskDescriptor| -> Result<Arc<dyn Task>, Failure> {
            count.fetch_add(1, Ordering::SeqCst);
            match descriptor.as_str() {
                "\"panics\"" => panic!("no such thing"),
                text => Err(Failure::new(
                    FailureKind::General,
                    format!("{text} means nothing"),
                )),
            }
        },
    );
    let engine = place.open().await;
    engine.start(CONNECTOR, 2, resolve.clone()).await.unwrap();
    engine.schedule(CONNECTOR, spec("nothing")).await.unwrap();
    engine.schedule(CONNECTOR, spec("panics")).await.unwrap();
    let view = status(&engine, "nothing", Status::Failed).await;
    assert_eq!(view.error.as_deref(), Some("\"nothing\" means nothing"));
    let view = status(&engine, "panics", Status::Failed).await;
    assert!(view.error.unwrap().contains("no such thing"));
    engine.close().await.unwrap();

    let engine = place.open().await;
    engine.start(CONNECTOR, 2, resolve).await.unwrap();
    // Whatever were due would come before this one.
    let last = engine.run(CONNECTOR, spec("last"), PATIENCE).await;
    assert!(last.is_err());
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

pub(crate) async fn weakness_15_tasks_above_the_limit_wait_and_are_not_lost(place: &impl Place) {
    let log = Log::new();
    let pen = log.pen();
    let alive = Arc::new(AtomicUsize::new(0));
    let work = steps(move |step| {
        let (pen, alive) = (pen.clone(), Arc::clone(&alive));
        async move {
            let others = alive.fetch_add(1, Ordering::SeqCst);
            tokio::task::yield_now().await;
            alive.fetch_sub(1, Ordering::SeqCst);
            pen.write(if others > 1 {
                "crowded".to_owned()
            } else {
                word(&step)
            });
            Ok(Outcome::done())
        }
    });
    let engine = place.open().await;
    for number in 0..30 {
        engine
            .schedule(CONNECTOR, spec(&format!("task {number}")))
            .await
            .unwrap();
    }
    // Before the connector is there, they wait.
    let view = engine.task(CONNECTOR, &id("task 0")).await.unwrap();
    assert_eq!(view.activity, Activity::Due);
    engine.start(CONNECTOR, 2, Arc::clone(&work)).await.unwrap();
    for _ in 0..10 {
        log.next().await;
    }
    engine.close().await.unwrap();
    let engine = place.open().await;
    engine.start(CONNECTOR, 2, work).await.unwrap();
    for number in 0..30 {
        status(&engine, &format!("task {number}"), Status::Terminated).await;
    }
    assert_eq!(log.count("crowded"), 0, "never more than two at a time");
}

pub(crate) async fn weakness_17_an_outcome_is_stored_as_a_whole_or_not_at_all(place: &impl Place) {
    let work = steps(|step| async move {
        match word(&step).as_str() {
            "parent" => {
                // The second child is not possible: a task cannot spawn itself.
                let outcome = Outcome::again().spawn(spec("child")).spawn(spec("parent"));
                outcome.with_state(&"half")
            }
            "whole" => Outcome::done().spawn(spec("other")).with_state(&"all"),
            "at the end" => Outcome::fail(unclassified()).with_state(&"kept"),
            _ => Ok(Outcome::done()),
        }
    });
    let engine = place.open().await;
    engine.start(CONNECTOR, 2, work).await.unwrap();
    engine.schedule(CONNECTOR, spec("parent")).await.unwrap();
    let parent = status(&engine, "parent", Status::Failed).await;
    assert_eq!(parent.state, None);
    assert!(engine.task(CONNECTOR, &id("child")).await.is_err());
    engine
        .run(CONNECTOR, spec("whole"), PATIENCE)
        .await
        .unwrap();
    status(&engine, "other", Status::Terminated).await;
    engine
        .schedule(CONNECTOR, spec("at the end"))
        .await
        .unwrap();
    let failed = status(&engine, "at the end", Status::Failed).await;
    assert_eq!(failed.state, Some("kept".into()));
}

pub(crate) async fn weakness_19_runs_have_a_time_limit_a_history_and_can_be_paused(
    place: &impl Place,
) {
    let work = steps(|step| async move {
        match step.run {
            1 => std::future::pending().await,
            _ => Ok(Outcome::done()),
        }
    });
    let engine = place.open().await;
    engine.start(CONNECTOR, 1, work).await.unwrap();
    let hourly = Recurring::period(Duration::from_secs(3600)).unwrap();
    let policy = quick().step_timeout(Duration::from_millis(20)).attempts(1);
    let task = spec("poll")
        .schedule(Schedule::Every(hourly))
        .policy(policy);
    engine.schedule(CONNECTOR, task).await.unwrap();
    let view = until(&engine, "poll", |view| view.failed_runs == 1).await;
    assert!(view.error.unwrap().contains("took longer than 0.02 s"));
    engine.pause(CONNECTOR, &id("poll")).await.unwrap();
    place.clock().pass(Duration::from_secs(36_000));
    let view = engine.task(CONNECTOR, &id("poll")).await.unwrap();
    assert_eq!((view.status, view.runs), (Status::Paused, 1));
    assert_eq!(view.reason.as_deref(), Some("somebody paused it"));
    engine.resume(CONNECTOR, &id("poll")).await.unwrap();
    until(&engine, "poll", |view| {
        view.runs == 2 && view.activity == Activity::Waiting
    })
    .await;
    let history = engine.history(CONNECTOR, &id("poll")).await.unwrap();
    let outcomes: Vec<RunOutcome> = history.runs.iter().map(|run| run.outcome).collect();
    assert_eq!(outcomes, [RunOutcome::Done, RunOutcome::Failed]);
}
