//! Where sagas are recorded: the trait, and what can go wrong.
//!
//! A process claims a saga before it works on it. A claim has a number, its fence, which grows
//! each time the saga changes hands; what is written under an older number is refused. A claim
//! runs out when it is not renewed, and at once when the kernel says that its holder is dead.

mod error;
mod memory;
#[cfg(feature = "postgres")]
mod postgres;
mod rows;
mod sqlite;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use error::{ClaimedBy, LogError};
pub use memory::MemoryLog;
#[cfg(feature = "postgres")]
pub use postgres::PostgresLog;
pub use sqlite::SqliteLog;

use super::event::{Entry, Event};
use super::progress::{Progress, Status};

/// How long a claim lasts without being renewed.
pub const CLAIM_TTL: Duration = Duration::from_secs(30);

/// The right to work on a saga, until another has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// Id of the saga.
    pub id: Arc<str>,
    /// Number of the claim; a later one has a higher number.
    pub fence: u64,
}

/// A claimed saga, and what is recorded of it; nothing, if it is new.
#[derive(Debug, Clone)]
pub struct Claimed {
    /// The claim.
    pub claim: Claim,
    /// The records in order.
    pub events: Vec<Event>,
}

/// What happens to the claim with a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Then {
    /// It is kept, and lasts for its time from now on.
    Keep,
    /// It is given back.
    Release,
}

/// A saga in a list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Its id.
    pub id: String,
    /// Its name.
    pub saga: String,
    /// Where it stands.
    pub status: Status,
    /// The step that it stands at, if there is one.
    pub step: Option<String>,
    /// When it was recorded first, in milliseconds since 1970.
    pub created: u64,
    /// When it was recorded last, in milliseconds since 1970.
    pub updated: u64,
}

/// Keeps sagas.
///
/// # Behaviour
///
/// - A write is durable when it returns, and all or nothing. In memory, it lasts as long as the
///   process.
/// - Of any number of claims at the same time, one gets the saga.
/// - Every write fails with [`LogError::Lost`] once the claim is another's.
#[async_trait]
pub trait SagaLog: Send + Sync + fmt::Debug {
    /// Claims a saga; with `begin`, one that is not known is made, with that as its first record.
    ///
    /// # Errors
    ///
    /// [`LogError::Held`] when another works on it, [`LogError::NotFound`].
    async fn claim(&self, id: &str, begin: Option<&Event>) -> Result<Claimed, LogError>;

    /// Writes records, which lead to `progress`.
    ///
    /// # Errors
    ///
    /// [`LogError::Lost`]; [`LogError::Storage`], after which it is not known whether it was
    /// written.
    async fn append(
        &self,
        claim: &Claim,
        events: &[Event],
        progress: &Progress,
        then: Then,
    ) -> Result<(), LogError>;

    /// Makes a claim last for its time from now on.
    ///
    /// # Errors
    ///
    /// [`LogError::Lost`].
    async fn renew(&self, claim: &Claim) -> Result<(), LogError>;

    /// Gives a claim back, so that the next one need not wait.
    ///
    /// # Errors
    ///
    /// [`LogError::Lost`].
    async fn release(&self, claim: &Claim) -> Result<(), LogError>;

    /// Returns the records of a saga in order, none for one that is not known. Needs no claim.
    async fn entries(&self, id: &str) -> Result<Vec<Entry>, LogError>;

    /// Lists sagas, the latest first; with `status`, those that stand there. Needs no claim.
    async fn list(&self, status: Option<Status>, limit: u32) -> Result<Vec<Summary>, LogError>;

    /// Returns how long a claim lasts without being renewed.
    fn ttl(&self) -> Duration {
        CLAIM_TTL
    }
}

/// Returns the name of the saga that a first record begins.
fn name_of(begin: &Event) -> &str {
    match begin {
        Event::Began { saga, .. } => saga,
        _ => "",
    }
}
