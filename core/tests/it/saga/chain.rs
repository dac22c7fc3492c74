//! Chains: order, undoing, waiting, going on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use car_core::saga::middleware::{Again, Deadline, Metrics, Timing, Timings};
use car_core::saga::{
    Delivery, Phase, Response, Saga, SagaLog, SagaView, Status, Step, StepStatus, UndoPolicy,
    abandon, show_text,
};
use car_core::{Effect, Failure, FailureKind, Retry};
use tokio_util::sync::CancellationToken;

use super::support::{Does, Notes, Noting, Order, chain, step};

async fn deliver(saga: &Saga<Order>) -> car_core::saga::Delivered<Order> {
    saga.deliver(Delivery::new("PR-1", Order::default()))
        .await
        .unwrap()
}

#[tokio::test]
async fn check_2_steps_are_undone_in_reverse() {
    let notes = Notes::default();
    let (saga, log) = chain("order");
    let saga = saga
        .step(step("a", &notes, true, Does::Done))
        .step(step("b", &notes, true, Does::Done))
        .step(step("c", &notes, false, Does::Done))
        .step(step("d", &notes, true, Does::Skip))
        .step(step("e", &notes, true, Does::Fail))
        .step(step("f", &notes, true, Does::Done))
        .build()
        .unwrap();
    let done = deliver(&saga).await;
    assert_eq!(done.response, Response::fail("the vendor is down"));
    assert_eq!(done.status(), Some(Status::Undone));
    // What does not apply, had nothing to do, or wrote nothing, is not undone.
    assert_eq!(done.request.trace, ["a", "b", "d", "e", "unb", "una"]);

    // The saga is over: delivered again, it answers and does nothing.
    notes.take();
    let again = deliver(&saga).await;
    assert_eq!(again.response, done.response);
    assert_eq!(again.request, done.request);
    assert!(notes.take().is_empty());

    let view = SagaView::read(&*log, "PR-1").await.unwrap();
    let status: Vec<StepStatus> = view.progress.steps.iter().map(|step| step.status).collect();
    use StepStatus as S;
    let expected = [
        S::Undone,
        S::Undone,
        S::Passed,
        S::Passed,
        S::Failed,
        S::Pending,
    ];
    assert_eq!(status, expected);
    let text = show_text(&view);
    assert!(text.starts_with("PR-1 (order) is undone\nanswered fail: the vendor is down\n"));
    assert!(text.contains("undone"), "{text}");
}

#[tokio::test]
async fn a_step_of_unknown_effect_is_undone_too() {
    for does in [Does::Lose, Does::Panic] {
        let notes = Notes::default();
        let (saga, _) = chain("order");
        let saga = saga
            .step(step("a", &notes, true, Does::Done))
            .step(step("b", &notes, true, does))
            .build()
            .unwrap();
        let done = deliver(&saga).await;
        assert_eq!(done.request.trace, ["a", "b", "unb", "una"], "{does:?}");
        assert_eq!(done.status(), Some(Status::Undone));
    }
}

#[tokio::test]
async fn a_step_that_refuses_undoes_those_before_it() {
    let notes = Notes::default();
    let (saga, _) = chain("order");
    let saga = saga
        .step(step("a", &notes, true, Does::Done))
        .step(step("b", &notes, true, Does::Refuse))
        .build()
        .unwrap();
    let done = deliver(&saga).await;
    assert_eq!(done.response, Response::fail("no such item"));
    assert_eq!(done.request.trace, ["a", "b", "una"]);
}

#[tokio::test]
async fn a_wait_is_kept_and_the_next_delivery_goes_on_there() {
    let notes = Notes::default();
    let (saga, log) = chain("order");
    let tries = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&tries);
    let saga = saga
        .step(step("a", &notes, true, Does::Done))
        .step(
            Step::new("b").execute_now(move |order: &mut Order, context| {
                order.trace.push(context.key());
                match counted.fetch_add(1, Ordering::Relaxed) {
                    0 => Ok(Response::reschedule_after(Duration::from_secs(5))),
                    _ => Ok(Response::done()),
                }
            }),
        )
        .on_redelivery(|kept, delivered| kept.kind = delivered.kind)
        .build()
        .unwrap();
    let done = deliver(&saga).await;
    // The clamp is part of the answer.
    let Response::Reschedule(wait) = done.response else {
        panic!("{:?}", done.response);
    };
    assert_eq!((wait.seconds, wait.asked), (30, Some(5)));
    assert_eq!(done.status(), Some(Status::Waiting));
    assert_eq!(
        log.list(Some(Status::Waiting), 10).await.unwrap()[0]
            .step
            .as_deref(),
        Some("b")
    );

    let fresh = Order {
        kind: "changed".to_owned(),
        ..Order::default()
    };
    let done = saga.deliver(Delivery::new("PR-1", fresh)).await.unwrap();
    assert_eq!(done.response, Response::Done);
    assert_eq!(done.request.kind, "changed");
    // The trace of the first delivery is there, and the key is the same.
    assert_eq!(done.request.trace, ["a", "order/PR-1/b", "order/PR-1/b"]);
    assert_eq!(notes.take(), ["test a", "exec a"]);
}

#[tokio::test]
async fn middleware_stands_around_executions_and_compensations() {
    let notes = Notes::default();
    let (saga, _) = chain("order");
    let saga = saga
        .around(Noting("saga", notes.clone()))
        .around_steps(Noting("step", notes.clone()))
        .step(step("a", &notes, true, Does::Done))
        .step(step("b", &notes, true, Does::Fail))
        .build()
        .unwrap();
    deliver(&saga).await;
    assert_eq!(
        notes.take(),
        [
            "saga in",
            "test a",
            "step in",
            "exec a",
            "step out",
            "test b",
            "step in",
            "exec b",
            "step out",
            "step in",
            "compensate a",
            "step out",
            "saga out"
        ]
    );
}

#[tokio::test]
async fn retries_keep_the_key_and_are_counted() {
    let (saga, _) = chain("order");
    let tries = AtomicU32::new(0);
    let metrics = Metrics::default();
    let counts = metrics.handle();
    let saga = saga
        .around_steps(metrics)
        .around_steps(Timing)
        .around_steps(Again {
            tries: 3,
            first: Duration::from_millis(1),
            longest: Duration::from_millis(2),
        })
        .step(
            Step::new("a").execute_now(move |order: &mut Order, context| {
                order.trace.push(context.key());
                if tries.fetch_add(1, Ordering::Relaxed) < 2 {
                    return Err(Failure::new(FailureKind::SourceUnavailable, "busy")
                        .with_retry(Retry::Backoff)
                        .with_effect(Effect::Unknown));
                }
                Ok(Response::done())
            }),
        )
        .step(Step::new("look").execute_now(|order: &mut Order, context| {
            let timings = context.get::<Timings>().unwrap();
            order.kind = format!(
                "{:?}",
                timings.0.iter().map(|part| part.1).collect::<Vec<_>>()
            );
            Ok(Response::done())
        }))
        .build()
        .unwrap();
    let done = deliver(&saga).await;
    assert_eq!(done.response, Response::Done);
    assert_eq!(done.request.trace, ["order/PR-1/a"; 3]);
    assert_eq!(done.request.kind, "[Execute]");
    assert_eq!(
        counts.tally("order", "a", Phase::Execute, "success").count,
        1
    );
    assert!(counts.prometheus().contains(
        "saga_parts_total{saga=\"order\",step=\"a\",phase=\"execute\",result=\"success\"} 1"
    ));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_step_and_it_is_undone() {
    let notes = Notes::default();
    let (saga, _) = chain("order");
    let undone = notes.clone();
    let saga = saga
        .around_steps(Deadline(Duration::from_secs(2)))
        .step(
            Step::new("a")
                .execute(|_, _| Box::pin(std::future::pending()))
                .compensate_now(move |_: &mut Order, _, _| {
                    undone.add("undone");
                    Ok(Response::done())
                }),
        )
        .build()
        .unwrap();
    let done = deliver(&saga).await;
    assert_eq!(done.status(), Some(Status::Undone));
    assert_eq!(notes.take(), ["undone"]);
}

#[tokio::test(start_paused = true)]
async fn a_stuck_saga_waits_for_a_person() {
    let (saga, log) = chain("order");
    let broken = Arc::new(AtomicU32::new(u32::MAX));
    let tries = Arc::clone(&broken);
    let saga = saga
        .undo(UndoPolicy::default())
        .step(Step::new("a").compensate_now(move |_: &mut Order, _, _| {
            if tries.load(Ordering::Relaxed) == 0 {
                return Ok(Response::done());
            }
            Err(Failure::new(FailureKind::Source, "cannot undo"))
        }))
        .step(Step::new("b").execute_now(|_, _| Does::Fail.act()))
        .build()
        .unwrap();
    let done = deliver(&saga).await;
    assert_eq!(done.status(), Some(Status::Stuck));
    assert_eq!(done.response, Response::slow_reschedule());
    let view = SagaView::read(&*log, "PR-1").await.unwrap();
    assert_eq!(view.progress.steps[0].undos, 5);
    assert_eq!(view.progress.steps[0].error, ["cannot undo"]);
    let records = view.entries.len();

    // Delivered again, nothing is tried: a person has to look.
    let again = deliver(&saga).await;
    assert_eq!(again.response, Response::slow_reschedule());
    assert_eq!(log.entries("PR-1").await.unwrap().len(), records);

    broken.store(0, Ordering::Relaxed);
    let cancel = CancellationToken::new();
    let resumed = saga.resume("PR-1", true, cancel.clone()).await.unwrap();
    assert_eq!(resumed.status(), Some(Status::Undone));
    assert_eq!(resumed.response, Response::fail("the vendor is down"));
    assert!(saga.resume("PR-2", true, cancel).await.is_err());
}

#[tokio::test]
async fn an_abandoned_saga_is_over() {
    let notes = Notes::default();
    let (saga, log) = chain("order");
    let saga = saga
        .step(step("a", &notes, true, Does::Reschedule))
        .build()
        .unwrap();
    deliver(&saga).await;
    let progress = abandon(&*log, "PR-1", "done by hand").await.unwrap();
    assert_eq!(progress.status, Status::Abandoned);
    notes.take();
    let done = deliver(&saga).await;
    assert_eq!(done.response, Response::fail("it was abandoned"));
    assert!(notes.take().is_empty());
    assert!(abandon(&*log, "PR-1", "again").await.is_err());
    assert!(abandon(&*log, "PR-9", "never was").await.is_err());
}

#[tokio::test]
async fn a_signal_leaves_the_saga_where_it_is() {
    let (saga, log) = chain("order");
    let cancel = CancellationToken::new();
    let stop = cancel.clone();
    let notes = Notes::default();
    let saga = saga
        .grace(Duration::from_millis(1))
        .step(Step::new("a").execute_now(move |_: &mut Order, _| {
            stop.cancel();
            Ok(Response::done())
        }))
        .step(step("b", &notes, true, Does::Done))
        .build()
        .unwrap();
    let failure = saga
        .deliver(Delivery::new("PR-1", Order::default()).cancel(cancel))
        .await
        .unwrap_err();
    assert_eq!(failure.kind(), FailureKind::Interrupted);
    assert!(notes.take().is_empty());
    // What was done is not done again.
    let done = deliver(&saga).await;
    assert_eq!(done.status(), Some(Status::Done));
    let starts = |view: &SagaView| view.progress.steps[0].starts;
    assert!(starts(&SagaView::read(&*log, "PR-1").await.unwrap()) <= 2);
}
