//! Tries again what may succeed later: capped exponential backoff with jitter, and a deadline.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use backon::{BackoffBuilder, ExponentialBuilder};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::car::{Answer, Call, CallStats, CarCall};
use crate::failure::{Effect, Failure, FailureKind, Retry};
use crate::progress::{Event, Reporter};

/// When and how often to try again.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// First wait.
    pub first: Duration,
    /// Longest wait, also for what the other side asks.
    pub longest: Duration,
    /// No attempt begins later than this after the first one.
    pub deadline: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            first: Duration::from_millis(250),
            longest: Duration::from_secs(30),
            deadline: Duration::from_secs(120),
        }
    }
}

/// A wait between two attempts.
#[derive(Debug)]
pub struct Wait<'a> {
    /// Number of the attempt that failed, from 1.
    pub attempt: u32,
    /// How long the wait is.
    pub wait: Duration,
    /// Why the attempt failed.
    pub failure: &'a Failure,
}

impl Backoff {
    /// Makes attempts until one succeeds, one fails for good, the time is over or the run is
    /// cancelled.
    ///
    /// `on_wait` is told of every wait before it begins.
    ///
    /// # Errors
    ///
    /// The last attempt's failure, or one of kind `Interrupted`.
    pub async fn retry<T, A, F>(
        &self,
        cancel: &CancellationToken,
        mut attempt: A,
        mut on_wait: impl FnMut(Wait<'_>),
    ) -> Result<T, Failure>
    where
        A: FnMut() -> F,
        F: Future<Output = Result<T, Failure>>,
    {
        let started = Instant::now();
        let mut waits = ExponentialBuilder::default()
            .with_min_delay(self.first)
            .with_max_delay(self.longest)
            .with_jitter()
            .without_max_times()
            .build();
        let mut number: u32 = 1;
        // An attempt that may have been carried out is not undone by a later one that was not.
        let mut effect = Effect::NotApplied;
        loop {
            let failure = match attempt().await {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            if failure.effect() != Effect::NotApplied {
                effect = failure.effect();
            }
            let failure = failure.with_effect(effect);
            let backoff = waits.next().unwrap_or(self.longest).min(self.longest);
            let wait = match failure.retry() {
                Retry::Never => return Err(failure),
                Retry::Backoff => backoff,
                // Without a time of their own, those who ask for none would be asked in a loop.
                Retry::After(Duration::ZERO) => backoff,
                Retry::After(asked) => asked.min(self.longest),
            };
            if started.elapsed().saturating_add(wait) > self.deadline {
                return Err(given_up(failure, number, started.elapsed()));
            }
            on_wait(Wait {
                attempt: number,
                wait,
                failure: &failure,
            });
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = cancel.cancelled() => {
                    return Err(Failure::new(FailureKind::Interrupted, "stopped while waiting to try again")
                        .with_effect(effect)
                        .because(failure));
                }
            }
            number = number.saturating_add(1);
        }
    }
}

/// Waits for an attempt, or for the end of the run, whichever comes first. For calls that change
/// nothing: one that hangs must not hold up a run that is asked to stop.
pub(crate) async fn or_cancelled<T>(
    cancel: &CancellationToken,
    attempt: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    tokio::select! {
        result = attempt => result,
        () = cancel.cancelled() => {
            Err(Failure::new(FailureKind::Interrupted, "stopped by a signal"))
        }
    }
}

fn given_up(failure: Failure, attempts: u32, elapsed: Duration) -> Failure {
    if attempts == 1 {
        return failure;
    }
    failure
        .wrap(format!(
            "gave up after {attempts} attempts in {:.0} s",
            elapsed.as_secs_f64()
        ))
        .with_retry(Retry::Never)
}

/// Tries calls to the CAR service again.
pub(crate) struct RetryCalls<C> {
    pub(crate) inner: C,
    pub(crate) backoff: Backoff,
    pub(crate) stats: Arc<CallStats>,
    pub(crate) reporter: Arc<dyn Reporter>,
    pub(crate) cancel: CancellationToken,
}

#[async_trait]
impl<C: CarCall> CarCall for RetryCalls<C> {
    async fn call(&self, call: &Call) -> Result<Answer, Failure> {
        let attempt = || self.inner.call(call);
        self.backoff
            .retry(&self.cancel, attempt, |wait| {
                self.stats.retried(wait.wait);
                self.reporter.report(&Event::Waiting {
                    call: call.name.to_owned(),
                    attempt: wait.attempt,
                    wait: wait.wait,
                    error: wait.failure.chain(),
                });
            })
            .await
            .map_err(|failure| {
                failure.wrap(format!(
                    "call `{}` failed: {} {}/{}",
                    call.name,
                    call.method.as_str(),
                    call.version,
                    call.path,
                ))
            })
    }
}
