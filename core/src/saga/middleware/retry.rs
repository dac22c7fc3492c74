//! Tries again what may succeed later.

use std::time::Duration;

use async_trait::async_trait;

use super::{Middleware, Next};
use crate::failure::{Failure, Retry};
use crate::saga::context::Context;
use crate::saga::response::Response;

/// Tries again, with growing waits, what failed in a way that [may succeed
/// later](crate::failure::Failure::retry). The key stays the same.
#[derive(Debug, Clone, Copy)]
pub struct Again {
    /// Most tries, the first one counted.
    pub tries: u32,
    /// The first wait; each one after it is twice as long.
    pub first: Duration,
    /// The longest wait. If the other side asks for a longer one, the failure goes on: a saga
    /// that is rescheduled waits better.
    pub longest: Duration,
}

impl Default for Again {
    fn default() -> Self {
        Self {
            tries: 3,
            first: Duration::from_millis(200),
            longest: Duration::from_secs(5),
        }
    }
}

impl Again {
    /// Returns the wait after so many failed tries.
    pub(crate) fn wait(&self, failed: u32) -> Duration {
        let factor = 1_u32
            .checked_shl(failed.saturating_sub(1))
            .unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }
}

#[async_trait]
impl<R: Send + Sync> Middleware<R> for Again {
    async fn handle(
        &self,
        request: &mut R,
        context: &mut Context,
        next: Next<'_, R>,
    ) -> Result<Response, Failure> {
        let mut failed = 0;
        loop {
            let failure = match next.run(request, context).await {
                Ok(response) => return Ok(response),
                Err(failure) => failure,
            };
            failed += 1;
            let wait = match failure.retry() {
                Retry::Never => return Err(failure),
                Retry::Backoff => self.wait(failed),
                Retry::After(wait) => wait,
            };
            if failed >= self.tries || wait > self.longest {
                return Err(failure);
            }
            let cancel = context.cancel().clone();
            tokio::select! {
                () = cancel.cancelled() => return Err(failure),
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}
