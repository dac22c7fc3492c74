//! Waits, missed runs, and clocks that jump.

use std::sync::Arc;
use std::time::Duration;

use car_core::tasks::{
    Activity, CatchUp, Outcome, Overlap, Recurring, Resolve, Schedule, Status, TaskSpec,
};
use tokio::sync::Semaphore;

use super::super::support::{CONNECTOR, Log, Place, id, named, quick, status, steps, until, word};

const HOUR: Duration = Duration::from_secs(3600);

fn spec(name: &str) -> TaskSpec {
    TaskSpec::new(named(name)).policy(quick())
}

fn done() -> Arc<dyn Resolve> {
    steps(|_| async { Ok(Outcome::done()) })
}

fn hourly() -> Recurring {
    Recurring::period(HOUR).unwrap().jitter(Duration::ZERO)
}

pub(crate) async fn waits_are_not_begun_anew_by_a_restart(place: &impl Place) {
    let engine = place.open().await;
    engine.start(CONNECTOR, 1, done()).await.unwrap();
    let begun = place.clock().now_ms();
    engine
        .schedule(CONNECTOR, spec("in").schedule(Schedule::after(HOUR)))
        .await
        .unwrap();
    let at = Schedule::At(begun + 3_600_000);
    engine
        .schedule(CONNECTOR, spec("at").schedule(at))
        .await
        .unwrap();
    let past = Schedule::At(-5);
    engine
        .schedule(CONNECTOR, spec("past").schedule(past))
        .await
        .unwrap();
    status(&engine, "past", Status::Terminated).await;
    engine.close().await.unwrap();
    place.clock().pass(HOUR / 2);
    let engine = place.open().await;
    engine.start(CONNECTOR, 1, done()).await.unwrap();
    for name in ["in", "at"] {
        let view = engine.task(CONNECTOR, &id(name)).await.unwrap();
        assert_eq!(view.activity, Activity::Waiting, "{name}");
    }
    place.clock().pass(HOUR / 2);
    status(&engine, "in", Status::Terminated).await;
    status(&engine, "at", Status::Terminated).await;
}

pub(crate) async fn missed_runs_are_made_up_for_once(place: &impl Place) {
    let engine = place.open().await;
    engine.start(CONNECTOR, 4, done()).await.unwrap();
    let policies = [
        ("once", CatchUp::Once, 2),
        ("skip", CatchUp::Skip, 1),
        ("all", CatchUp::All, 6),
    ];
    for (name, policy, _) in policies {
        let schedule = Schedule::Every(hourly().catch_up(policy));
        engine
            .schedule(CONNECTOR, spec(name).schedule(schedule))
            .await
            .unwrap();
        until(&engine, name, |view| view.activity == Activity::Waiting).await;
    }
    engine.close().await.unwrap();
    place.clock().pass(5 * HOUR + HOUR / 2);
    let engine = place.open().await;
    engine.start(CONNECTOR, 4, done()).await.unwrap();
    for (name, policy, runs) in policies {
        let rests = |view: &car_core::tasks::TaskView| {
            view.activity == Activity::Waiting && view.runs == runs
        };
        let view = until(&engine, name, rests).await;
        let wait = view.next.unwrap() - place.clock().now_ms();
        // The runs keep to the hours of the first.
        assert!((900_000..=1_800_000).contains(&wait), "{policy:?}: {wait}");
    }
}

pub(crate) async fn a_clock_that_is_set_back_does_not_hold_up_waits(place: &impl Place) {
    let engine = place.open().await;
    engine.start(CONNECTOR, 1, done()).await.unwrap();
    engine
        .schedule(CONNECTOR, spec("wait").schedule(Schedule::after(HOUR)))
        .await
        .unwrap();
    let before = engine
        .task(CONNECTOR, &id("wait"))
        .await
        .unwrap()
        .next
        .unwrap();
    place.clock().set_forward(-86_400_000);
    let moved =
        |view: &car_core::tasks::TaskView| view.next.is_some_and(|next| next < before - 86_000_000);
    until(&engine, "wait", moved).await;
    place.clock().pass(HOUR);
    status(&engine, "wait", Status::Terminated).await;
}

pub(crate) async fn a_clock_that_is_set_forward_does_not_shorten_waits(place: &impl Place) {
    let engine = place.open().await;
    engine.start(CONNECTOR, 1, done()).await.unwrap();
    let schedule = Schedule::Every(hourly());
    engine
        .schedule(CONNECTOR, spec("poll").schedule(schedule))
        .await
        .unwrap();
    let rests = |view: &car_core::tasks::TaskView| view.activity == Activity::Waiting;
    let before = until(&engine, "poll", rests).await.next.unwrap();
    place.clock().set_forward(86_400_000);
    let moved =
        |view: &car_core::tasks::TaskView| view.next.is_some_and(|next| next > before + 86_000_000);
    let view = until(&engine, "poll", moved).await;
    assert_eq!(view.runs, 1);
}

pub(crate) async fn a_clock_that_was_set_back_while_nobody_looked_does_not_hold_up_waits(
    place: &impl Place,
) {
    let engine = place.open().await;
    engine.start(CONNECTOR, 1, done()).await.unwrap();
    engine
        .schedule(CONNECTOR, spec("wait").schedule(Schedule::after(HOUR)))
        .await
        .unwrap();
    engine.close().await.unwrap();
    place.clock().reboot();
    place.clock().set_forward(-86_400_000);
    let engine = place.open().await;
    engine.start(CONNECTOR, 1, done()).await.unwrap();
    let view = engine.task(CONNECTOR, &id("wait")).await.unwrap();
    let wait = view.next.unwrap() - place.clock().now_ms();
    assert!(wait <= 3_600_000, "{wait}");
    place.clock().pass(HOUR);
    status(&engine, "wait", Status::Terminated).await;
}

pub(crate) async fn times_on_the_wall_stay_where_they_are(place: &impl Place) {
    let engine = place.open().await;
    engine.start(CONNECTOR, 1, done()).await.unwrap();
    let at = place.clock().now_ms() + 86_400_000;
    engine
        .schedule(CONNECTOR, spec("at").schedule(Schedule::At(at)))
        .await
        .unwrap();
    engine
        .schedule(CONNECTOR, spec("in").schedule(Schedule::after(HOUR)))
        .await
        .unwrap();
    let before = engine.task(CONNECTOR, &id("in")).await.unwrap().next;
    place.clock().set_forward(3_600_000);
    until(&engine, "in", |view| view.next > before).await;
    let view = engine.task(CONNECTOR, &id("at")).await.unwrap();
    assert_eq!(view.next, Some(at));
}

pub(crate) async fn a_long_run_does_not_pile_up_runs(place: &impl Place) {
    let log = Log::new();
    let pen = log.pen();
    let gate = Arc::new(Semaphore::new(0));
    let door = Arc::clone(&gate);
    let work = steps(move |step| {
        let (pen, door) = (pen.clone(), Arc::clone(&door));
        async move {
            pen.write(word(&step));
            door.acquire().await.unwrap().forget();
            Ok(Outcome::done())
        }
    });
    let engine = place.open().await;
    engine.start(CONNECTOR, 2, work).await.unwrap();
    for (name, overlap) in [("skip", Overlap::Skip), ("buffer", Overlap::BufferOne)] {
        let schedule = Schedule::Every(hourly().overlap(overlap));
        engine
            .schedule(CONNECTOR, spec(name).schedule(schedule))
            .await
            .unwrap();
        log.next().await;
    }
    place.clock().pass(7 * HOUR + HOUR / 2);
    gate.add_permits(2);
    assert_eq!(log.next().await, "buffer");
    gate.add_permits(1);
    for (name, runs) in [("skip", 1), ("buffer", 2)] {
        until(&engine, name, |view| {
            view.runs == runs && view.activity == Activity::Waiting
        })
        .await;
    }
}
