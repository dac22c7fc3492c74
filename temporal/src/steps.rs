//! A step as an activity: made by the process that has its connector, and kept alive by
//! heartbeats, through which it learns that it is to end.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use car_core::tasks::{
    Attempted, LARGEST_STATE, MOST_CHILDREN, Resolve, Step as TaskStep, attempt,
};
use car_core::{Failure, FailureKind};
use serde::{Deserialize, Serialize};
use temporalio_macros::activities;
use temporalio_sdk::activities::{ActivityContext, ActivityError};
use tokio_util::sync::CancellationToken;

use crate::message::{Report, StepInput, Then};
use crate::shared::Shared;

/// Most bytes that the server takes of one outcome, less what it needs for itself.
const LARGEST_OUTCOME: usize = 1_900_000;

/// Makes the steps of a connector. Its clones share everything.
#[derive(Clone)]
pub(crate) struct Steps(Arc<Inner>);

struct Inner {
    connector: Arc<str>,
    resolve: RwLock<Arc<dyn Resolve>>,
    stop: CancellationToken,
    beat: Duration,
    shared: Arc<Shared>,
}

/// What came of a step, and when it began, in milliseconds since 1970.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct StepReport {
    pub(crate) began: i64,
    pub(crate) report: Report,
}

#[activities]
impl Steps {
    #[activity(name = "car-step")]
    pub(crate) async fn step(
        self: Arc<Self>,
        ctx: ActivityContext,
        input: StepInput,
    ) -> Result<StepReport, ActivityError> {
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let began = i64::try_from(now.as_millis()).unwrap_or(i64::MAX);
        self.0.shared.began(&self.0.connector);
        let report = self.make(&ctx, input).await;
        self.0.shared.ended(&self.0.connector, &report);
        Ok(StepReport { began, report })
    }
}

impl Steps {
    pub(crate) fn new(
        connector: &str,
        resolve: Arc<dyn Resolve>,
        beat: Duration,
        shared: Arc<Shared>,
    ) -> Self {
        Self(Arc::new(Inner {
            connector: connector.into(),
            resolve: RwLock::new(resolve),
            stop: CancellationToken::new(),
            beat,
            shared,
        }))
    }

    /// Replaces the code for the steps that follow.
    pub(crate) fn replace(&self, resolve: Arc<dyn Resolve>) {
        *self
            .0
            .resolve
            .write()
            .unwrap_or_else(PoisonError::into_inner) = resolve;
    }

    /// Asks all steps to end.
    pub(crate) fn stop(&self) {
        self.0.stop.cancel();
    }

    async fn make(&self, ctx: &ActivityContext, input: StepInput) -> Report {
        let resolve = Arc::clone(
            &self
                .0
                .resolve
                .read()
                .unwrap_or_else(PoisonError::into_inner),
        );
        let stop = self.0.stop.child_token();
        let state = input.state.as_ref().map(|state| state.to_string().into());
        let mut step = TaskStep::new(
            Arc::clone(&self.0.connector),
            input.task.clone(),
            input.descriptor,
            state,
        );
        (step.run, step.number, step.attempt) = (input.run, input.number, input.attempt);
        step.waited = input.waited;
        let attempted = tokio::select! {
            attempted = attempt(resolve, step, &input.policy, &stop) => attempted,
            () = self.beat(ctx, &stop) => Attempted::Interrupted,
        };
        let failed = |failure: &Failure| Report::Failed {
            error: failure.chain().join(": "),
            wait: input
                .policy
                .next_wait(failure, input.attempt, input.task.as_str()),
        };
        match attempted {
            Attempted::Interrupted => Report::Interrupted,
            Attempted::Failed(failure) => failed(&failure),
            Attempted::Ended(outcome) => {
                let report = Report::from(outcome);
                match check(&report) {
                    Ok(()) => report,
                    Err(failure) => failed(&failure),
                }
            }
        }
    }

    /// Tells the server that the step is at work, until it is not; learns that it is to end.
    async fn beat(&self, ctx: &ActivityContext, stop: &CancellationToken) {
        loop {
            // Fails only when nothing can be made of nothing.
            drop(ctx.record_heartbeat(()).await);
            tokio::select! {
                () = ctx.cancelled(), if !stop.is_cancelled() => stop.cancel(),
                () = tokio::time::sleep(self.0.beat) => {}
            }
        }
    }
}

/// Checks that an outcome is within bounds.
fn check(report: &Report) -> Result<(), Failure> {
    let Report::Ended {
        state, children, ..
    } = report
    else {
        return Ok(());
    };
    let too_much = |text: String| {
        Err(Failure::new(FailureKind::General, text)
            .hint("a step that has more to do does it in several steps"))
    };
    if children.len() > MOST_CHILDREN {
        return too_much(format!(
            "the step spawns {} children, and may spawn {MOST_CHILDREN}",
            children.len()
        ));
    }
    let bytes = state.as_ref().map_or(0, |state| state.to_string().len());
    if bytes > LARGEST_STATE {
        return too_much(format!(
            "the state of the task has {bytes} bytes, and may have {LARGEST_STATE}"
        ));
    }
    let bytes = serde_json::to_vec(report).map_or(0, |text| text.len());
    if bytes > LARGEST_OUTCOME {
        return too_much(format!(
            "the outcome of the step has {bytes} bytes, and Temporal takes {LARGEST_OUTCOME}"
        ));
    }
    Ok(())
}

/// Returns whether a report ends the run, and whether the run failed.
pub(crate) fn ends_run(report: &Report) -> Option<bool> {
    match report {
        Report::Ended { then, .. } => match then {
            Then::Done => Some(false),
            Then::Fail(_) => Some(true),
            Then::Again | Then::After(_) => None,
        },
        Report::Failed { wait: None, .. } => Some(true),
        Report::Failed { .. } | Report::Interrupted | Report::Lost { .. } => None,
    }
}
