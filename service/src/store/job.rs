//! Writes: what an operation is, and how it travels to the writer and back.

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use tokio::sync::oneshot;

use super::conn::Conn;
use crate::error::{Error, Result};

/// A write that is applied whole or not at all.
#[async_trait]
pub(crate) trait Operation: Send + 'static {
    /// What it answers.
    type Output: Send + 'static;

    /// Tells whether it writes so much that a commit of its own costs little beside it.
    fn is_large(&self) -> bool {
        false
    }

    /// Does the work inside a transaction. An error undoes everything.
    async fn apply(self, conn: &mut dyn Conn) -> Result<Self::Output>;
}

/// What the writer shall do with the work of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Commit it.
    Keep,
    /// Undo it.
    Undo,
    /// Commit and stop.
    Stop,
}

/// An [`Operation`] on its way, without its type.
pub(crate) trait Job: Send {
    /// Tells whether it shall have a commit of its own.
    fn is_large(&self) -> bool;

    /// Applies the operation and remembers its result.
    fn apply<'a>(&'a mut self, conn: &'a mut dyn Conn) -> BoxFuture<'a, Outcome>;

    /// Answers the sender, after the commit or its failure.
    fn finish(self: Box<Self>, commit: Result<()>);
}

/// The one implementation of [`Job`] for operations.
pub(crate) struct Ticket<O: Operation> {
    operation: Option<O>,
    result: Option<Result<O::Output>>,
    reply: oneshot::Sender<Result<O::Output>>,
}

impl<O: Operation> Ticket<O> {
    /// Makes a ticket and where its answer will come.
    pub(crate) fn new(operation: O) -> (Self, oneshot::Receiver<Result<O::Output>>) {
        let (reply, answer) = oneshot::channel();
        let ticket = Self {
            operation: Some(operation),
            result: None,
            reply,
        };
        (ticket, answer)
    }
}

impl<O: Operation> Job for Ticket<O> {
    fn is_large(&self) -> bool {
        self.operation.as_ref().is_some_and(O::is_large)
    }

    fn apply<'a>(&'a mut self, conn: &'a mut dyn Conn) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            let Some(operation) = self.operation.take() else {
                return Outcome::Undo;
            };
            let result = operation.apply(conn).await;
            let outcome = if result.is_ok() {
                Outcome::Keep
            } else {
                Outcome::Undo
            };
            self.result = Some(result);
            outcome
        })
    }

    fn finish(self: Box<Self>, commit: Result<()>) {
        let result = match (self.result, commit) {
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (Some(Ok(output)), Ok(())) => Ok(output),
            (None, Ok(())) => Err(Error::internal("write", "the operation was not run")),
        };
        // A sender that hung up meanwhile does not want the answer; the write stands.
        drop(self.reply.send(result));
    }
}
