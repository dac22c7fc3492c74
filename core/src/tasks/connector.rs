//! Connectors that are installed: what an author writes for one, and what it is given.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::descriptor::TaskDescriptor;
use super::engine::{Scheduled, TaskEngine};
use super::error::TaskError;
use super::ingest::{CarAccess, Ingester};
use super::schedule::Restart;
use super::step::{Resolve, Task, TaskSpec};
use super::view::Status;
use crate::connector::About;
use crate::failure::{Failure, FailureKind};

/// What stands for a secret wherever settings are shown. Sent back, it means the secret that is
/// stored.
pub const HIDDEN: &str = "********";

/// A kind of connector that can be installed.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Returns the name of the kind: `payments`.
    fn name(&self) -> &str;

    /// Says in a sentence what it does.
    fn description(&self) -> String;

    /// Returns the JSON Schema of the settings.
    fn schema(&self) -> Value;

    /// Returns the most steps of one connector that run at a time.
    fn limit(&self) -> usize {
        8
    }

    /// Fills gaps with defaults. Called before settings are stored, so that they mean the same
    /// later, whatever the defaults are then.
    fn complete(&self, settings: Value) -> Value {
        settings
    }

    /// Returns the settings with [`HIDDEN`] in the place of each secret.
    fn hide(&self, settings: &Value) -> Value;

    /// Makes a connector of settings. Checks them, and talks to nobody.
    ///
    /// # Errors
    ///
    /// [`InvalidParameter`](FailureKind::InvalidParameter), with a text that names the setting.
    async fn load(
        &self,
        settings: &Value,
        context: &ConnectorContext,
    ) -> Result<Arc<dyn TaskConnector>, Failure>;
}

/// A connector that is installed.
///
/// # Behaviour
///
/// Each call may come again after one that did not come to its end, and then brings about the
/// same.
#[async_trait]
pub trait TaskConnector: Send + Sync {
    /// Schedules the first tasks. Not called when the process starts again: tasks go on.
    ///
    /// # Errors
    ///
    /// Any failure: everything is undone, [`uninstall`](Self::uninstall) included, and nothing
    /// of the connector stays.
    async fn install(&self, context: &ConnectorContext) -> Result<(), Failure>;

    /// Undoes what was done outside. Called once no step is at work, and before the tasks go.
    ///
    /// # Errors
    ///
    /// Any failure: the connector stays, and its tasks go on.
    async fn uninstall(&self, _context: &ConnectorContext) -> Result<(), Failure> {
        Ok(())
    }

    /// Applies its settings to the tasks of a connector that had others, most often by scheduling
    /// them again with [`Restart::StopAndRestart`](super::Restart::StopAndRestart) or
    /// [`Restart::IfNotActive`](super::Restart::IfNotActive).
    ///
    /// # Errors
    ///
    /// Any failure: the settings before are applied again.
    async fn update(&self, context: &ConnectorContext) -> Result<(), Failure> {
        self.install(context).await
    }

    /// Finds the task of a descriptor.
    ///
    /// # Errors
    ///
    /// When the descriptor means nothing to the connector.
    fn resolve(&self, descriptor: &TaskDescriptor) -> Result<Arc<dyn Task>, Failure>;
}

/// Lets an engine resolve what belongs to a connector.
pub(super) struct Resolver(pub(super) Arc<dyn TaskConnector>);

impl Resolve for Resolver {
    fn resolve(&self, descriptor: &TaskDescriptor) -> Result<Arc<dyn Task>, Failure> {
        self.0.resolve(descriptor)
    }
}

/// What a connector is given.
#[derive(Clone)]
pub struct ConnectorContext {
    name: Arc<str>,
    engine: Arc<dyn TaskEngine>,
    car: Option<Arc<CarAccess>>,
    cancel: CancellationToken,
}

impl ConnectorContext {
    pub(super) fn new(
        name: &str,
        engine: Arc<dyn TaskEngine>,
        car: Option<Arc<CarAccess>>,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            name: name.into(),
            engine,
            car,
            cancel,
        }
    }

    /// Returns the name under which the connector is installed. It is the name of its source in
    /// the graph, too, where the connector has no other.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what is cancelled when the process ends.
    #[must_use]
    pub const fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Schedules a task. A step spawns its children through its outcome instead, so that they
    /// are stored together with the state.
    ///
    /// # Errors
    ///
    /// As [`TaskEngine::schedule`].
    pub async fn schedule(&self, task: TaskSpec) -> Result<Scheduled, TaskError> {
        self.engine.schedule(&self.name, task).await
    }

    /// Schedules a task and waits until its run ends.
    ///
    /// # Errors
    ///
    /// As [`TaskEngine::run`].
    pub async fn run(&self, task: TaskSpec, patience: Duration) -> Result<Scheduled, TaskError> {
        self.engine.run(&self.name, task, patience).await
    }

    /// Has a task run now, and once more if it runs already; for connectors that hear of news before
    /// a period has passed. A task that is paused or has ended is left alone. Tells whether it runs.
    ///
    /// # Errors
    ///
    /// As [`TaskEngine::task`] and [`TaskEngine::schedule`].
    pub async fn wake(&self, task: TaskSpec) -> Result<bool, TaskError> {
        let id = task.descriptor.id(&self.name);
        if self.engine.task(&self.name, &id).await?.status != Status::Active {
            return Ok(false);
        }
        self.schedule(task.restart(Restart::Always)).await?;
        Ok(true)
    }

    /// Returns the way into the graph for a source. `about` gives title, description and schema
    /// extension.
    ///
    /// # Errors
    ///
    /// When the process has no CAR service, or no service takes the name of the source.
    pub fn ingester(&self, source: &str, about: About) -> Result<Arc<Ingester>, Failure> {
        let Some(car) = &self.car else {
            return Err(Failure::new(
                FailureKind::InvalidParameter,
                "there is no CAR service to bring anything into",
            )
            .hint("give `--car-service-url`, `--car-service-key` and `--car-service-password`"));
        };
        Ingester::new(Arc::clone(car), source, about, self.cancel.clone()).map(Arc::new)
    }
}

impl std::fmt::Debug for ConnectorContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectorContext")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
