//! The engine: asks workflows, and has workers do their steps.

mod calls;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use car_core::Failure;
use car_core::tasks::{
    Activity, EngineKind, ScheduleEffect, Scheduled, TaskEngine, TaskError, TaskId, TaskSpec,
    TaskView,
};
use temporalio_client::{
    WorkflowDescribeOptions, WorkflowExecuteUpdateOptions, WorkflowExecutionStatus,
    WorkflowQueryOptions,
};
use temporalio_sdk::WorkerOptions;
use tokio::sync::Mutex;

use crate::address::Address;
use crate::called::Missing;
use crate::children::Children;
use crate::list;
use crate::message::{Action, Begin, Form, Input, RunEnd, Seen, Ways};
use crate::server::{STICKY, Server, version};
use crate::start::{handle, start};
use crate::steps::Steps;
use crate::worker::Running;
use crate::workflow::TaskWorkflow;

/// Grace for steps of an engine that is halted, beyond what their policies say.
const GRACE: Duration = Duration::from_secs(30);
/// First and longest wait between two looks at a run that is waited for.
const FIRST_LOOK: Duration = Duration::from_millis(5);
const LONGEST_LOOK: Duration = Duration::from_millis(500);

/// How the engine works.
#[derive(Debug, Clone)]
pub struct TemporalOptions {
    /// What the names of workflows and queues begin with. Engines with another one see nothing
    /// of each other.
    pub prefix: String,
    /// How long a process may be silent before its steps go on elsewhere.
    pub heartbeat: Duration,
    /// How often a step says that it is at work, and asks whether it is to end.
    pub beat: Duration,
    /// How long a call to the server may take.
    pub call: Duration,
    /// Most events in the history of a task, 0 for as many as the server suggests.
    pub history: u32,
}

impl Default for TemporalOptions {
    fn default() -> Self {
        Self {
            prefix: "car".to_owned(),
            heartbeat: Duration::from_secs(10),
            beat: Duration::from_secs(1),
            call: Duration::from_secs(20),
            history: 0,
        }
    }
}

/// Tasks on a Temporal server.
pub struct TemporalEngine {
    pub(crate) server: Server,
    pub(crate) ways: Ways,
    options: TemporalOptions,
    workflows: Running,
    connectors: Mutex<HashMap<String, Started>>,
    closed: AtomicBool,
}

/// A connector whose steps this process does.
struct Started {
    limit: usize,
    steps: Steps,
    worker: Running,
}

impl fmt::Debug for TemporalEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TemporalEngine")
            .field("address", &self.server.address)
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl TemporalEngine {
    /// Connects to a server.
    ///
    /// # Errors
    ///
    /// [`TaskError::Server`] when it is not there, or does not know the namespace.
    pub async fn connect(address: &Address, options: TemporalOptions) -> Result<Self, TaskError> {
        let server = Server::connect(address, options.call).await?;
        let ways = Ways {
            prefix: options.prefix.clone(),
            heartbeat: u64::try_from(options.heartbeat.as_millis()).unwrap_or(u64::MAX),
            history: options.history,
        };
        let worker = WorkerOptions::new(ways.tasks())
            .deployment_options(version())
            .sticky_queue_schedule_to_start_timeout(STICKY)
            .max_heartbeat_throttle_interval(options.beat)
            .default_heartbeat_throttle_interval(options.beat)
            .register_activities(Children)
            .register_workflow::<TaskWorkflow>()
            .map_err(|error| server.not_registered(error))?
            .build();
        let workflows = server.work(worker).await?;
        Ok(Self {
            server,
            ways,
            options,
            workflows,
            connectors: Mutex::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// Returns whether the engine was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    fn check(&self) -> Result<(), TaskError> {
        if self.is_closed() {
            return Err(TaskError::Stopped);
        }
        Ok(())
    }

    /// Starts the workflow of a task if it is new.
    async fn begin(&self, connector: &str, task: &TaskSpec) -> Result<bool, TaskError> {
        let begin = Begin {
            connector: connector.to_owned(),
            parent: None,
            task: task.clone(),
            key: None,
            waiter: None,
            ways: self.ways.clone(),
        };
        let input = Input(Form::New(Box::new(begin.clone())));
        let started = self
            .server
            .call(
                "take a task",
                true,
                start(&self.server.client, input, &begin),
            )
            .await;
        match started {
            Ok(()) => Ok(true),
            Err(Missing::NotThere) => Ok(false),
            Err(Missing::Failed(error)) => Err(error),
        }
    }

    /// Schedules a task; returns the run to wait for, too.
    async fn place(&self, connector: &str, task: TaskSpec) -> Result<(Scheduled, u64), TaskError> {
        self.check()?;
        let id = task.descriptor().id(connector);
        let workflow = self.ways.workflow(connector, &id);
        // One that somebody ends by hand in between is new again.
        loop {
            if self.begin(connector, &task).await? {
                let effect = ScheduleEffect::Started;
                return Ok((Scheduled { id, effect }, 1));
            }
            let known = handle(&self.server.client, &workflow);
            let options = WorkflowExecuteUpdateOptions::default();
            let update = known.execute_update(TaskWorkflow::schedule, task.clone(), options);
            match self.server.call("schedule a task", true, update).await {
                Ok(again) => {
                    let effect = again.effect;
                    return Ok((Scheduled { id, effect }, again.run));
                }
                Err(Missing::NotThere) => {}
                Err(Missing::Failed(error)) => return Err(error),
            }
        }
    }

    /// Returns a task as its workflow and the server see it.
    pub(crate) async fn look(&self, connector: &str, id: &TaskId) -> Result<TaskView, TaskError> {
        let missing = |missing| match missing {
            Missing::NotThere => no_task(connector, id),
            Missing::Failed(error) => error,
        };
        let task = handle(&self.server.client, &self.ways.workflow(connector, id));
        let describe = task.describe(WorkflowDescribeOptions::default());
        let described = self
            .server
            .call("find a task", false, describe)
            .await
            .map_err(missing)?;
        if !is_open(described.status()) {
            return Err(no_task(connector, id));
        }
        let query = task.query(TaskWorkflow::seen, (), WorkflowQueryOptions::default());
        let Seen { mut view, step } = self
            .server
            .call("tell of a task", false, query)
            .await
            .map_err(missing)?;
        if step {
            // Described once more: the step may have come after the first time.
            let describe = task.describe(WorkflowDescribeOptions::default());
            let described = self
                .server
                .call("find a task", false, describe)
                .await
                .map_err(missing)?;
            view.activity = match list::step_has_begun(&described) {
                true => Activity::Running,
                false if view.attempts > 0 => Activity::Retrying,
                false => Activity::Due,
            };
        }
        Ok(view)
    }

    async fn act(
        &self,
        connector: &str,
        id: &TaskId,
        action: Action,
        done: &'static str,
    ) -> Result<TaskView, TaskError> {
        self.check()?;
        let task = handle(&self.server.client, &self.ways.workflow(connector, id));
        let options = WorkflowExecuteUpdateOptions::default();
        let update = task.execute_update(TaskWorkflow::act, action, options);
        match self.server.call("change a task", true, update).await {
            Ok(None) => self.look(connector, id).await,
            Ok(Some(status)) => Err(TaskError::NotNow {
                status: status.as_str(),
                action: done,
            }),
            Err(Missing::NotThere) => Err(no_task(connector, id)),
            Err(Missing::Failed(error)) => Err(error),
        }
    }

    /// Waits until a run has ended.
    async fn wait(&self, connector: &str, id: &TaskId, run: u64) -> Result<(), TaskError> {
        let task = handle(&self.server.client, &self.ways.workflow(connector, id));
        let mut look = FIRST_LOOK;
        loop {
            self.check()?;
            let options = WorkflowQueryOptions::default();
            let query = task.query(TaskWorkflow::run_end, run, options);
            match self.server.call("tell of a task", false, query).await {
                Ok(RunEnd::Done) => return Ok(()),
                Ok(RunEnd::Failed(error)) => return Err(TaskError::Failed(error)),
                Err(Missing::NotThere) => return Err(no_task(connector, id)),
                // The server may be away for a while; the task is not.
                Ok(RunEnd::NotYet) | Err(Missing::Failed(_)) => {}
            }
            tokio::time::sleep(look).await;
            look = look.saturating_mul(2).min(LONGEST_LOOK);
        }
    }

    async fn end(started: Started) {
        started.worker.shut_down();
        started.steps.stop();
        started.worker.ended(GRACE).await;
    }
}
/// The kind of engine, for connectors that offer it to `serve`.
#[derive(Debug, Clone, Copy, Default)]
pub struct Temporal;

#[async_trait]
impl EngineKind for Temporal {
    fn begins(&self) -> &'static [&'static str] {
        &["temporal://", "temporals://"]
    }

    async fn open(&self, address: &str) -> Result<Arc<dyn TaskEngine>, Failure> {
        let address: Address = address.parse()?;
        let engine = TemporalEngine::connect(&address, TemporalOptions::default()).await?;
        Ok(Arc::new(engine))
    }
}

pub(crate) fn no_task(connector: &str, id: &TaskId) -> TaskError {
    TaskError::NoTask {
        connector: connector.to_owned(),
        task: id.clone(),
    }
}

fn is_open(status: WorkflowExecutionStatus) -> bool {
    matches!(
        status,
        WorkflowExecutionStatus::Running | WorkflowExecutionStatus::ContinuedAsNew
    )
}
