//! What goes wrong below a saga.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use car_core::saga::{
    Claim, Claimed, Delivery, Entry, Event, LogError, MemoryLog, NoMatch, Progress, Response, Saga,
    SagaLog, SagaView, Status, Step, StepStatus, Summary, Then,
};
use car_core::{Effect, Failure, FailureKind, Retry};
use tokio::sync::Notify;

use super::support::{Does, Notes, Order, chain, step};

fn delivery(id: &str) -> Delivery<Order> {
    Delivery::new(id, Order::default())
}

#[tokio::test(start_paused = true)]
async fn a_step_that_hangs_is_ended_and_undone() {
    let (saga, log) = chain("order");
    let saga = saga
        .step_limit(Duration::from_secs(300))
        .step(Step::<Order>::new("a").execute(|_, _| Box::pin(std::future::pending())))
        .build()
        .unwrap();
    let done = saga.deliver(delivery("PR-1")).await.unwrap();
    assert_eq!(done.status(), Some(Status::Undone));
    assert_eq!(done.response.as_str(), "fail");
    let view = SagaView::read(&*log, "PR-1").await.unwrap();
    assert!(view.progress.error[0].contains("did not end within 300 s"));
}

#[tokio::test]
async fn a_predicate_that_panics_undoes_what_was_done() {
    let notes = Notes::default();
    let (saga, _) = chain("order");
    let saga = saga
        .step(step("a", &notes, true, Does::Done))
        .step(Step::new("b").when(|_| panic!("a defect of the predicate")))
        .build()
        .unwrap();
    let done = saga.deliver(delivery("PR-1")).await.unwrap();
    assert_eq!(done.request.trace, ["a", "una"]);
}

#[tokio::test]
async fn ids_that_are_not_safe_are_refused() {
    let (saga, log) = chain("order");
    let saga = saga.step(Step::<Order>::new("a")).build().unwrap();
    let long = "x".repeat(201);
    for id in ["", " ", "a b", "a\n", "ü", &long] {
        let failure = saga.deliver(delivery(id)).await.unwrap_err();
        assert_eq!(failure.kind(), FailureKind::SourceData, "{id:?}");
    }
    assert!(log.list(None, 10).await.unwrap().is_empty());
}

/// A log that fails at one of its writes.
#[derive(Debug)]
struct Full {
    log: MemoryLog,
    writes: AtomicU32,
    fails_at: u32,
}

#[async_trait]
impl SagaLog for Full {
    async fn claim(&self, id: &str, begin: Option<&Event>) -> Result<Claimed, LogError> {
        self.log.claim(id, begin).await
    }

    async fn append(
        &self,
        claim: &Claim,
        events: &[Event],
        progress: &Progress,
        then: Then,
    ) -> Result<(), LogError> {
        if self.writes.fetch_add(1, Ordering::Relaxed) == self.fails_at {
            return Err(LogError::Storage {
                doing: "written",
                full: true,
                source: "no space".into(),
            });
        }
        self.log.append(claim, events, progress, then).await
    }

    async fn renew(&self, claim: &Claim) -> Result<(), LogError> {
        self.log.renew(claim).await
    }

    async fn release(&self, claim: &Claim) -> Result<(), LogError> {
        self.log.release(claim).await
    }

    async fn entries(&self, id: &str) -> Result<Vec<Entry>, LogError> {
        self.log.entries(id).await
    }

    async fn list(&self, status: Option<Status>, limit: u32) -> Result<Vec<Summary>, LogError> {
        self.log.list(status, limit).await
    }
}

#[tokio::test]
async fn a_full_log_stops_the_saga_and_the_next_delivery_goes_on() {
    for fails_at in 0..4 {
        let notes = Notes::default();
        let log = Arc::new(Full {
            log: MemoryLog::new(),
            writes: AtomicU32::new(0),
            fails_at,
        });
        let saga = Saga::chain("order", NoMatch::Skip)
            .log(Arc::clone(&log) as _)
            .step(step("a", &notes, true, Does::Done))
            .step(step("b", &notes, true, Does::Done))
            .build()
            .unwrap();
        let first = saga.deliver(delivery("PR-1")).await;
        if fails_at < 3 {
            let failure = first.unwrap_err();
            assert_eq!(failure.retry(), Retry::Backoff);
            assert!(
                failure.to_string().contains("the disk is full"),
                "{failure}"
            );
            assert!(!notes.take().iter().any(|note| note.starts_with("comp")));
        }
        let done = saga.deliver(delivery("PR-1")).await.unwrap();
        assert_eq!(done.status(), Some(Status::Done), "write {fails_at}");
        assert_eq!(done.response, Response::Done);
    }
}

#[tokio::test]
async fn of_two_deliveries_at_once_one_is_refused() {
    let (saga, _) = chain("order");
    let (reached, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&reached), Arc::clone(&go));
    let saga = Arc::new(
        saga.step(Step::<Order>::new("a").execute(move |_, _| {
            let (tell, wait) = (Arc::clone(&tell), Arc::clone(&wait));
            Box::pin(async move {
                tell.notify_one();
                wait.notified().await;
                Ok(Response::done())
            })
        }))
        .build()
        .unwrap(),
    );
    let first = tokio::spawn({
        let saga = Arc::clone(&saga);
        async move { saga.deliver(delivery("PR-1")).await }
    });
    reached.notified().await;
    let failure = saga.deliver(delivery("PR-1")).await.unwrap_err();
    assert!(matches!(failure.retry(), Retry::After(_)), "{failure:?}");
    assert_eq!(failure.effect(), Effect::NotApplied);
    assert!(
        failure.to_string().contains("is being worked on"),
        "{failure}"
    );
    go.notify_one();
    let done = first.await.unwrap().unwrap();
    assert_eq!(done.status(), Some(Status::Done));
}

#[tokio::test]
async fn a_saga_that_lost_its_claim_stops() {
    let notes = Notes::default();
    let (saga, log) = chain("order");
    let taken = Arc::clone(&log);
    let saga = saga
        .step(Step::<Order>::new("a").execute(move |_, _| {
            let log = Arc::clone(&taken);
            Box::pin(async move {
                // Another process takes over while this one stands still.
                log.crash();
                log.claim("PR-1", None).await?;
                Ok(Response::done())
            })
        }))
        .step(step("b", &notes, true, Does::Done))
        .build()
        .unwrap();
    let failure = saga.deliver(delivery("PR-1")).await.unwrap_err();
    assert!(failure.to_string().contains("is lost"), "{failure}");
    assert!(!notes.take().contains(&"exec b".to_owned()));
    let view = SagaView::read(&*log, "PR-1").await.unwrap();
    assert_eq!(view.progress.steps[0].status, StepStatus::Started);
}

#[tokio::test]
async fn a_step_that_ends_the_process_each_time_is_given_up() {
    let notes = Notes::default();
    let (saga, log) = chain("order");
    let undone = notes.clone();
    let saga = Arc::new(
        saga.crashes(3)
            .step(
                Step::<Order>::new("a")
                    .execute(|_, _| Box::pin(std::future::pending()))
                    .compensate_now(move |_, _, failure| {
                        undone.add(failure.to_string());
                        Ok(Response::done())
                    }),
            )
            .build()
            .unwrap(),
    );
    for _ in 0..3 {
        let mut work = Box::pin(saga.deliver(delivery("PR-1")));
        // Long enough to be in the step, then gone as by a kill.
        while !matches!(log.list(None, 1).await.unwrap().first(), Some(saga) if saga.step.is_some())
        {
            assert!(futures_util::poll!(&mut work).is_pending());
        }
        assert!(futures_util::poll!(&mut work).is_pending());
        drop(work);
        log.crash();
    }
    let done = saga.deliver(delivery("PR-1")).await.unwrap();
    assert_eq!(done.status(), Some(Status::Undone));
    let told = notes.take().join(" ");
    assert!(told.contains("the process ended 3 times"), "{told}");
}

#[tokio::test]
async fn a_saga_of_another_version_or_name_is_refused() {
    let (saga, log) = chain("order");
    let old = saga
        .step(Step::<Order>::new("gone").execute_now(|_, _| Does::Reschedule.act()))
        .build()
        .unwrap();
    old.deliver(delivery("PR-1")).await.unwrap();
    for (name, hint) in [("order", "`gone`"), ("other", "begun by saga `order`")] {
        let new = Saga::chain(name, NoMatch::Skip)
            .log(Arc::clone(&log) as _)
            .step(Step::<Order>::new("new"))
            .build()
            .unwrap();
        let failure = new.deliver(delivery("PR-1")).await.unwrap_err();
        assert!(failure.to_string().contains(hint), "{failure}");
    }
    // The claim was given back.
    old.deliver(delivery("PR-1")).await.unwrap();
}

#[tokio::test]
async fn a_middleware_that_panics_is_a_failure_of_the_step() {
    struct Defect;
    #[async_trait]
    impl<R: Send + Sync> car_core::saga::middleware::Middleware<R> for Defect {
        async fn handle(
            &self,
            _: &mut R,
            _: &mut car_core::saga::Context,
            _: car_core::saga::middleware::Next<'_, R>,
        ) -> Result<Response, Failure> {
            panic!("a defect of the middleware")
        }
    }
    let (saga, _) = chain("order");
    let saga = saga
        .around_steps(Defect)
        .step(Step::<Order>::new("a"))
        .build()
        .unwrap();
    let done = saga.deliver(delivery("PR-1")).await.unwrap();
    assert_eq!(done.status(), Some(Status::Undone));
}
