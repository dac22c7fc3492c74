//! What an engine does: keeps tasks, and runs their steps when they are due.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::descriptor::TaskId;
use super::error::TaskError;
use super::step::{Resolve, TaskSpec};
use super::view::{Listing, Status, TaskHistory, TaskPage, TaskView};
use crate::failure::Failure;

/// Keeps tasks, and runs their steps when they are due.
///
/// # Behaviour
///
/// - A call is durable when it returns, and all or nothing.
/// - The identity of a task is its connector and its descriptor.
/// - Never do two steps of one task run at the same time, in whatever process.
/// - Tasks of a connector run only while it is [started](TaskEngine::start).
#[async_trait]
pub trait TaskEngine: Send + Sync {
    /// Begins to run the tasks of a connector, at most `limit` steps at a time; the ones of its
    /// past go on. Called again, it replaces both for the steps that follow.
    async fn start(
        &self,
        connector: &str,
        limit: usize,
        resolve: Arc<dyn Resolve>,
    ) -> Result<(), TaskError>;

    /// Stops to run the tasks of a connector: running steps are asked to end and get their
    /// grace. The tasks stay as they are, and go on with the next [`start`](TaskEngine::start).
    async fn halt(&self, connector: &str) -> Result<(), TaskError>;

    /// Stops to run the tasks of a connector, then forgets them with all of their past.
    async fn forget(&self, connector: &str) -> Result<(), TaskError>;

    /// Schedules a task; see [`Restart`](super::Restart) for one that is known already. Does not
    /// wait, whatever the schedule.
    async fn schedule(&self, connector: &str, task: TaskSpec) -> Result<Scheduled, TaskError>;

    /// Schedules a task and waits until its run ends. The task goes on if the caller does not
    /// wait to the end, and holds no worker while it waits for one.
    ///
    /// # Errors
    ///
    /// [`TaskError::Failed`] when the run fails, [`TaskError::TooLate`] after `patience`.
    async fn run(
        &self,
        connector: &str,
        task: TaskSpec,
        patience: Duration,
    ) -> Result<Scheduled, TaskError>;

    /// Returns a task.
    async fn task(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError>;

    /// Returns a task with its past.
    async fn history(&self, connector: &str, task: &TaskId) -> Result<TaskHistory, TaskError>;

    /// Lists tasks.
    async fn tasks(&self, connector: &str, listing: &Listing) -> Result<TaskPage, TaskError>;

    /// Has a task run now: one that failed, was stopped, waits to try again or for its time.
    ///
    /// # Errors
    ///
    /// [`TaskError::NotNow`] when it is paused.
    async fn retry(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError>;

    /// Keeps a task from running. A step at work ends first.
    ///
    /// # Errors
    ///
    /// [`TaskError::NotNow`] when it has ended.
    async fn pause(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError>;

    /// Lets a paused task run again, where it stands.
    ///
    /// # Errors
    ///
    /// [`TaskError::NotNow`] when it is not paused.
    async fn resume(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError>;

    /// Stops a task: a step at work is asked to end, and its outcome does not count.
    ///
    /// # Errors
    ///
    /// [`TaskError::NotNow`] when it has ended.
    async fn stop(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError>;

    /// Returns how the engine does.
    async fn health(&self) -> Health;

    /// Ends all work: running steps are asked to end and get their grace. The last call.
    async fn close(&self) -> Result<(), TaskError>;
}

/// A kind of engine that is somewhere else than in a file of the process.
#[async_trait]
pub trait EngineKind: Send + Sync {
    /// Returns what the addresses of such engines begin with, as `temporal://`.
    fn begins(&self) -> &'static [&'static str];

    /// Opens the engine at an address.
    ///
    /// # Errors
    ///
    /// When the address is not one, or nobody answers there.
    async fn open(&self, address: &str) -> Result<Arc<dyn TaskEngine>, Failure>;
}

/// What scheduling came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// The task.
    pub id: TaskId,
    /// What happened with it.
    pub effect: ScheduleEffect,
}

/// What scheduling did to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleEffect {
    /// It was new, or had ended, and starts.
    Started,
    /// It was stopped and starts again.
    Restarted,
    /// It is at work and runs once more afterwards.
    Queued,
    /// It runs, or waits to, and goes on.
    Active,
    /// It has ended and stays so.
    Ended,
}

/// How an engine does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Why tasks cannot go on, `None` when they can.
    pub trouble: Option<String>,
    /// Steps at work now, by connector.
    pub running: BTreeMap<String, u64>,
    /// Tasks by connector and where they stand.
    pub tasks: BTreeMap<String, BTreeMap<Status, u64>>,
    /// What was done since the start.
    pub done: Counts,
}

/// Counts since the start of the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Steps whose outcome is stored.
    pub steps: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// Runs that failed.
    pub failed_runs: u64,
    /// Runs that did what they were to do.
    pub done_runs: u64,
    /// Commits of the store.
    pub commits: u64,
}
