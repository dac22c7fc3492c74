//! The machine alone: what the server's absence and other processes do to a task.

use std::time::Duration;

use car_core::tasks::{
    Activity, CatchUp, Policy, Recurring, Restart, Schedule, ScheduleEffect, Status,
    TaskDescriptor, TaskId, TaskSpec,
};
use serde_json::json;

use super::{Effect, Finished, Machine, Move};
use crate::message::{Action, Begin, Report, RunEnd, Spawned, StepInput, Then, Waiter, Ways};

const HOUR: i64 = 3_600_000;

fn spec(name: &str) -> TaskSpec {
    TaskSpec::new(TaskDescriptor::new(name).unwrap())
}

fn id(name: &str) -> TaskId {
    TaskDescriptor::new(name).unwrap().id("tests")
}

fn machine(task: TaskSpec) -> Machine {
    let begin = Begin {
        connector: "tests".to_owned(),
        parent: None,
        task,
        key: None,
        waiter: None,
        ways: Ways {
            prefix: "car".to_owned(),
            heartbeat: 1000,
            history: 0,
        },
    };
    Machine::new(begin, 0)
}

fn step(machine: &mut Machine, now: i64) -> StepInput {
    match machine.next(now) {
        Move::Step(step) => *step,
        Move::Wait(until) => panic!("no step before {until:?}"),
    }
}

fn until(machine: &mut Machine, now: i64) -> Option<i64> {
    match machine.next(now) {
        Move::Step(step) => panic!("{step:?}"),
        Move::Wait(until) => until,
    }
}

fn ended(then: Then, children: Vec<TaskSpec>) -> Report {
    Report::Ended {
        state: None,
        then,
        children,
    }
}

fn finish(machine: &mut Machine, step: &StepInput, report: Report, now: i64) {
    let finished = Finished {
        generation: step.generation,
        began: now,
        report,
    };
    machine.finished(finished, now);
}

fn lost() -> Report {
    Report::Lost {
        why: "Heartbeat timeout".to_owned(),
    }
}

#[test]
fn a_step_whose_process_is_gone_is_done_again_and_left_alone_in_the_end() {
    let mut task = machine(spec("deadly"));
    let mut now = 0;
    let mut waits = Vec::new();
    for _ in 0..4 {
        let made = step(&mut task, now);
        assert_eq!((made.run, made.number, made.attempt), (1, 1, 1));
        finish(&mut task, &made, lost(), now);
        let due = task.due.unwrap();
        waits.push(due - now);
        now = due;
    }
    assert_eq!(waits[0], 0);
    assert!(waits[1..].is_sorted_by(|one, next| one < next), "{waits:?}");
    let made = step(&mut task, now);
    finish(&mut task, &made, lost(), now);
    assert_eq!(task.status, Status::Paused);
    let reason = task.seen().view.reason.unwrap();
    assert!(reason.contains("ended 5 times in the middle"), "{reason}");
    assert_eq!(task.act(Action::Resume, now), None);
    step(&mut task, now);
}

#[test]
fn what_an_older_run_comes_to_does_not_count() {
    let mut task = machine(spec("task"));
    let old = step(&mut task, 0);
    let again = spec("task").restart(Restart::StopAndRestart);
    let again = task.schedule(again, 5);
    assert_eq!((again.effect, again.run), (ScheduleEffect::Restarted, 2));
    assert!(task.wants_end());
    assert_eq!(
        until(&mut task, 5),
        None,
        "not before the old step has ended"
    );
    let report = Report::Ended {
        state: Some(json!("old")),
        then: Then::Done,
        children: vec![spec("child")],
    };
    finish(&mut task, &old, report, 6);
    assert!(!task.has_effects());
    let new = step(&mut task, 6);
    assert_eq!((new.run, new.state), (2, None));
    assert!(!task.wants_end());
    assert_eq!(task.run_end(1), RunEnd::Failed("it was stopped".to_owned()));
    assert_eq!(task.run_end(2), RunEnd::NotYet);
}

#[test]
fn a_wake_that_comes_late_says_that_nobody_was_there() {
    for (policy, runs_now) in [
        (CatchUp::Once, true),
        (CatchUp::All, true),
        (CatchUp::Skip, false),
    ] {
        let hourly = Recurring::period(Duration::from_secs(3600)).unwrap();
        let hourly = hourly.jitter(Duration::ZERO).catch_up(policy);
        let mut task = machine(spec("poll").schedule(Schedule::Every(hourly)));
        let first = step(&mut task, 0);
        finish(&mut task, &first, ended(Then::Done, Vec::new()), 1);
        assert_eq!(until(&mut task, 1), Some(HOUR));
        let late = 5 * HOUR + HOUR / 2;
        match task.next(late) {
            Move::Step(step) => assert!(runs_now, "{policy:?} {step:?}"),
            Move::Wait(until) => assert_eq!((runs_now, until), (false, Some(6 * HOUR))),
        }
    }
}

#[test]
fn a_step_spawns_once_however_often_it_asks() {
    let mut task = machine(spec("child"));
    let made = step(&mut task, 0);
    finish(&mut task, &made, ended(Then::Done, Vec::new()), 1);
    let spawned = || Spawned {
        task: spec("child").restart(Restart::IfNotActive),
        key: "parent/1".to_owned(),
        waiter: None,
    };
    task.spawned(spawned(), 2);
    let made = step(&mut task, 2);
    assert_eq!(made.run, 2);
    finish(&mut task, &made, ended(Then::Done, Vec::new()), 3);
    task.spawned(spawned(), 4);
    assert_eq!(
        (until(&mut task, 4), task.status),
        (None, Status::Terminated)
    );
}

#[test]
fn a_circle_of_waits_is_found_whoever_closes_it() {
    let wait = |name| spec(name).schedule(Schedule::NowAndWait);
    // Those who wait are known: the last one sees it at once.
    let mut three = machine(spec("three"));
    three.spawned(
        Spawned {
            task: spec("three").restart(Restart::IfNotActive),
            key: "two/1".to_owned(),
            waiter: Some(Waiter {
                task: id("two"),
                wait: 1,
                chain: vec![id("two"), id("one")],
            }),
        },
        0,
    );
    let made = step(&mut three, 0);
    finish(&mut three, &made, ended(Then::Again, vec![wait("one")]), 1);
    assert_eq!(three.status, Status::Failed);
    assert!(matches!(three.take_effect(), Some(Effect::Tell { .. })));
    assert!(three.take_effect().is_none(), "nothing is spawned");

    // Those who wait come later: they are asked about, along the chain.
    let mut one = machine(spec("one"));
    let made = step(&mut one, 0);
    finish(&mut one, &made, ended(Then::Again, vec![wait("two")]), 1);
    assert_eq!(one.seen().view.activity, Activity::Children);
    assert!(matches!(one.take_effect(), Some(Effect::Spawn(_))));
    let waiter = Waiter {
        task: id("zero"),
        wait: 7,
        chain: vec![id("zero")],
    };
    one.take_waiter(waiter, false);
    let Some(Effect::Probe { child, chain }) = one.take_effect() else {
        panic!("the child is asked");
    };
    assert_eq!((child, &chain), (id("two"), &vec![id("zero"), id("one")]));
    one.probed(&[id("two"), id("one")], 2);
    assert_eq!(one.status, Status::Failed);
}

#[test]
fn a_wait_ends_once_for_each_child_and_only_for_its_own() {
    let wait = |name| spec(name).schedule(Schedule::NowAndWait);
    let mut parent = machine(spec("parent"));
    let made = step(&mut parent, 0);
    let children = vec![wait("a"), wait("b")];
    finish(&mut parent, &made, ended(Then::Again, children), 1);
    parent.child_ended(99, &id("a"), None, 2);
    parent.child_ended(1, &id("a"), None, 2);
    parent.child_ended(1, &id("a"), None, 3);
    assert_eq!(until(&mut parent, 3), None);
    parent.child_ended(1, &id("b"), Some("no".to_owned()), 4);
    let next = step(&mut parent, 4);
    let ends: Vec<_> = next.waited.iter().map(|end| end.error.clone()).collect();
    assert_eq!(ends, [None, Some("no".to_owned())]);
}

#[test]
fn what_is_stored_is_bounded() {
    let policy = Policy::default().attempts(0);
    let mut task = machine(spec("task").policy(policy));
    for now in 0..500 {
        let made = step(&mut task, now * HOUR);
        let report = Report::Failed {
            error: "x".repeat(100_000),
            wait: Some(1),
        };
        finish(&mut task, &made, report, now * HOUR);
    }
    let text = serde_json::to_string(&task).unwrap();
    assert!(text.len() < 100_000, "{}", text.len());
}

/// Histories hold these: what an earlier version wrote has to be read for ever.
#[test]
fn messages_keep_their_form() {
    let begin = Begin {
        connector: "files".to_owned(),
        parent: None,
        task: spec("a"),
        key: Some("k".to_owned()),
        waiter: None,
        ways: Ways {
            prefix: "car".to_owned(),
            heartbeat: 10_000,
            history: 0,
        },
    };
    let written = serde_json::to_value(&begin).unwrap();
    let expected = json!({
        "connector": "files", "parent": null, "key": "k", "waiter": null,
        "task": {
            "descriptor": "a", "name": "a", "schedule": "now", "restart": "never",
            "policy": {
                "first_wait": 1000, "longest_wait": 300_000, "attempts": 20,
                "step_timeout": 600_000, "grace": 5000, "pause_after": 10, "crashes": 5,
            },
        },
        "ways": {"prefix": "car", "heartbeat": 10_000, "history": 0},
    });
    assert_eq!(written, expected);
    let report = serde_json::to_value(ended(Then::After(5), Vec::new())).unwrap();
    let expected = json!({"Ended": {"state": null, "then": {"After": 5}, "children": []}});
    assert_eq!(report, expected);
}
