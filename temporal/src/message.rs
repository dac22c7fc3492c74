//! What goes to and fro between workflows, steps and engines, as JSON. It is stored in the
//! histories of workflows: fields may be added with a default, and none may change its meaning.

use car_core::tasks::{
    Next, Outcome, Policy, ScheduleEffect, TaskDescriptor, TaskId, TaskSpec, TaskView, Waited,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::machine::Machine;

/// What a workflow begins with.
#[doc(hidden)]
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Input(pub(crate) Form);

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Form {
    /// A task that is new.
    New(Box<Begin>),
    /// A task whose history has grown long.
    Continued(Box<Machine>),
}

/// A task that is new.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Begin {
    pub(crate) connector: String,
    pub(crate) parent: Option<TaskId>,
    pub(crate) task: TaskSpec,
    /// Names the step that spawned it, so that it does so once.
    pub(crate) key: Option<String>,
    pub(crate) waiter: Option<Waiter>,
    pub(crate) ways: Ways,
}

/// How the workflows of an engine work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ways {
    pub(crate) prefix: String,
    /// Milliseconds without a heartbeat after which the process of a step counts as dead.
    pub(crate) heartbeat: u64,
    /// Most events of a history, 0 for what the server suggests.
    pub(crate) history: u32,
}

impl Ways {
    pub(crate) fn workflow(&self, connector: &str, task: &TaskId) -> String {
        format!("{}/{connector}/{task}", self.prefix)
    }

    /// Queue of the workflows.
    pub(crate) fn tasks(&self) -> String {
        format!("{}-tasks", self.prefix)
    }

    /// Queue of a connector's steps.
    pub(crate) fn steps(&self, connector: &str) -> String {
        format!("{}-steps-{connector}", self.prefix)
    }

    /// What the workflows of a connector are found by.
    pub(crate) fn mark(&self, connector: &str) -> String {
        format!("{}/{connector}", self.prefix)
    }
}

/// A task that waits for the run of another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Waiter {
    pub(crate) task: TaskId,
    /// Tells one wait of the task from another.
    pub(crate) wait: u64,
    /// The task, those that wait for it, and so on.
    pub(crate) chain: Vec<TaskId>,
}

/// Asks a task that is known to run, in the name of a step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Spawned {
    pub(crate) task: TaskSpec,
    pub(crate) key: String,
    pub(crate) waiter: Option<Waiter>,
}

/// Children that a step leads to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Brood {
    pub(crate) connector: String,
    pub(crate) parent: TaskId,
    pub(crate) key: String,
    pub(crate) children: Vec<TaskSpec>,
    /// Whether children that are to be waited for are.
    pub(crate) waiter: Option<Waiter>,
    pub(crate) ways: Ways,
}

/// Tells a task that a child has ended for which it waits.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ChildEnded {
    pub(crate) child: TaskId,
    pub(crate) wait: u64,
    pub(crate) error: Option<String>,
}

/// Moves the time of a task ahead of the server's, in tests.
#[doc(hidden)]
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ahead {
    /// Milliseconds.
    pub by: i64,
    /// Whether no process was there meanwhile.
    pub away: bool,
}

/// What a step is given.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct StepInput {
    pub(crate) connector: String,
    pub(crate) task: TaskId,
    pub(crate) descriptor: TaskDescriptor,
    pub(crate) state: Option<Value>,
    pub(crate) policy: Policy,
    pub(crate) run: u64,
    pub(crate) number: u64,
    pub(crate) attempt: u32,
    pub(crate) waited: Vec<Waited>,
    pub(crate) generation: u64,
}

/// What came of a step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Report {
    /// An outcome.
    Ended {
        state: Option<Value>,
        then: Then,
        children: Vec<TaskSpec>,
    },
    /// A failure, with the milliseconds until the next attempt if there is one.
    Failed { error: String, wait: Option<i64> },
    /// It was asked to end, and did.
    Interrupted,
    /// The process that was at it is gone.
    Lost { why: String },
}

/// What comes after a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Then {
    Done,
    Again,
    /// Again, after so many milliseconds.
    After(i64),
    Fail(String),
}

impl From<Outcome> for Report {
    fn from(outcome: Outcome) -> Self {
        let (state, next, children) = outcome.into_parts();
        let then = match next {
            Next::Done => Then::Done,
            Next::Again => Then::Again,
            Next::After(wait) => Then::After(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX)),
            Next::Fail(failure) => Then::Fail(failure.chain().join(": ")),
        };
        Self::Ended {
            state,
            then,
            children,
        }
    }
}

/// What people do to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Action {
    Retry,
    Pause,
    Resume,
    Stop,
    /// Takes back a step that no process has begun.
    Withdraw,
}

/// What becomes of an action: the status in which it is not possible, or nothing.
pub(crate) type Acted = Option<car_core::tasks::Status>;

/// What scheduling a task that is known came to.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct Again {
    pub(crate) effect: ScheduleEffect,
    /// The run that whoever waits has to wait for.
    pub(crate) run: u64,
}

/// A task as its workflow sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) view: TaskView,
    /// Whether a step is with the server, begun or not.
    pub(crate) step: bool,
}

/// How a run ended, or that it has not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum RunEnd {
    NotYet,
    Done,
    Failed(String),
}
