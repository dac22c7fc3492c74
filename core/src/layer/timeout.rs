//! Bounds the time of one attempt.

use std::time::Duration;

use async_trait::async_trait;

use crate::car::{Answer, Call, CarCall};
use crate::failure::{Effect, Failure, FailureKind, Retry};

/// Ends an attempt after a time; inside the retry layer, so that the time is per attempt.
pub(crate) struct Timeout<C> {
    pub(crate) inner: C,
    pub(crate) limit: Duration,
}

#[async_trait]
impl<C: CarCall> CarCall for Timeout<C> {
    async fn call(&self, call: &Call) -> Result<Answer, Failure> {
        match tokio::time::timeout(self.limit, self.inner.call(call)).await {
            Ok(result) => result,
            Err(_) => Err(Failure::new(
                FailureKind::CarUnreachable,
                "the CAR service did not answer in time",
            )
            .with("after seconds", self.limit.as_secs())
            .with_retry(Retry::Backoff)
            .with_effect(Effect::Unknown)
            .hint("`--car-timeout` sets how long one call may take")),
        }
    }
}
