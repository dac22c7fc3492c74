//! What `serve` needs of a connector to show its sagas, to go on with them, and to work on what is
//! pending.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::log::SagaLog;
use crate::connector::Context;
use crate::failure::{Failure, FailureKind};

/// The sagas of a connector, for those who look after them.
#[async_trait]
pub trait SagaDesk: Send + Sync {
    /// Returns where the sagas are recorded.
    fn log(&self) -> &dyn SagaLog;

    /// Goes on with a saga now because a person asks for it: with one that waits before its time
    /// is over, and with one that is stuck once more.
    ///
    /// # Errors
    ///
    /// What [`Saga::resume`](super::Saga::resume) fails with, and what the platform answers to
    /// the news of its end.
    async fn resume(&self, id: &str, cancel: CancellationToken) -> Result<(), Failure>;

    /// Returns how often [`SagaDesk::round`] is called while the process stays up; `None` where
    /// others do the work.
    fn rounds(&self) -> Option<Rounds> {
        None
    }

    /// Works on everything that is pending, once, and returns what came of it: JSON for people.
    ///
    /// # Behaviour
    ///
    /// A request that fails is counted and comes again with a later round; it does not end this
    /// one.
    ///
    /// # Errors
    ///
    /// When nothing can be worked on, as when the platform does not answer.
    async fn round(&self, _cancel: CancellationToken) -> Result<Value, Failure> {
        Err(Failure::new(
            FailureKind::General,
            "this connector does no rounds",
        ))
    }
}

/// Work on what is pending, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounds {
    /// Name that it has among the connectors of the process, such as `requests`.
    pub name: &'static str,
    /// Time between the beginnings of two rounds.
    pub every: Duration,
    /// Longest time that one round takes.
    pub longest: Duration,
}

/// What opening sagas comes to: nothing, where the settings name no log.
pub type OpeningSagas =
    Pin<Box<dyn Future<Output = Result<Option<Arc<dyn SagaDesk>>, Failure>> + Send>>;

/// Opens the sagas of a connector with its settings.
pub type OpenSagas<S> = fn(S, Context) -> OpeningSagas;
