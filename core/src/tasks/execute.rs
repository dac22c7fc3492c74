//! One attempt at one step: its time, its end, its panics.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::{JoinError, JoinHandle};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::policy::Policy;
use super::step::{Outcome, Resolve, Step};
use crate::failure::{Effect, Failure, FailureKind, Retry};

/// How an attempt ended.
#[derive(Debug)]
pub enum Attempted {
    /// With an outcome.
    Ended(Outcome),
    /// With a failure.
    Failed(Failure),
    /// It was asked to stop, and did or was cut off.
    Interrupted,
}

/// Makes an attempt at a step; `stop` asks it to end. A step that takes longer than the policy
/// allows is asked to end too.
pub async fn attempt(
    resolve: Arc<dyn Resolve>,
    step: Step,
    policy: &Policy,
    stop: &CancellationToken,
) -> Attempted {
    let cancel = step.cancel.clone();
    let mut work = tokio::spawn(async move {
        let task = resolve.resolve(&step.descriptor)?;
        task.step(step).await
    });
    let limit = Duration::from_millis(policy.step_timeout.max(1));
    let ended = tokio::select! {
        ended = &mut work => return ended_by_itself(ended, false),
        () = stop.cancelled() => None,
        () = tokio::time::sleep(limit) => Some(too_slow(limit)),
    };
    cancel.cancel();
    let grace = Duration::from_millis(policy.grace);
    let late = in_grace(work, grace).await;
    match (late, ended) {
        // What was done in time counts.
        (Some(Attempted::Ended(outcome)), _) => Attempted::Ended(outcome),
        (Some(Attempted::Failed(failure)), _) if failure.kind() != FailureKind::Interrupted => {
            Attempted::Failed(failure)
        }
        (_, Some(failure)) => Attempted::Failed(failure),
        (_, None) => Attempted::Interrupted,
    }
}

/// Waits for a step that was asked to end, and cuts it off when it does not.
async fn in_grace(
    mut work: JoinHandle<Result<Outcome, Failure>>,
    grace: Duration,
) -> Option<Attempted> {
    match timeout(grace, &mut work).await {
        Ok(ended) => Some(ended_by_itself(ended, true)),
        Err(_) => {
            work.abort();
            None
        }
    }
}

fn ended_by_itself(
    ended: Result<Result<Outcome, Failure>, JoinError>,
    asked_to: bool,
) -> Attempted {
    match ended {
        Ok(Ok(outcome)) => Attempted::Ended(outcome),
        Ok(Err(failure)) if failure.kind() == FailureKind::Interrupted && asked_to => {
            Attempted::Interrupted
        }
        // Nobody asked this step: what it used was stopped, and may be back later.
        Ok(Err(failure)) if failure.kind() == FailureKind::Interrupted => {
            Attempted::Failed(failure.with_retry(Retry::Backoff))
        }
        Ok(Err(failure)) => Attempted::Failed(failure),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => Attempted::Failed(panicked(panic.as_ref())),
            // Only the end of the runtime cancels what nobody aborts.
            Err(_) => Attempted::Interrupted,
        },
    }
}

fn panicked(panic: &(dyn Any + Send)) -> Failure {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message");
    Failure::new(FailureKind::General, format!("the task panicked: {text}"))
        .with_effect(Effect::Unknown)
        .hint("this is a defect of the connector")
}

fn too_slow(limit: Duration) -> Failure {
    Failure::new(
        FailureKind::General,
        format!("the step took longer than {} s", limit.as_secs_f64()),
    )
    .with_retry(Retry::Backoff)
    .with_effect(Effect::Unknown)
    .hint("a step that takes long does less at a time, or its task has a longer step timeout")
}
