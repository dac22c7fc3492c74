//! One step: when it applies, what it does, and how that is undone.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::context::Context;
use super::response::Response;
use crate::failure::Failure;

/// What travels with a future that borrows its arguments.
pub type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One step of a saga.
///
/// # Behaviour
///
/// - [`execute`](Transaction::execute) and [`compensate`](Transaction::compensate) are called
///   again after a crash, with the same [key](Context::key), and have to end in the same place.
/// - A [`Failure`] says by its [effect](Failure::effect) whether the step wrote; in a chain, one
///   that may have is compensated too.
/// - What later steps, or later deliveries, need is left in the request.
#[async_trait]
pub trait Transaction<R>: Send + Sync {
    /// Names the step; the name is in the log and in keys, so it stays when the code changes.
    fn name(&self) -> &str;

    /// Says whether the step applies to the request.
    ///
    /// # Errors
    ///
    /// When that cannot be told; nothing of this step was done then.
    async fn should_execute(&self, request: &R, context: &Context) -> Result<bool, Failure>;

    /// Does the step.
    ///
    /// # Errors
    ///
    /// When it fails. One that is merely refused answers [`Response::fail`].
    async fn execute(&self, request: &mut R, context: &mut Context) -> Result<Response, Failure>;

    /// Undoes the step, `failure` being what went wrong: in this step, or in a later one.
    ///
    /// Also called when it is not known whether the step was done; what is not there is undone.
    ///
    /// # Errors
    ///
    /// When it could not be undone; a chain tries again.
    async fn compensate(
        &self,
        _request: &mut R,
        _context: &mut Context,
        _failure: &Failure,
    ) -> Result<Compensation, Failure> {
        Ok(Compensation::Nothing)
    }
}

/// What a compensation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Compensation {
    /// There is nothing to undo. First match: the failure goes on as it was.
    Nothing,
    /// It is undone. First match: the delivery is answered with this. Chain: it is, if the step
    /// is the one that failed.
    Undone(Response),
}

type Predicate<R> = Box<dyn Fn(&R) -> bool + Send + Sync>;
type Execution<R> = Box<
    dyn for<'a> Fn(&'a mut R, &'a mut Context) -> BoxFuture<'a, Result<Response, Failure>>
        + Send
        + Sync,
>;
type Undoing<R> = Box<
    dyn for<'a> Fn(
            &'a mut R,
            &'a mut Context,
            &'a Failure,
        ) -> BoxFuture<'a, Result<Response, Failure>>
        + Send
        + Sync,
>;

/// A step made of closures: it applies always, does nothing and undoes nothing, until told
/// otherwise.
///
/// ```
/// use car_core::saga::{Response, Step};
///
/// # struct Order { seats: u32 }
/// let reserve = Step::<Order>::new("reserve")
///     .when(|order| order.seats > 0)
///     .execute(|order, context| Box::pin(async move {
///         let _key = context.key();
///         order.seats += 1;
///         Ok(Response::done())
///     }))
///     .compensate(|order, _, _| Box::pin(async move {
///         order.seats -= 1;
///         Ok(Response::fail("no seat is left"))
///     }));
/// ```
pub struct Step<R> {
    name: String,
    when: Option<Predicate<R>>,
    execute: Option<Execution<R>>,
    compensate: Option<Undoing<R>>,
}

impl<R> Step<R> {
    /// Names a step.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            when: None,
            execute: None,
            compensate: None,
        }
    }

    /// Says when it applies.
    #[must_use]
    pub fn when(mut self, predicate: impl Fn(&R) -> bool + Send + Sync + 'static) -> Self {
        self.when = Some(Box::new(predicate));
        self
    }

    /// Says what it does.
    #[must_use]
    pub fn execute(
        mut self,
        execute: impl for<'a> Fn(&'a mut R, &'a mut Context) -> BoxFuture<'a, Result<Response, Failure>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.execute = Some(Box::new(execute));
        self
    }

    /// Says what it does, where that waits for nothing.
    #[must_use]
    pub fn execute_now(
        self,
        execute: impl Fn(&mut R, &mut Context) -> Result<Response, Failure> + Send + Sync + 'static,
    ) -> Self
    where
        R: Send,
    {
        self.execute(move |request, context| {
            Box::pin(std::future::ready(execute(request, context)))
        })
    }

    /// Says how it is undone.
    #[must_use]
    pub fn compensate(
        mut self,
        compensate: impl for<'a> Fn(
            &'a mut R,
            &'a mut Context,
            &'a Failure,
        ) -> BoxFuture<'a, Result<Response, Failure>>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.compensate = Some(Box::new(compensate));
        self
    }

    /// Says how it is undone, where that waits for nothing.
    #[must_use]
    pub fn compensate_now(
        self,
        compensate: impl Fn(&mut R, &mut Context, &Failure) -> Result<Response, Failure>
        + Send
        + Sync
        + 'static,
    ) -> Self
    where
        R: Send,
    {
        self.compensate(move |request, context, failure| {
            Box::pin(std::future::ready(compensate(request, context, failure)))
        })
    }
}

impl<R> fmt::Debug for Step<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[async_trait]
impl<R: Send + Sync> Transaction<R> for Step<R> {
    fn name(&self) -> &str {
        &self.name
    }

    async fn should_execute(&self, request: &R, _context: &Context) -> Result<bool, Failure> {
        Ok(self.when.as_ref().is_none_or(|when| when(request)))
    }

    async fn execute(&self, request: &mut R, context: &mut Context) -> Result<Response, Failure> {
        match &self.execute {
            Some(execute) => execute(request, context).await,
            None => Ok(Response::Done),
        }
    }

    async fn compensate(
        &self,
        request: &mut R,
        context: &mut Context,
        failure: &Failure,
    ) -> Result<Compensation, Failure> {
        match &self.compensate {
            Some(compensate) => compensate(request, context, failure)
                .await
                .map(Compensation::Undone),
            None => Ok(Compensation::Nothing),
        }
    }
}

#[async_trait]
impl<R: Send + Sync, T: Transaction<R> + ?Sized> Transaction<R> for Arc<T> {
    fn name(&self) -> &str {
        (**self).name()
    }

    async fn should_execute(&self, request: &R, context: &Context) -> Result<bool, Failure> {
        (**self).should_execute(request, context).await
    }

    async fn execute(&self, request: &mut R, context: &mut Context) -> Result<Response, Failure> {
        (**self).execute(request, context).await
    }

    async fn compensate(
        &self,
        request: &mut R,
        context: &mut Context,
        failure: &Failure,
    ) -> Result<Compensation, Failure> {
        (**self).compensate(request, context, failure).await
    }
}
