//! What stands around a delivery, and around each execution and compensation of a step.

mod deadline;
mod idempotency;
mod logging;
mod metrics;
mod offline;
mod retry;
mod timing;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

pub use deadline::Deadline;
pub use idempotency::Idempotency;
pub use logging::Logging;
pub use metrics::{Metrics, MetricsHandle, Tally};
pub use offline::{Offline, OfflineFacts, OfflineRules, OnMatch, Rule};
pub use retry::Again;
pub use timing::{Timing, Timings};

use super::context::Context;
use super::response::Response;
use crate::failure::Failure;

/// Stands around something and decides whether, and how often, it is done.
#[async_trait]
pub trait Middleware<R>: Send + Sync {
    /// Does its part around `next`, or answers without it.
    ///
    /// # Errors
    ///
    /// That of `next`, or its own. What was done below it is compensated in either case.
    async fn handle(
        &self,
        request: &mut R,
        context: &mut Context,
        next: Next<'_, R>,
    ) -> Result<Response, Failure>;
}

/// What a middleware stands around. It may be called never, once, or again.
pub struct Next<'a, R> {
    stack: &'a [Arc<dyn Middleware<R>>],
    inner: &'a dyn Inner<R>,
}

/// The innermost part.
#[async_trait]
pub(super) trait Inner<R>: Send + Sync {
    async fn call(&self, request: &mut R, context: &mut Context) -> Result<Response, Failure>;
}

impl<'a, R> Next<'a, R> {
    pub(super) fn new(stack: &'a [Arc<dyn Middleware<R>>], inner: &'a dyn Inner<R>) -> Self {
        Self { stack, inner }
    }

    /// Does it.
    ///
    /// # Errors
    ///
    /// Any that stands around less, or the step itself.
    pub async fn run(self, request: &mut R, context: &mut Context) -> Result<Response, Failure> {
        match self.stack.split_first() {
            Some((first, rest)) => {
                let next = Next {
                    stack: rest,
                    inner: self.inner,
                };
                first.handle(request, context, next).await
            }
            None => self.inner.call(request, context).await,
        }
    }
}

impl<R> Clone for Next<'_, R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Next<'_, R> {}

impl<R> fmt::Debug for Next<'_, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Next")
            .field("left", &self.stack.len())
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl<R: Send + Sync, M: Middleware<R> + ?Sized> Middleware<R> for Arc<M> {
    async fn handle(
        &self,
        request: &mut R,
        context: &mut Context,
        next: Next<'_, R>,
    ) -> Result<Response, Failure> {
        (**self).handle(request, context, next).await
    }
}
