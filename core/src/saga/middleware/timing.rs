//! How long each part took, for those who stand around it.

use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::{Middleware, Next};
use crate::failure::Failure;
use crate::saga::context::{Context, Phase};
use crate::saga::response::Response;

/// Notes in the context how long each part took: [`Timings`].
#[derive(Debug, Clone, Copy, Default)]
pub struct Timing;

/// How long each part took, in the order in which they ended.
#[derive(Debug, Clone, Default)]
pub struct Timings(
    /// The step, if it is one, the phase, and the time.
    pub Vec<(Option<String>, Phase, Duration)>,
);

#[async_trait]
impl<R: Send + Sync> Middleware<R> for Timing {
    async fn handle(
        &self,
        request: &mut R,
        context: &mut Context,
        next: Next<'_, R>,
    ) -> Result<Response, Failure> {
        let began = Instant::now();
        let part = (context.step().map(str::to_owned), context.phase());
        let ended = next.run(request, context).await;
        let took = began.elapsed();
        match context.get_mut::<Timings>() {
            Some(timings) => timings.0.push((part.0, part.1, took)),
            None => drop(context.insert(Timings(vec![(part.0, part.1, took)]))),
        }
        ended
    }
}
