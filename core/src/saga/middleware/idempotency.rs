//! Answers what was answered before without doing it again.

use std::time::Duration;

use async_trait::async_trait;

use super::{Middleware, Next};
use crate::failure::Failure;
use crate::saga::cache::Cache;
use crate::saga::context::Context;
use crate::saga::response::Response;

/// Keeps final responses by their [key](Context::key), and gives them again. What is rescheduled
/// or failed with an error is done again.
///
/// A [chain](super::super::Saga::chain) has this by its log; a saga that takes the first match
/// has it by this.
#[derive(Debug, Clone)]
pub struct Idempotency {
    cache: Cache,
    keep: Duration,
}

impl Idempotency {
    /// Keeps responses in a cache for this long.
    #[must_use]
    pub const fn new(cache: Cache, keep: Duration) -> Self {
        Self { cache, keep }
    }
}

#[async_trait]
impl<R: Send + Sync> Middleware<R> for Idempotency {
    async fn handle(
        &self,
        request: &mut R,
        context: &mut Context,
        next: Next<'_, R>,
    ) -> Result<Response, Failure> {
        let key = format!("{}#{}", context.key(), context.phase().as_str());
        if let Some(known) = self.cache.get::<Response>(&key, None).await? {
            return Ok(known);
        }
        let response = next.run(request, context).await?;
        if !response.comes_again() {
            // It is done: a cache that is full is no reason to say that it is not.
            if let Err(error) = self.cache.put(&key, &response, Some(self.keep)).await {
                tracing::warn!(key, %error, "a response is not kept: a repeat is done again");
            }
        }
        Ok(response)
    }
}
