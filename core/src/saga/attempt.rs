//! One call into a step: its panics, its limit, and what happens when it has to end.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;

use crate::failure::{Effect, Failure, FailureKind, Retry};

/// How a call is watched.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Longest time that it takes.
    pub(super) limit: Duration,
    /// How long it may go on once the delivery has to end.
    pub(super) grace: Duration,
}

/// Makes a call. Panics, and calls that do not end, are failures of unknown effect.
pub(super) async fn guarded<T>(
    what: &str,
    call: impl Future<Output = Result<T, Failure>>,
    limits: Limits,
    cancel: &CancellationToken,
) -> Result<T, Failure> {
    let call = AssertUnwindSafe(call).catch_unwind();
    let cut = async {
        cancel.cancelled().await;
        tokio::time::sleep(limits.grace).await;
    };
    tokio::select! {
        biased;
        ended = call => ended.unwrap_or_else(|panic| Err(panicked(what, &*panic))),
        () = tokio::time::sleep(limits.limit) => Err(Failure::new(
            FailureKind::SourceUnavailable,
            format!("it did not end within {} s", limits.limit.as_secs()),
        )
        .with("step", what)
        .with_retry(Retry::Backoff)
        .with_effect(Effect::Unknown)
        .hint("the saga's `step_limit` says how long a step may take")),
        () = cut => Err(interrupted().with("step", what).with_effect(Effect::Unknown)),
    }
}

/// Says that a delivery was asked to end.
pub(super) fn interrupted() -> Failure {
    Failure::new(FailureKind::Interrupted, "the delivery was asked to end")
        .with_retry(Retry::Backoff)
        .hint("the saga goes on with its next delivery, from what is recorded")
}

fn panicked(what: &str, panic: &(dyn Any + Send)) -> Failure {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Failure::new(FailureKind::General, "the step has a defect: it panicked")
        .with("step", what)
        .with_effect(Effect::Unknown)
        .because(message.to_owned())
}
