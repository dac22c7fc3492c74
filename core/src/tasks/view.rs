//! What can be seen of tasks.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::descriptor::{TaskDescriptor, TaskId};
use super::schedule::Schedule;

/// Where a task stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Status {
    /// It runs, or waits to.
    Active,
    /// It waits until somebody resumes it.
    Paused,
    /// It was stopped.
    Stopped,
    /// It has done what it was to do.
    Terminated,
    /// It failed for good; somebody may retry it.
    Failed,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Active,
        Self::Paused,
        Self::Stopped,
        Self::Terminated,
        Self::Failed,
    ];

    /// Returns the word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "ACTIVE",
            Self::Paused => "PAUSED",
            Self::Stopped => "STOPPED",
            Self::Terminated => "TERMINATED",
            Self::Failed => "FAILED",
        }
    }

    /// Reads the word for it.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|status| status.as_str().eq_ignore_ascii_case(word))
    }
}

/// What a task is doing just now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Nothing, and nothing is planned.
    None,
    /// A step is at work.
    Running,
    /// It waits for its time.
    Waiting,
    /// It is due and waits for a worker, or for its connector to be there.
    Due,
    /// It waits to try a step again.
    Retrying,
    /// It waits for children.
    Children,
}

/// A task. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct TaskView {
    /// Its id.
    pub id: TaskId,
    /// Its connector.
    pub connector: String,
    /// The task that spawned it first.
    pub parent: Option<TaskId>,
    /// Its name for people.
    pub name: String,
    /// What it is.
    pub descriptor: TaskDescriptor,
    /// When it runs.
    pub schedule: Schedule,
    /// Where it stands.
    pub status: Status,
    /// What it is doing.
    pub activity: Activity,
    /// Its state, the connector's own.
    pub state: Option<Value>,
    /// Why the last run, or the last attempt of the present one, failed: outermost first.
    pub error: Option<String>,
    /// Why it is paused.
    pub reason: Option<String>,
    /// Runs so far, the present one included.
    pub runs: u64,
    /// Failed runs in a row.
    pub failed_runs: u64,
    /// Failed attempts at the present step.
    pub attempts: u32,
    /// When it is due next.
    pub next: Option<i64>,
    /// When it was made.
    pub created_at: i64,
    /// When anything changed.
    pub updated_at: i64,
}

impl TaskView {
    /// Makes a task that nothing was done with; engines set the rest.
    #[must_use]
    pub fn new(
        connector: impl Into<String>,
        descriptor: TaskDescriptor,
        schedule: Schedule,
        created_at: i64,
    ) -> Self {
        let connector = connector.into();
        Self {
            id: descriptor.id(&connector),
            connector,
            parent: None,
            name: String::new(),
            descriptor,
            schedule,
            status: Status::Active,
            activity: Activity::None,
            state: None,
            error: None,
            reason: None,
            runs: 0,
            failed_runs: 0,
            attempts: 0,
            next: None,
            created_at,
            updated_at: created_at,
        }
    }
}

/// A run that has ended. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunView {
    /// Its number, from 1.
    pub run: u64,
    /// When it began.
    pub began_at: i64,
    /// When it ended.
    pub ended_at: i64,
    /// How it ended.
    pub outcome: RunOutcome,
    /// Steps that it made.
    pub steps: u64,
    /// Attempts that failed.
    pub failed_attempts: u64,
    /// Why it failed.
    pub error: Option<String>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunOutcome {
    /// It did what it was to do.
    Done,
    /// It failed.
    Failed,
    /// It was stopped.
    Stopped,
}

impl RunOutcome {
    /// Returns the word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// An attempt that failed. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AttemptView {
    /// Number of the run.
    pub run: u64,
    /// Number of the step in the run.
    pub step: u64,
    /// Number of the attempt at the step.
    pub attempt: u32,
    /// When it began.
    pub began_at: i64,
    /// When it ended.
    pub ended_at: i64,
    /// Why it failed.
    pub error: String,
    /// Milliseconds until the next attempt, `None` if there is none.
    pub wait: Option<i64>,
}

/// A task with what is kept of its past, the latest first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskHistory {
    /// The task.
    pub task: TaskView,
    /// Its runs that have ended.
    pub runs: Vec<RunView>,
    /// Its attempts that failed.
    pub attempts: Vec<AttemptView>,
}

/// Which tasks to list.
#[derive(Debug, Clone, Default)]
pub struct Listing {
    /// Where the page before ended.
    pub after: Option<String>,
    /// Most tasks; 1 to 1000.
    pub limit: Option<u32>,
    /// Only those that stand so.
    pub status: Option<Status>,
    /// Only the children of this task.
    pub parent: Option<TaskId>,
    /// Only those that no task spawned.
    pub roots: bool,
}

/// A page of tasks, the latest made first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskPage {
    /// The tasks.
    pub tasks: Vec<TaskView>,
    /// What to give as [`Listing::after`] for the next page, `None` at the end.
    pub next: Option<String>,
}
