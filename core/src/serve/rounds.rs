//! Work on requests on schedule: a task with one step, so that it is retried, paused and shown as
//! every other.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::failure::{Failure, FailureKind};
use crate::saga::{Rounds, SagaDesk};
use crate::tasks::{
    ConnectorContext, Outcome, Policy, Recurring, Restart, Schedule, Step, Task, TaskConnector,
    TaskDescriptor, TaskSpec,
};

/// The rounds of a connector with sagas.
pub(crate) struct SagaRounds {
    desk: Arc<dyn SagaDesk>,
    rounds: Rounds,
}

impl SagaRounds {
    pub(crate) fn new(desk: Arc<dyn SagaDesk>, rounds: Rounds) -> Self {
        Self { desk, rounds }
    }
}

#[async_trait]
impl TaskConnector for SagaRounds {
    async fn install(&self, context: &ConnectorContext) -> Result<(), Failure> {
        let policy = Policy::default()
            .waits(Duration::from_secs(5), self.rounds.every)
            .attempts(4)
            .step_timeout(self.rounds.longest)
            .grace(Duration::from_secs(9))
            .pause_after(0);
        let task = TaskSpec::of("round")?
            .name(format!("work on {}", self.rounds.name))
            .schedule(Schedule::Every(Recurring::period(self.rounds.every)?))
            .restart(Restart::IfNotActive)
            .policy(policy);
        context.schedule(task).await?;
        Ok(())
    }

    fn resolve(&self, descriptor: &TaskDescriptor) -> Result<Arc<dyn Task>, Failure> {
        if descriptor.as_str() != "\"round\"" {
            return Err(Failure::new(
                FailureKind::General,
                format!("there is no task {descriptor} in a connector with sagas"),
            ));
        }
        Ok(Arc::new(Round(Arc::clone(&self.desk))))
    }
}

/// One round.
struct Round(Arc<dyn SagaDesk>);

#[async_trait]
impl Task for Round {
    async fn step(&self, step: Step) -> Result<Outcome, Failure> {
        let done = self.0.round(step.cancel.clone()).await;
        if step.cancel.is_cancelled() {
            return Err(step.interrupted());
        }
        Outcome::done().with_state(&done?)
    }
}
