//! What an author writes: one step of a task at a time.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::descriptor::{TaskDescriptor, TaskId};
use super::error::TaskError;
use super::policy::Policy;
use super::schedule::{Restart, Schedule};
use crate::failure::{Failure, FailureKind};

/// Most children that one step may spawn. Whoever has more spawns them in several steps.
pub const MOST_CHILDREN: usize = 1000;
/// Largest state, in bytes of JSON.
pub const LARGEST_STATE: usize = 1024 * 1024;

/// Work that is done in steps. The engine owns looping, state, time and retries.
#[async_trait]
pub trait Task: Send + Sync {
    /// Does one step: takes the stored state, gives the new one and says what comes next.
    ///
    /// # Behaviour
    ///
    /// - A step whose outcome is not stored is done again with the same state: after a failure,
    ///   a kill, a stop. What it does outside must bear that.
    /// - Everything in the outcome is stored together or not at all: state, children, what comes
    ///   next.
    /// - The steps of a task come one after the other, never side by side.
    /// - A step that takes long watches [`Step::cancel`]; once it is cancelled it returns what it
    ///   has, or [`Step::interrupted`], within the grace period, or is cut off.
    ///
    /// # Errors
    ///
    /// Any failure. One with a [`Retry`](crate::failure::Retry) is tried again as the policy and
    /// the failure say; any other ends the run. A panic is a failure that is not tried again.
    async fn step(&self, step: Step) -> Result<Outcome, Failure>;
}

/// Finds the code for a descriptor.
pub trait Resolve: Send + Sync {
    /// Returns the task of a descriptor. Called for each step, so that a descriptor which cannot
    /// be resolved fails on its own.
    ///
    /// # Errors
    ///
    /// When the descriptor means nothing to the connector: the run fails.
    fn resolve(&self, descriptor: &TaskDescriptor) -> Result<Arc<dyn Task>, Failure>;
}

impl<F> Resolve for F
where
    F: Fn(&TaskDescriptor) -> Result<Arc<dyn Task>, Failure> + Send + Sync,
{
    fn resolve(&self, descriptor: &TaskDescriptor) -> Result<Arc<dyn Task>, Failure> {
        self(descriptor)
    }
}

/// What a step is given.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Step {
    /// The connector.
    pub connector: Arc<str>,
    /// Id of the task.
    pub task: TaskId,
    /// What the task is.
    pub descriptor: TaskDescriptor,
    /// Number of the run, from 1.
    pub run: u64,
    /// Number of the step in the run, from 1.
    pub number: u64,
    /// Number of the attempt at this step, from 1.
    pub attempt: u32,
    /// The children that the last step waited for, and how they ended.
    pub waited: Vec<Waited>,
    /// Cancelled when the step has to end.
    pub cancel: CancellationToken,
    pub(crate) state: Option<Arc<str>>,
}

/// How a child ended that was waited for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waited {
    /// The child.
    pub descriptor: TaskDescriptor,
    /// Why it failed, `None` if it did not.
    pub error: Option<String>,
}

impl Step {
    /// Makes the first step of the first run, with the state that is stored. Engines set the
    /// numbers of a later one.
    #[must_use]
    pub fn new(
        connector: Arc<str>,
        task: TaskId,
        descriptor: TaskDescriptor,
        state: Option<Arc<str>>,
    ) -> Self {
        Self {
            connector,
            task,
            descriptor,
            run: 1,
            number: 1,
            attempt: 1,
            waited: Vec::new(),
            cancel: CancellationToken::new(),
            state,
        }
    }

    /// Reads the state, or gives a default one before there is any.
    ///
    /// # Errors
    ///
    /// When the stored state is not what the type asks for: another version wrote it.
    pub fn state<S: DeserializeOwned + Default>(&self) -> Result<S, Failure> {
        match &self.state {
            None => Ok(S::default()),
            Some(text) => serde_json::from_str(text).map_err(|error| {
                Failure::new(FailureKind::General, "the state of the task cannot be read")
                    .with("task", &self.task)
                    .because(error)
                    .hint("another version of the connector wrote it; reset the connector")
            }),
        }
    }

    /// Says that the step ended before its end because it was asked to. It is done again.
    #[must_use]
    pub fn interrupted(&self) -> Failure {
        Failure::new(FailureKind::Interrupted, "the step was asked to stop")
    }
}

/// What a step leads to.
#[derive(Debug)]
#[must_use]
pub struct Outcome {
    pub(crate) state: Option<Value>,
    pub(crate) next: Next,
    pub(crate) children: Vec<TaskSpec>,
}

/// What comes after a step.
#[derive(Debug)]
pub enum Next {
    /// Nothing: the run is done. A recurring task runs again at its time.
    Done,
    /// Another step, at once.
    Again,
    /// Another step, after a time.
    After(Duration),
    /// Nothing: the run has failed, but what else the outcome holds is stored. The failure is
    /// not tried again, whatever it says.
    Fail(Failure),
}

impl Outcome {
    /// Ends the run.
    pub const fn done() -> Self {
        Self::new(Next::Done)
    }

    /// Asks for another step at once.
    pub const fn again() -> Self {
        Self::new(Next::Again)
    }

    /// Asks for another step after a time.
    pub const fn after(wait: Duration) -> Self {
        Self::new(Next::After(wait))
    }

    /// Fails, and keeps what else is in the outcome.
    pub const fn fail(failure: Failure) -> Self {
        Self::new(Next::Fail(failure))
    }

    const fn new(next: Next) -> Self {
        Self {
            state: None,
            next,
            children: Vec::new(),
        }
    }

    /// Takes it apart, as engines do: the new state, what comes next, the children.
    #[must_use]
    pub fn into_parts(self) -> (Option<Value>, Next, Vec<TaskSpec>) {
        (self.state, self.next, self.children)
    }

    /// Replaces the state. Without this call it stays as it is.
    ///
    /// # Errors
    ///
    /// When it cannot be written as JSON.
    pub fn with_state(mut self, state: &impl Serialize) -> Result<Self, Failure> {
        let state = serde_json::to_value(state).map_err(|error| {
            Failure::new(FailureKind::General, "the state of the task is no JSON").because(error)
        })?;
        self.state = Some(state);
        Ok(self)
    }

    /// Spawns a child: a task of its own, which lives on whatever happens to this one.
    pub fn spawn(mut self, child: TaskSpec) -> Self {
        self.children.push(child);
        self
    }

    /// Spawns children.
    pub fn spawn_all(mut self, children: impl IntoIterator<Item = TaskSpec>) -> Self {
        self.children.extend(children);
        self
    }
}

/// A task to be scheduled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskSpec {
    pub(crate) descriptor: TaskDescriptor,
    pub(crate) name: String,
    pub(crate) schedule: Schedule,
    pub(crate) restart: Restart,
    pub(crate) policy: Policy,
}

impl TaskSpec {
    /// Describes a task that runs at once, and never again.
    #[must_use]
    pub fn new(descriptor: TaskDescriptor) -> Self {
        let mut name: String = descriptor.as_str().chars().take(80).collect();
        if let Ok(text) = descriptor.read::<String>() {
            name = text.chars().take(200).collect();
        }
        Self {
            descriptor,
            name,
            schedule: Schedule::default(),
            restart: Restart::default(),
            policy: Policy::default(),
        }
    }

    /// Describes a task by anything that is JSON.
    ///
    /// # Errors
    ///
    /// As [`TaskDescriptor::new`].
    pub fn of(descriptor: impl Serialize) -> Result<Self, TaskError> {
        TaskDescriptor::new(descriptor).map(Self::new)
    }

    /// Sets the name that people see.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets when it runs.
    #[must_use]
    pub fn schedule(mut self, schedule: Schedule) -> Self {
        self.schedule = schedule;
        self
    }

    /// Sets what happens when it is known already.
    #[must_use]
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// Sets how its steps are tried.
    #[must_use]
    pub fn policy(mut self, policy: Policy) -> Self {
        self.policy = policy;
        self
    }

    /// Returns what the task is.
    #[must_use]
    pub const fn descriptor(&self) -> &TaskDescriptor {
        &self.descriptor
    }

    /// Returns whether a task that spawns it waits for its end.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
        self.schedule == Schedule::NowAndWait
    }

    /// Takes it apart, as engines do.
    #[must_use]
    pub fn into_parts(self) -> SpecParts {
        SpecParts {
            descriptor: self.descriptor,
            name: self.name,
            schedule: self.schedule,
            restart: self.restart,
            policy: self.policy,
        }
    }
}

/// A task to be scheduled, for engines.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpecParts {
    /// What it is.
    pub descriptor: TaskDescriptor,
    /// The name that people see.
    pub name: String,
    /// When it runs.
    pub schedule: Schedule,
    /// What happens when it is known already.
    pub restart: Restart,
    /// How its steps are tried.
    pub policy: Policy,
}
