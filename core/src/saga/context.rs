//! What a step, and the middleware around it, knows beside the request.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::container::Scope;

/// What a middleware stands around.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// A whole delivery: the choice of steps, the steps, and their compensation.
    Saga,
    /// One execution of one step.
    Execute,
    /// One try to compensate a step.
    Compensate,
}

impl Phase {
    /// Returns its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Saga => "saga",
            Self::Execute => "execute",
            Self::Compensate => "compensate",
        }
    }
}

/// How far the step itself came, below the middleware: what decides whether it has to be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) enum Reached {
    /// It was not called, or says that it wrote nothing.
    #[default]
    Nothing,
    /// It was called, and nobody knows whether it wrote.
    Unknown,
    /// It wrote.
    Applied,
}

/// What a step knows beside the request. Lives as long as the delivery.
pub struct Context {
    pub(super) saga: Arc<str>,
    pub(super) id: Arc<str>,
    pub(super) step: Option<Arc<str>>,
    pub(super) phase: Phase,
    pub(super) attempt: u32,
    pub(super) cancel: CancellationToken,
    pub(super) reached: Reached,
    pub(super) called: bool,
    pub(super) scope: Option<Scope>,
    values: HashMap<TypeId, Box<dyn Any + Send + Sync>>,
}

impl Context {
    pub(super) fn new(saga: Arc<str>, id: Arc<str>, cancel: CancellationToken) -> Self {
        Self {
            saga,
            id,
            step: None,
            phase: Phase::Saga,
            attempt: 1,
            cancel,
            reached: Reached::Nothing,
            called: false,
            scope: None,
            values: HashMap::new(),
        }
    }

    /// Returns the name of the saga.
    #[must_use]
    pub fn saga(&self) -> &str {
        &self.saga
    }

    /// Returns the id of the request that is worked on.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the name of the step, if one is at work.
    #[must_use]
    pub fn step(&self) -> Option<&str> {
        self.step.as_deref()
    }

    /// Returns what is being done.
    #[must_use]
    pub const fn phase(&self) -> Phase {
        self.phase
    }

    /// Returns the number of this attempt at the step, from 1. Attempts that a crash ended count.
    #[must_use]
    pub const fn attempt(&self) -> u32 {
        self.attempt
    }

    /// Returns the key of the step's effect: the same in every attempt, in every process, and
    /// different for every other step, request and saga. Compensation has one of its own. A
    /// system that is given the key with a write does the write once.
    #[must_use]
    pub fn key(&self) -> String {
        let key = self.executed_key();
        match self.phase {
            Phase::Saga | Phase::Execute => key,
            Phase::Compensate => key + "/undo",
        }
    }

    /// Returns the key that the step is executed with: what a compensation undoes.
    #[must_use]
    pub fn executed_key(&self) -> String {
        let step = self.step.as_deref().unwrap_or_default();
        format!("{}/{}/{step}", self.saga, self.id)
    }

    /// Returns the token that is cancelled when the delivery has to end; long waits watch it.
    #[must_use]
    pub const fn cancel(&self) -> &CancellationToken {
        &self.cancel
    }

    /// Returns the services of this delivery, if the saga has a container.
    #[must_use]
    pub const fn services(&self) -> Option<&Scope> {
        self.scope.as_ref()
    }

    /// Keeps a value for others that see this delivery; returns the one of this type before.
    pub fn insert<T: Send + Sync + 'static>(&mut self, value: T) -> Option<T> {
        let old = self.values.insert(TypeId::of::<T>(), Box::new(value))?;
        old.downcast().ok().map(|old| *old)
    }

    /// Returns the value of a type.
    #[must_use]
    pub fn get<T: Send + Sync + 'static>(&self) -> Option<&T> {
        self.values.get(&TypeId::of::<T>())?.downcast_ref()
    }

    /// Returns the value of a type, to change it.
    #[must_use]
    pub fn get_mut<T: Send + Sync + 'static>(&mut self) -> Option<&mut T> {
        self.values.get_mut(&TypeId::of::<T>())?.downcast_mut()
    }

    /// Takes the value of a type out.
    pub fn remove<T: Send + Sync + 'static>(&mut self) -> Option<T> {
        let old = self.values.remove(&TypeId::of::<T>())?;
        old.downcast().ok().map(|old| *old)
    }

    pub(super) fn enter(&mut self, step: Option<&str>, phase: Phase, attempt: u32) {
        self.step = step.map(Arc::from);
        self.phase = phase;
        self.attempt = attempt;
        self.reached = Reached::Nothing;
        self.called = false;
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("saga", &self.saga)
            .field("id", &self.id)
            .field("step", &self.step)
            .field("phase", &self.phase)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
