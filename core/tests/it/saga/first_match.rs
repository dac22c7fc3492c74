//! First match: the orders that people know, and what differs on purpose.

use std::sync::Arc;

use async_trait::async_trait;
use car_core::saga::container::Container;
use car_core::saga::{
    Context, Delivery, NoMatch, Response, SHORTEST_SLOW_WAIT, SHORTEST_WAIT, Saga, Transaction,
};
use car_core::{Failure, FailureKind};

use super::support::{Does, Notes, Noting, Order, step};

/// A step that the container makes.
struct Built<const B: bool>(Notes, Does);

impl<const B: bool> Built<B> {
    const NAME: &'static str = if B { "B" } else { "A" };

    fn new(notes: &Notes, does: Does) -> Self {
        notes.add(format!("build {}", Self::NAME));
        Self(notes.clone(), does)
    }
}

#[async_trait]
impl<const B: bool> Transaction<Order> for Built<B> {
    fn name(&self) -> &str {
        Self::NAME
    }

    async fn should_execute(&self, _: &Order, _: &Context) -> Result<bool, Failure> {
        self.0.add(format!("test {}", Self::NAME));
        Ok(true)
    }

    async fn execute(&self, _: &mut Order, _: &mut Context) -> Result<Response, Failure> {
        self.0.add(format!("exec {}", Self::NAME));
        self.1.act()
    }

    async fn compensate(
        &self,
        _: &mut Order,
        _: &mut Context,
        _: &Failure,
    ) -> Result<car_core::saga::Compensation, Failure> {
        self.0.add(format!("compensate {}", Self::NAME));
        Ok(car_core::saga::Compensation::Undone(Response::fail(
            "undone",
        )))
    }
}

fn built(notes: &Notes, does: Does) -> Saga<Order> {
    let container = Container::builder()
        .instance(notes.clone())
        .per_request(move |notes: Arc<Notes>| async move { Ok(Built::<false>::new(&notes, does)) })
        .per_request(move |notes: Arc<Notes>| async move { Ok(Built::<true>::new(&notes, does)) })
        .build()
        .unwrap();
    Saga::first_match("order", NoMatch::Fail)
        .container(container)
        .step_of::<Built<false>>()
        .step_of::<Built<true>>()
        .around(Noting("m1", notes.clone()))
        .around(Noting("m2", notes.clone()))
        .build()
        .unwrap()
}

#[tokio::test]
async fn check_1_the_order_is_the_known_one() {
    let notes = Notes::default();
    let saga = built(&notes, Does::Done);
    for _ in 0..2 {
        let done = saga
            .deliver(Delivery::new("PR-1", Order::default()))
            .await
            .unwrap();
        assert_eq!(done.response, Response::Done);
        // All are built before any is tested, the choice stands inside the middleware, and the
        // second predicate is not asked. Each delivery builds anew.
        assert_eq!(
            notes.take(),
            [
                "build A", "build B", "m1 in", "m2 in", "test A", "exec A", "m2 out", "m1 out"
            ]
        );
    }
}

#[tokio::test]
async fn check_1_a_failure_is_compensated_inside_the_middleware() {
    let notes = Notes::default();
    let done = built(&notes, Does::Fail)
        .deliver(Delivery::new("PR-1", Order::default()))
        .await
        .unwrap();
    // The middleware sees the answer of the compensation as the normal one.
    assert_eq!(done.response, Response::fail("undone"));
    assert_eq!(
        notes.take(),
        [
            "build A",
            "build B",
            "m1 in",
            "m2 in",
            "test A",
            "exec A",
            "compensate A",
            "m2 out",
            "m1 out"
        ]
    );
}

#[tokio::test]
async fn check_2_one_step_is_done_and_earlier_ones_stay() {
    let notes = Notes::default();
    let saga = Saga::first_match("order", NoMatch::Fail)
        .step(step("a", &notes, false, Does::Done))
        .step(step("b", &notes, true, Does::Done))
        .step(step("c", &notes, true, Does::Done))
        .build()
        .unwrap();
    let done = saga
        .deliver(Delivery::new("PR-1", Order::default()))
        .await
        .unwrap();
    assert_eq!(done.request.trace, ["b"]);
    assert_eq!(done.status(), None);
    assert_eq!(notes.take(), ["test a", "test b", "exec b"]);
}

#[tokio::test]
async fn without_a_compensation_the_failure_goes_on() {
    let saga = Saga::<Order>::first_match("order", NoMatch::Fail)
        .step(
            car_core::saga::Step::new("a")
                .execute_now(|_, _| Err(Failure::new(FailureKind::SourceData, "not readable"))),
        )
        .build()
        .unwrap();
    let failure = saga
        .deliver(Delivery::new("PR-1", Order::default()))
        .await
        .unwrap_err();
    assert_eq!(failure.kind(), FailureKind::SourceData);
}

#[tokio::test]
async fn check_3_what_waits_and_what_does_not_is_compensated() {
    let waits = |notes: &Notes| step("a", notes, true, Does::Fail);
    let at_once = |notes: &Notes| {
        let notes = notes.clone();
        car_core::saga::Step::<Order>::new("a")
            .execute_now(|_, _| Does::Fail.act())
            .compensate_now(move |_, _, failure| {
                notes.add("compensate a");
                Ok(Response::fail(failure.to_string()))
            })
    };
    let panics = |notes: &Notes| step("a", notes, true, Does::Panic);
    let notes = Notes::default();
    for step in [waits(&notes), at_once(&notes), panics(&notes)] {
        let saga = Saga::first_match("order", NoMatch::Fail)
            .step(step)
            .build()
            .unwrap();
        let done = saga
            .deliver(Delivery::new("PR-1", Order::default()))
            .await
            .unwrap();
        assert_eq!(done.response.as_str(), "fail");
        assert_eq!(notes.take().last().unwrap(), "compensate a");
    }
}

#[tokio::test]
async fn what_is_answered_when_nothing_applies_is_stated() {
    for (policy, answer) in [
        (NoMatch::Done, "success"),
        (NoMatch::Skip, "skip"),
        (NoMatch::Fail, "fail"),
        (NoMatch::Retry, "retry"),
    ] {
        let notes = Notes::default();
        for saga in [
            Saga::first_match("order", policy.clone()).build().unwrap(),
            Saga::first_match("order", policy)
                .step(step("a", &notes, false, Does::Done))
                .build()
                .unwrap(),
        ] {
            let done = saga
                .deliver(Delivery::new("PR-1", Order::default()))
                .await
                .unwrap();
            assert_eq!(done.response.as_str(), answer);
        }
    }
}

#[test]
fn check_7_waits_have_floors() {
    assert_eq!(SHORTEST_WAIT.as_secs(), 30);
    assert_eq!(SHORTEST_SLOW_WAIT.as_secs(), 300);
}
