//! Puts sagas together, and checks them before anything is delivered.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::attempt::Limits;
use super::container::{Container, ContainerError, Scope};
use super::context::Context;
use super::log::SagaLog;
use super::middleware::{Again, Middleware};
use super::response::Response;
use super::transaction::{BoxFuture, Transaction};
use crate::failure::{Failure, FailureKind};

/// What a saga works on: what a delivery brings, and what steps change.
///
/// A [chain](Saga::chain) writes it in its log as JSON after each step.
pub trait Request: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Request for T {}

/// What the answer is when no step applies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoMatch {
    /// [`Response::Done`].
    Done,
    /// [`Response::Skip`], with a reason.
    Skip,
    /// [`Response::Fail`], with a reason.
    Fail,
    /// [`Response::Retry`], with a reason: the platform delivers it again and again.
    Retry,
}

impl NoMatch {
    pub(super) fn response(&self) -> Response {
        let reason = "no step applies";
        match self {
            Self::Done => Response::Done,
            Self::Skip => Response::skip_because(reason),
            Self::Fail => Response::fail(reason),
            Self::Retry => Response::retry(reason),
        }
    }
}

/// Which steps of a saga are done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// The first one that applies, and no other.
    FirstMatch,
    /// All that apply, in order.
    Chain,
}

/// How a chain tries again to undo a step.
#[derive(Debug, Clone, Copy)]
pub struct UndoPolicy {
    /// Tries after which the saga is stuck.
    pub tries: u32,
    /// The first wait; each one after it is twice as long.
    pub first: Duration,
    /// The longest wait.
    pub longest: Duration,
}

impl Default for UndoPolicy {
    fn default() -> Self {
        Self {
            tries: 5,
            first: Duration::from_millis(200),
            longest: Duration::from_secs(10),
        }
    }
}

impl UndoPolicy {
    pub(super) fn wait(&self, failed: u32) -> Duration {
        Again {
            tries: self.tries,
            first: self.first,
            longest: self.longest,
        }
        .wait(failed)
    }
}

type Built<'a, R> = BoxFuture<'a, Result<Arc<dyn Transaction<R>>, ContainerError>>;

pub(super) enum Candidate<R> {
    Ready(Arc<dyn Transaction<R>>),
    FromContainer(fn(&Scope) -> Built<'_, R>),
}

type Check = fn(&Container) -> Result<(), ContainerError>;
/// Brings what is kept up to date with what is delivered.
type Refresh<R> = dyn Fn(&mut R, R) + Send + Sync;

/// Why a saga cannot be put together.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A chain has no steps.
    #[error("saga `{0}` has no steps")]
    Empty(String),
    /// A chain has nowhere to record its steps.
    #[error("saga `{0}` has no log: a chain records its steps")]
    NoLog(String),
    /// Steps come from a container, and there is none.
    #[error("saga `{0}` takes steps from a container, and has none")]
    NoContainer(String),
    /// Two steps have one name: their records could not be told apart.
    #[error("saga `{saga}` has two steps named `{step}`")]
    TwoSteps {
        /// The saga.
        saga: String,
        /// The name.
        step: String,
    },
    /// A step is not bound in the container.
    #[error("saga `{saga}` cannot take its steps from the container")]
    Container {
        /// The saga.
        saga: String,
        /// What is missing.
        #[source]
        source: ContainerError,
    },
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self::new(FailureKind::General, "a saga is not put together right").because(error)
    }
}

/// Steps, and how they are done.
pub struct Saga<R> {
    pub(super) name: Arc<str>,
    pub(super) mode: Mode,
    pub(super) no_match: NoMatch,
    pub(super) candidates: Vec<Candidate<R>>,
    pub(super) around: Vec<Arc<dyn Middleware<R>>>,
    pub(super) around_steps: Vec<Arc<dyn Middleware<R>>>,
    pub(super) container: Option<Container>,
    pub(super) log: Option<Arc<dyn SagaLog>>,
    pub(super) undo: UndoPolicy,
    pub(super) crashes: u32,
    pub(super) limits: Limits,
    pub(super) refresh: Option<Box<Refresh<R>>>,
    checks: Vec<Check>,
}

impl<R> fmt::Debug for Saga<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Saga")
            .field("name", &self.name)
            .field("mode", &self.mode)
            .field("steps", &self.candidates.len())
            .finish_non_exhaustive()
    }
}

impl<R: Request> Saga<R> {
    /// Begins a saga that does the first step that applies, and no other; on an error of that
    /// step, its compensation answers.
    #[must_use]
    pub fn first_match(name: impl Into<Arc<str>>, no_match: NoMatch) -> SagaBuilder<R> {
        SagaBuilder::new(name.into(), Mode::FirstMatch, no_match)
    }

    /// Begins a saga that does all steps that apply, in order; when one fails, those that are
    /// done are undone in reverse. Every step is recorded before and after.
    #[must_use]
    pub fn chain(name: impl Into<Arc<str>>, no_match: NoMatch) -> SagaBuilder<R> {
        SagaBuilder::new(name.into(), Mode::Chain, no_match)
    }
}

impl<R> Saga<R> {
    /// Returns its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns which of its steps are done.
    #[must_use]
    pub const fn mode(&self) -> Mode {
        self.mode
    }

    /// Makes all steps, in order.
    pub(super) async fn transactions(
        &self,
        context: &Context,
    ) -> Result<Vec<Arc<dyn Transaction<R>>>, Failure> {
        let mut made = Vec::with_capacity(self.candidates.len());
        for candidate in &self.candidates {
            made.push(match candidate {
                Candidate::Ready(step) => Arc::clone(step),
                Candidate::FromContainer(make) => {
                    let scope = context.services().ok_or_else(|| {
                        Failure::new(FailureKind::General, "the saga has no container")
                    })?;
                    make(scope).await?
                }
            });
        }
        // Those from the container tell their names only now.
        let mut names = BTreeSet::new();
        for step in &made {
            if !names.insert(step.name()) {
                return Err(BuildError::TwoSteps {
                    saga: self.name.to_string(),
                    step: step.name().to_owned(),
                }
                .into());
            }
        }
        Ok(made)
    }
}

/// Puts a saga together.
pub struct SagaBuilder<R>(Saga<R>);

impl<R> fmt::Debug for SagaBuilder<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SagaBuilder").field(&self.0).finish()
    }
}

impl<R: Request> SagaBuilder<R> {
    fn new(name: Arc<str>, mode: Mode, no_match: NoMatch) -> Self {
        Self(Saga {
            name,
            mode,
            no_match,
            candidates: Vec::new(),
            around: Vec::new(),
            around_steps: Vec::new(),
            container: None,
            log: None,
            undo: UndoPolicy::default(),
            crashes: 5,
            limits: Limits {
                limit: Duration::from_secs(300),
                grace: Duration::from_secs(5),
            },
            refresh: None,
            checks: Vec::new(),
        })
    }

    /// Adds a step.
    #[must_use]
    pub fn step(mut self, step: impl Transaction<R> + 'static) -> Self {
        self.0.candidates.push(Candidate::Ready(Arc::new(step)));
        self
    }

    /// Adds a step that the container makes, anew for each delivery if it is bound so.
    #[must_use]
    pub fn step_of<T: Transaction<R> + 'static>(mut self) -> Self {
        fn make<R, T: Transaction<R> + 'static>(scope: &Scope) -> Built<'_, R> {
            Box::pin(async move {
                let step: Arc<dyn Transaction<R>> = scope.get::<T>().await?;
                Ok(step)
            })
        }
        self.0
            .candidates
            .push(Candidate::FromContainer(make::<R, T>));
        self.0.checks.push(|container| container.check::<T>());
        self
    }

    /// Adds a middleware around whole deliveries: the choice of steps, the steps, and their
    /// compensation. The first one is the outermost.
    #[must_use]
    pub fn around(mut self, middleware: impl Middleware<R> + 'static) -> Self {
        self.0.around.push(Arc::new(middleware));
        self
    }

    /// Adds a middleware around each execution, and each compensation, of each step. The first
    /// one is the outermost.
    #[must_use]
    pub fn around_steps(mut self, middleware: impl Middleware<R> + 'static) -> Self {
        self.0.around_steps.push(Arc::new(middleware));
        self
    }

    /// Gives it services; each delivery gets those that are made per request anew.
    #[must_use]
    pub fn container(mut self, container: Container) -> Self {
        self.0.container = Some(container);
        self
    }

    /// Says where steps are recorded.
    #[must_use]
    pub fn log(mut self, log: Arc<dyn SagaLog>) -> Self {
        self.0.log = Some(log);
        self
    }

    /// Says how a chain tries again to undo a step.
    #[must_use]
    pub const fn undo(mut self, policy: UndoPolicy) -> Self {
        self.0.undo = policy;
        self
    }

    /// Says how often a crash may end a step before the step counts as failed; 5, if not said.
    #[must_use]
    pub const fn crashes(mut self, most: u32) -> Self {
        self.0.crashes = most;
        self
    }

    /// Says how long an execution or a compensation may take, its middleware counted; 300 s, if
    /// not said. Only what awaits can be cut off.
    #[must_use]
    pub const fn step_limit(mut self, limit: Duration) -> Self {
        self.0.limits.limit = limit;
        self
    }

    /// Says how long a step may go on once the delivery has to end; 5 s, if not said.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.0.limits.grace = grace;
        self
    }

    /// Says how what a chain has recorded takes over what a later delivery of the request
    /// brings. Nothing, if not said: what is recorded goes on as it is.
    #[must_use]
    pub fn on_redelivery(mut self, refresh: impl Fn(&mut R, R) + Send + Sync + 'static) -> Self {
        self.0.refresh = Some(Box::new(refresh));
        self
    }

    /// Checks it.
    ///
    /// # Errors
    ///
    /// [`BuildError`]: what would otherwise fail with the first delivery.
    pub fn build(self) -> Result<Saga<R>, BuildError> {
        let saga = self.0;
        let name = || saga.name.to_string();
        if saga.mode == Mode::Chain {
            if saga.candidates.is_empty() {
                return Err(BuildError::Empty(name()));
            }
            if saga.log.is_none() {
                return Err(BuildError::NoLog(name()));
            }
        }
        match &saga.container {
            Some(container) => {
                for check in &saga.checks {
                    check(container).map_err(|source| BuildError::Container {
                        saga: name(),
                        source,
                    })?;
                }
            }
            None if !saga.checks.is_empty() => return Err(BuildError::NoContainer(name())),
            None => {}
        }
        let mut names = BTreeSet::new();
        for candidate in &saga.candidates {
            if let Candidate::Ready(step) = candidate
                && !names.insert(step.name().to_owned())
            {
                return Err(BuildError::TwoSteps {
                    saga: name(),
                    step: step.name().to_owned(),
                });
            }
        }
        Ok(saga)
    }
}
