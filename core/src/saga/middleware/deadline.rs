//! A limit for what takes too long.

use std::time::Duration;

use async_trait::async_trait;

use super::{Middleware, Next};
use crate::failure::{Effect, Failure, FailureKind, Retry};
use crate::saga::context::Context;
use crate::saga::response::Response;

/// Ends what takes longer than a limit; it is not known then whether it was done.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(
    /// The limit.
    pub Duration,
);

#[async_trait]
impl<R: Send + Sync> Middleware<R> for Deadline {
    async fn handle(
        &self,
        request: &mut R,
        context: &mut Context,
        next: Next<'_, R>,
    ) -> Result<Response, Failure> {
        match tokio::time::timeout(self.0, next.run(request, context)).await {
            Ok(ended) => ended,
            Err(_) => Err(Failure::new(
                FailureKind::SourceUnavailable,
                format!("it took longer than {} ms", self.0.as_millis()),
            )
            .with("step", context.step().unwrap_or("-"))
            .with_retry(Retry::Backoff)
            .with_effect(Effect::Unknown)
            .hint("give the step a longer deadline, or look at what it waits for")),
        }
    }
}
