//! What is better than in the framework that people know, by the numbers of its list of
//! weaknesses. 2 is with first match, 6 to 9 are with the providers, 11 with the fulfilment
//! connector too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use car_core::saga::container::Container;
use car_core::saga::middleware::{Idempotency, Middleware, Next};
use car_core::saga::{
    BuildError, Context, Delivery, MemoryLog, NoMatch, Response, Saga, SagaView, Status, Step,
    Transaction,
};
use car_core::{Failure, FailureKind};

use super::support::{Does, Notes, Noting, Order, chain, step};

fn delivery() -> Delivery<Order> {
    Delivery::new("PR-1", Order::default())
}

#[tokio::test]
async fn weakness_1_steps_are_recorded_have_keys_and_are_undone() {
    let notes = Notes::default();
    let (saga, log) = chain("order");
    let keys = Arc::new(Notes::default());
    let seen = Arc::clone(&keys);
    let saga = saga
        .step(
            Step::new("a")
                .execute_now(|order: &mut Order, context| {
                    order.trace.push(context.key());
                    Ok(Response::done())
                })
                .compensate_now(move |_, context, _| {
                    seen.add(context.key());
                    Ok(Response::done())
                }),
        )
        .step(step("b", &notes, true, Does::Fail))
        .build()
        .unwrap();
    let done = saga.deliver(delivery()).await.unwrap();
    assert_eq!(done.request.trace, ["order/PR-1/a", "b"]);
    assert_eq!(keys.take(), ["order/PR-1/a/undo"]);
    let view = SagaView::read(&*log, "PR-1").await.unwrap();
    let records: Vec<&str> = view
        .entries
        .iter()
        .map(|entry| entry.event.as_str())
        .collect();
    assert_eq!(
        records,
        [
            "began", "started", "done", "started", "failed", "undoing", "undone", "ended"
        ]
    );
}

#[tokio::test]
async fn weakness_2_nothing_that_applies_is_answered() {
    let (saga, _) = chain("order");
    let notes = Notes::default();
    let saga = saga
        .step(step("a", &notes, false, Does::Done))
        .build()
        .unwrap();
    let done = saga.deliver(delivery()).await.unwrap();
    assert_eq!(done.response, Response::skip_because("no step applies"));
    assert_eq!(done.status(), Some(Status::Done));
}

/// Answers without what it stands around.
struct Closed;

#[async_trait]
impl<R: Send + Sync> Middleware<R> for Closed {
    async fn handle(
        &self,
        _: &mut R,
        _: &mut Context,
        _: Next<'_, R>,
    ) -> Result<Response, Failure> {
        Ok(Response::skip())
    }
}

#[tokio::test]
async fn weakness_3_middleware_decides_before_predicates() {
    let notes = Notes::default();
    let (saga, log) = chain("order");
    let sagas = [
        saga.around(Closed)
            .step(step("a", &notes, true, Does::Done))
            .build()
            .unwrap(),
        Saga::first_match("order", NoMatch::Retry)
            .around(Closed)
            .step(step("a", &notes, false, Does::Done))
            .build()
            .unwrap(),
    ];
    for saga in sagas {
        let done = saga.deliver(delivery()).await.unwrap();
        assert_eq!(done.response, Response::skip());
        assert!(notes.take().is_empty());
    }
    assert!(SagaView::read(&*log, "PR-1").await.is_err());
}

/// Fails before or after what it stands around, in one step.
struct Broken(&'static str, bool);

#[async_trait]
impl<R: Send + Sync> Middleware<R> for Broken {
    async fn handle(
        &self,
        request: &mut R,
        context: &mut Context,
        next: Next<'_, R>,
    ) -> Result<Response, Failure> {
        let hit = context.step() == Some(self.0) && context.phase().as_str() == "execute";
        if hit && self.1 {
            return Err(Failure::new(FailureKind::General, "before"));
        }
        let ended = next.run(request, context).await;
        if hit {
            return Err(Failure::new(FailureKind::General, "after"));
        }
        ended
    }
}

/// A step that cannot tell whether it applies.
struct Unsure;

#[async_trait]
impl Transaction<Order> for Unsure {
    fn name(&self) -> &str {
        "unsure"
    }

    async fn should_execute(&self, _: &Order, _: &Context) -> Result<bool, Failure> {
        Err(Failure::new(FailureKind::SourceUnavailable, "cannot tell"))
    }

    async fn execute(&self, _: &mut Order, _: &mut Context) -> Result<Response, Failure> {
        Ok(Response::done())
    }
}

#[tokio::test]
async fn weakness_4_errors_of_predicates_services_and_middleware_are_compensated() {
    let notes = Notes::default();
    let a = || step("a", &notes, true, Does::Done);

    let (saga, _) = chain("order");
    let saga = saga.step(a()).step(Unsure).build().unwrap();
    let done = saga.deliver(delivery()).await.unwrap();
    assert_eq!(done.request.trace, ["a", "una"]);
    assert_eq!(done.response, Response::fail("cannot tell"));

    for (before, trace) in [
        (true, &["a", "una"][..]),
        (false, &["a", "b", "unb", "una"]),
    ] {
        let (saga, _) = chain("order");
        let saga = saga
            .around_steps(Broken("b", before))
            .step(a())
            .step(step("b", &notes, true, Does::Done))
            .build()
            .unwrap();
        let done = saga.deliver(delivery()).await.unwrap();
        assert_eq!(done.request.trace, trace);
        assert_eq!(done.status(), Some(Status::Undone));
    }

    // First match: a middleware that fails after the step.
    let saga = Saga::first_match("order", NoMatch::Skip)
        .around_steps(Broken("a", false))
        .step(a())
        .build()
        .unwrap();
    let done = saga.deliver(delivery()).await.unwrap();
    assert_eq!(done.request.trace, ["a", "una"]);
    assert_eq!(done.response, Response::fail("after"));

    // Services are there before the first step is done, or nothing is.
    let container = Container::builder()
        .per_request(|| async {
            Err::<Lazy, _>(Failure::new(FailureKind::SourceUnavailable, "no vendor"))
        })
        .build()
        .unwrap();
    let (saga, log) = chain("order");
    let saga = saga
        .container(container)
        .step(a())
        .step_of::<Lazy>()
        .build()
        .unwrap();
    notes.take();
    let failure = saga.deliver(delivery()).await.unwrap_err();
    assert_eq!(failure.kind(), FailureKind::SourceUnavailable);
    assert!(notes.take().is_empty());
    assert!(SagaView::read(&*log, "PR-1").await.is_err());
}

/// A step from a container.
struct Lazy;

#[async_trait]
impl Transaction<Order> for Lazy {
    fn name(&self) -> &str {
        "lazy"
    }

    async fn should_execute(&self, _: &Order, _: &Context) -> Result<bool, Failure> {
        Ok(true)
    }

    async fn execute(&self, _: &mut Order, _: &mut Context) -> Result<Response, Failure> {
        Ok(Response::done())
    }
}

#[tokio::test]
async fn weakness_5_what_waits_is_compensated_and_so_are_panics() {
    for does in [Does::Fail, Does::Panic, Does::Lose] {
        let notes = Notes::default();
        let saga = Saga::first_match("order", NoMatch::Skip)
            .step(step("a", &notes, true, does))
            .build()
            .unwrap();
        let done = saga.deliver(delivery()).await.unwrap();
        assert_eq!(done.request.trace, ["a", "una"], "{does:?}");
    }
}

#[tokio::test]
async fn weakness_10_steps_are_built_as_often_as_they_are_bound_for() {
    let built = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&built);
    let container = Container::builder()
        .singleton(move || {
            count.fetch_add(1, Ordering::Relaxed);
            async { Ok(Lazy) }
        })
        .build()
        .unwrap();
    let saga = Saga::first_match("order", NoMatch::Skip)
        .container(container)
        .step_of::<Lazy>()
        .build()
        .unwrap();
    for _ in 0..3 {
        saga.deliver(delivery()).await.unwrap();
    }
    assert_eq!(built.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn weakness_11_an_answer_that_did_not_arrive_is_given_again() {
    let notes = Notes::default();
    let (saga, _) = chain("order");
    let chain = saga
        .step(step("a", &notes, true, Does::Done))
        .build()
        .unwrap();
    let cache = car_core::saga::cache::Cache::new(car_core::saga::cache::MemoryStore::new());
    let keep = std::time::Duration::from_secs(60);
    let first = Saga::first_match("order", NoMatch::Skip)
        .around(Idempotency::new(cache, keep))
        .step(step("a", &notes, true, Does::Done))
        .build()
        .unwrap();
    for saga in [chain, first] {
        for _ in 0..3 {
            let done = saga.deliver(delivery()).await.unwrap();
            assert_eq!(done.response, Response::Done);
        }
        let executed = notes.take().iter().filter(|note| *note == "exec a").count();
        assert_eq!(executed, 1);
    }
}

/// What one middleware tells another.
struct Caller(&'static str);

struct Tells;

#[async_trait]
impl<R: Send + Sync> Middleware<R> for Tells {
    async fn handle(
        &self,
        request: &mut R,
        context: &mut Context,
        next: Next<'_, R>,
    ) -> Result<Response, Failure> {
        context.insert(Caller("the webhook"));
        next.run(request, context).await
    }
}

#[tokio::test]
async fn weakness_12_the_context_is_typed_and_next_may_be_called_again() {
    struct Twice;
    #[async_trait]
    impl<R: Send + Sync> Middleware<R> for Twice {
        async fn handle(
            &self,
            request: &mut R,
            context: &mut Context,
            next: Next<'_, R>,
        ) -> Result<Response, Failure> {
            next.run(request, context).await?;
            next.run(request, context).await
        }
    }
    let notes = Notes::default();
    let saga = Saga::first_match("order", NoMatch::Skip)
        .around(Noting("m", notes.clone()))
        .around(Tells)
        .around(Twice)
        .step(Step::new("a").execute_now(|order: &mut Order, context| {
            let caller = context.get::<Caller>().map(|caller| caller.0);
            order.trace.extend(caller.map(str::to_owned));
            Ok(Response::done())
        }))
        .build()
        .unwrap();
    let done = saga.deliver(delivery()).await.unwrap();
    assert_eq!(done.request.trace, ["the webhook"; 2]);
}

#[test]
fn sagas_that_cannot_work_are_refused_when_they_are_built() {
    let log = || Arc::new(MemoryLog::new());
    let saga = || Saga::<Order>::chain("order", NoMatch::Skip);
    let wrong = [
        saga().log(log()).build().unwrap_err(),
        saga().step(Step::new("a")).build().unwrap_err(),
        saga().log(log()).step_of::<Lazy>().build().unwrap_err(),
        saga()
            .log(log())
            .step(Step::new("a"))
            .step(Step::new("a"))
            .build()
            .unwrap_err(),
        saga()
            .log(log())
            .container(Container::builder().build().unwrap())
            .step_of::<Lazy>()
            .build()
            .unwrap_err(),
    ];
    use BuildError as E;
    assert!(matches!(
        wrong,
        [
            E::Empty(_),
            E::NoLog(_),
            E::NoContainer(_),
            E::TwoSteps { .. },
            E::Container { .. }
        ]
    ));
}
