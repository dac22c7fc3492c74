//! One delivery of a request to a saga.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::build::{Mode, Request, Saga};
use super::chain;
use super::container::ScopeValues;
use super::context::{Context, Phase, Reached};
use super::first_match;
use super::middleware::{Inner, Next};
use super::progress::{Progress, Status};
use super::response::Response;
use super::transaction::{Compensation, Transaction};
use crate::failure::{Effect, Failure, FailureKind};

/// Longest id of a request.
const LONGEST_ID: usize = 200;

/// A request that is delivered.
#[derive(Debug)]
pub struct Delivery<R> {
    /// Id of the request: the same in every delivery of it.
    pub id: String,
    /// The request.
    pub request: R,
    /// Cancelled when the delivery has to end.
    pub cancel: CancellationToken,
    /// Values for the container that this delivery brings.
    pub values: ScopeValues,
}

impl<R> Delivery<R> {
    /// Makes a delivery that nobody ends.
    pub fn new(id: impl Into<String>, request: R) -> Self {
        Self {
            id: id.into(),
            request,
            cancel: CancellationToken::new(),
            values: ScopeValues::default(),
        }
    }

    /// Says by which token it is ended.
    #[must_use]
    pub fn cancel(mut self, cancel: CancellationToken) -> Self {
        self.cancel = cancel;
        self
    }

    /// Brings a value for the container; see
    /// [`ContainerBuilder::from_request`](super::container::ContainerBuilder::from_request).
    #[must_use]
    pub fn with<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.values.insert(value);
        self
    }
}

/// What a delivery came to.
#[derive(Debug)]
pub struct Delivered<R> {
    /// The answer.
    pub response: Response,
    /// The request, as steps left it.
    pub request: R,
    /// Where the chain stands; first match keeps nothing.
    pub progress: Option<Progress>,
}

impl<R> Delivered<R> {
    /// Returns where the chain stands.
    #[must_use]
    pub fn status(&self) -> Option<Status> {
        self.progress.as_ref().map(|progress| progress.status)
    }
}

impl<R: Request> Saga<R> {
    /// Delivers a request: chooses steps, does them, and compensates what fails.
    ///
    /// A chain that is over answers what it answered before.
    ///
    /// # Errors
    ///
    /// What could not be compensated or recorded; the platform delivers the request again then
    /// ([`Response::retry`]). A chain goes on with its next delivery from what is recorded.
    pub async fn deliver(&self, delivery: Delivery<R>) -> Result<Delivered<R>, Failure> {
        let Delivery {
            id,
            mut request,
            cancel,
            values,
        } = delivery;
        check_id(&id)?;
        let mut context = Context::new(Arc::clone(&self.name), id.into(), cancel);
        if let Some(container) = &self.container {
            context.scope = Some(container.scope_with(values)?);
        }
        // All of them before any is chosen, as those who know the framework before expect.
        let steps = self.transactions(&context).await?;
        let inner = Whole { saga: self, steps };
        let response = Next::new(&self.around, &inner)
            .run(&mut request, &mut context)
            .await?;
        Ok(self.delivered(response, request, &mut context))
    }

    /// Goes on with a chain from what is recorded, without a delivery.
    ///
    /// `unstick` tries again to undo what a person has looked at.
    ///
    /// # Errors
    ///
    /// As [`Saga::deliver`]; and when there is no such saga.
    pub async fn resume(
        &self,
        id: &str,
        unstick: bool,
        cancel: CancellationToken,
    ) -> Result<Delivered<R>, Failure> {
        check_id(id)?;
        let mut context = Context::new(Arc::clone(&self.name), id.into(), cancel);
        if let Some(container) = &self.container {
            context.scope = Some(container.scope());
        }
        let steps = self.transactions(&context).await?;
        let (response, request) = chain::resume(self, &steps, unstick, &mut context).await?;
        Ok(self.delivered(response, request, &mut context))
    }

    fn delivered(&self, response: Response, request: R, context: &mut Context) -> Delivered<R> {
        if let Response::Reschedule(wait) = &response
            && let Some(asked) = wait.asked
        {
            tracing::warn!(
                saga = &*self.name,
                id = context.id(),
                asked_s = asked,
                wait_s = wait.seconds,
                "the saga asked for a shorter wait than there is"
            );
        }
        Delivered {
            response,
            request,
            progress: context.remove::<Progress>(),
        }
    }
}

/// Refuses ids that would not be safe in keys, headers and log lines.
fn check_id(id: &str) -> Result<(), Failure> {
    let fine = |byte: u8| byte.is_ascii_graphic();
    if !id.is_empty() && id.len() <= LONGEST_ID && id.bytes().all(fine) {
        return Ok(());
    }
    Err(Failure::new(
        FailureKind::SourceData,
        format!("the id of the request is not 1 to {LONGEST_ID} letters, digits and signs"),
    )
    .with("id", id.escape_default().take(60).collect::<String>()))
}

/// What stands inside the middleware around deliveries.
struct Whole<'a, R> {
    saga: &'a Saga<R>,
    steps: Vec<Arc<dyn Transaction<R>>>,
}

#[async_trait]
impl<R: Request> Inner<R> for Whole<'_, R> {
    async fn call(&self, request: &mut R, context: &mut Context) -> Result<Response, Failure> {
        let ended = match self.saga.mode {
            Mode::FirstMatch => first_match::run(self.saga, &self.steps, request, context).await,
            Mode::Chain => chain::run(self.saga, &self.steps, request, context).await,
        };
        context.enter(None, Phase::Saga, 1);
        ended
    }
}

/// The execution of a step, inside its middleware.
pub(super) struct Execute<'a, R>(pub(super) &'a dyn Transaction<R>);

#[async_trait]
impl<R: Send + Sync> Inner<R> for Execute<'_, R> {
    async fn call(&self, request: &mut R, context: &mut Context) -> Result<Response, Failure> {
        // What stays if this future is dropped, or panics.
        let before = context.reached;
        context.called = true;
        context.reached = before.max(Reached::Unknown);
        let ended = self.0.execute(request, context).await;
        let now = match &ended {
            Ok(Response::Done) => Reached::Applied,
            Ok(Response::Skip { .. } | Response::Fail { .. }) => Reached::Nothing,
            Ok(Response::Reschedule(_) | Response::Retry { .. }) => Reached::Unknown,
            Err(failure) => match failure.effect() {
                Effect::NotApplied => Reached::Nothing,
                Effect::Applied => Reached::Applied,
                Effect::Unknown => Reached::Unknown,
            },
        };
        // An earlier try in the same attempt may have written though this one did not.
        context.reached = before.max(now);
        ended
    }
}

/// The compensation of a step, inside its middleware.
pub(super) struct Compensate<'a, R> {
    pub(super) step: &'a dyn Transaction<R>,
    pub(super) failure: &'a Failure,
}

/// Left in the context by a compensation that had nothing to undo.
pub(super) struct NothingToUndo;

#[async_trait]
impl<R: Send + Sync> Inner<R> for Compensate<'_, R> {
    async fn call(&self, request: &mut R, context: &mut Context) -> Result<Response, Failure> {
        match self.step.compensate(request, context, self.failure).await? {
            Compensation::Undone(response) => Ok(response),
            Compensation::Nothing => {
                context.insert(NothingToUndo);
                Ok(Response::Done)
            }
        }
    }
}

/// Executes a step with what stands around it.
pub(super) async fn execute<R: Request>(
    saga: &Saga<R>,
    step: &dyn Transaction<R>,
    request: &mut R,
    context: &mut Context,
) -> Result<Response, Failure> {
    let inner = Execute(step);
    let cancel = context.cancel.clone();
    super::attempt::guarded(
        step.name(),
        Next::new(&saga.around_steps, &inner).run(request, context),
        saga.limits,
        &cancel,
    )
    .await
}

/// Compensates a step with what stands around it; `None` if there is nothing to undo.
pub(super) async fn compensate<R: Request>(
    saga: &Saga<R>,
    step: &dyn Transaction<R>,
    failure: &Failure,
    request: &mut R,
    context: &mut Context,
) -> Result<Option<Response>, Failure> {
    let inner = Compensate { step, failure };
    let cancel = context.cancel.clone();
    context.remove::<NothingToUndo>();
    let response = super::attempt::guarded(
        step.name(),
        Next::new(&saga.around_steps, &inner).run(request, context),
        saga.limits,
        &cancel,
    )
    .await?;
    Ok(match context.remove::<NothingToUndo>() {
        Some(_) => None,
        None => Some(response),
    })
}

/// Asks a step whether it applies.
pub(super) async fn applies<R: Request>(
    saga: &Saga<R>,
    step: &dyn Transaction<R>,
    request: &R,
    context: &Context,
) -> Result<bool, Failure> {
    super::attempt::guarded(
        step.name(),
        step.should_execute(request, context),
        saga.limits,
        &context.cancel,
    )
    .await
}
