//! The first step that applies, and no other.

use std::sync::Arc;

use super::build::{Request, Saga};
use super::context::{Context, Phase};
use super::deliver::{applies, compensate, execute};
use super::response::Response;
use super::transaction::Transaction;
use crate::failure::Failure;

/// Chooses a step, does it, and compensates it if it fails.
pub(super) async fn run<R: Request>(
    saga: &Saga<R>,
    steps: &[Arc<dyn Transaction<R>>],
    request: &mut R,
    context: &mut Context,
) -> Result<Response, Failure> {
    for step in steps {
        context.enter(Some(step.name()), Phase::Execute, 1);
        if !applies(saga, &**step, request, context).await? {
            continue;
        }
        let failure = match execute(saga, &**step, request, context).await {
            Ok(response) => return Ok(response),
            Err(failure) => failure,
        };
        // Middleware that fails before the step leaves nothing to compensate; one that fails
        // after it does, as the step itself does.
        if !context.called {
            return Err(failure);
        }
        context.enter(Some(step.name()), Phase::Compensate, 1);
        return match compensate(saga, &**step, &failure, request, context).await? {
            Some(response) => {
                tracing::warn!(
                    saga = context.saga(),
                    id = context.id(),
                    step = step.name(),
                    error = failure.chain().join(": "),
                    "the step failed and is compensated"
                );
                Ok(response)
            }
            None => Err(failure),
        };
    }
    Ok(saga.no_match.response())
}
