//! A log line for each execution and compensation.

use std::time::Instant;

use async_trait::async_trait;

use super::{Middleware, Next};
use crate::failure::Failure;
use crate::saga::context::Context;
use crate::saga::response::Response;

/// Writes a log line when something ends, and how. Nothing of the request is in it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Logging;

#[async_trait]
impl<R: Send + Sync> Middleware<R> for Logging {
    async fn handle(
        &self,
        request: &mut R,
        context: &mut Context,
        next: Next<'_, R>,
    ) -> Result<Response, Failure> {
        let began = Instant::now();
        let (phase, attempt) = (context.phase(), context.attempt());
        let step = context.step().unwrap_or_default().to_owned();
        let ended = next.run(request, context).await;
        let (saga, id, phase) = (context.saga(), context.id(), phase.as_str());
        let duration_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &ended {
            Ok(response) => tracing::info!(
                saga,
                id,
                step,
                phase,
                attempt,
                duration_ms,
                result = response.as_str(),
                "a part of a saga ended"
            ),
            Err(failure) => tracing::warn!(
                saga,
                id,
                step,
                phase,
                attempt,
                duration_ms,
                error = failure.chain().join(": "),
                "a part of a saga failed"
            ),
        }
        ended
    }
}
