//! The suite of all engines, on a Temporal server.

use car_core::tasks::{Outcome, Status, TaskSpec};

use crate::support::OnTemporal;
use crate::tasks::suite::stamp;
use crate::tasks::support::{CONNECTOR, Log, Place as _, named, status, steps, word};

stamp!(OnTemporal::new());

/// Whatever the order: a task with many steps leaves room for the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_task_takes_the_only_worker_for_itself() {
    let Some(place) = OnTemporal::new() else {
        return;
    };
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
    for name in ["endless", "a", "b", "c"] {
        let task = TaskSpec::new(named(name));
        engine.schedule(CONNECTOR, task).await.unwrap();
    }
    engine.start(CONNECTOR, 1, work).await.unwrap();
    status(&engine, "endless", Status::Terminated).await;
    for name in ["a", "b", "c"] {
        assert_eq!(
            log.count(name),
            1,
            "{name} came before the end of the other"
        );
    }
}

/// Tests of the suite that say nothing about this engine, by name. The others are stamped above.
mod exceptions {
    macro_rules! exceptions {
        ($reason:literal; $($name:ident)+) => {
            $(#[test]
            #[ignore = $reason]
            fn $name() {})+
        };
    }

    exceptions! {
        "the server keeps the time, and no clock of a worker is read";
        a_clock_that_is_set_back_does_not_hold_up_waits
        a_clock_that_is_set_forward_does_not_shorten_waits
        a_clock_that_was_set_back_while_nobody_looked_does_not_hold_up_waits
        times_on_the_wall_stay_where_they_are
    }

    exceptions! {
        "the server has queues in several parts, and no order between them";
        steps_take_turns_when_workers_are_few
    }
}
