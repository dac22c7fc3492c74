//! What can go wrong with the log of sagas.

use std::path::{Path, PathBuf};
use std::time::Duration;

use thiserror::Error;

use super::Claim;
use crate::failure::{Effect, Failure, FailureKind, Retry};
use crate::saga::progress::Misfit;
use crate::state::Problem;

/// What stands for a file where the log is a database: its address may have a password in it.
pub(super) const DATABASE: &str = "PostgreSQL";

/// Why a call to a [`SagaLog`](super::SagaLog) failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// The log cannot be opened.
    #[error("the saga log `{}` cannot be used: {}", .place.display(), .problem.as_str())]
    Unusable {
        /// The file, or the address without credentials.
        place: PathBuf,
        /// What is wrong with it.
        problem: Problem,
        /// What the system or the database says.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Another process, or another delivery in this one, works on the saga.
    #[error("saga `{id}` is being worked on (pid {} on {})", .by.pid, .by.host)]
    Held {
        /// The saga.
        id: String,
        /// Who works on it.
        by: Box<ClaimedBy>,
    },
    /// The claim is another's by now. Whoever meets this must stop.
    #[error("the claim on saga `{id}` is lost (it was number {fence})")]
    Lost {
        /// The saga.
        id: String,
        /// Number of the lost claim.
        fence: u64,
    },
    /// There is no such saga.
    #[error("there is no saga `{id}` in the log")]
    NotFound {
        /// The saga.
        id: String,
    },
    /// What is recorded cannot be understood.
    #[error("record {number} of saga `{id}` cannot be understood")]
    Unreadable {
        /// The saga.
        id: String,
        /// Number of the record, from 0.
        number: u64,
        /// What is wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database failed in the middle of a call; whether it wrote is not known.
    #[error("the saga log cannot be {doing}{}", if *.full { ": the disk is full" } else { "" })]
    Storage {
        /// What was being done to it, as "the saga log cannot be …".
        doing: &'static str,
        /// Whether the disk is full.
        full: bool,
        /// What the database says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Who works on a saga.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimedBy {
    /// Name of the machine or the container.
    pub host: String,
    /// Number of the process there.
    pub pid: u32,
    /// Time after which the saga can be claimed if its holder is dead.
    pub expires_in: Duration,
}

impl LogError {
    pub(super) fn lost(claim: &Claim) -> Self {
        Self::Lost {
            id: claim.id.to_string(),
            fence: claim.fence,
        }
    }

    pub(super) fn unreadable(id: &str, number: u64, source: serde_json::Error) -> Self {
        Self::Unreadable {
            id: id.to_owned(),
            number,
            source: Box::new(source),
        }
    }

    /// Says that records do not fit together.
    #[must_use]
    pub fn misfit(id: &str, number: usize, misfit: Misfit) -> Self {
        Self::Unreadable {
            id: id.to_owned(),
            number: u64::try_from(number).unwrap_or(u64::MAX),
            source: Box::new(misfit),
        }
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        let message = error.to_string();
        match error {
            LogError::Unusable {
                place,
                problem,
                source,
            } => {
                let kind = match problem {
                    Problem::Full | Problem::Locked => FailureKind::General,
                    _ => FailureKind::InvalidParameter,
                };
                let failure = Self::new(kind, message).hint(if place == Path::new(DATABASE) {
                    "`--saga-log` names a database that exists, and a user who may make tables there"
                } else {
                    "`--saga-log` names a file of its own, in a folder that exists and that this user may write to"
                });
                match source {
                    Some(source) => failure.because(source),
                    None => failure,
                }
            }
            LogError::Held { by, .. } => Self::new(FailureKind::General, message)
                .with_retry(Retry::After(by.expires_in))
                .hint("wait for it to end; if it is dead, its claim runs out by itself"),
            LogError::Lost { .. } => Self::new(FailureKind::General, message)
                .with_retry(Retry::Backoff)
                .hint("another process took over; if there is none, this one stood still for too long"),
            LogError::NotFound { .. } => Self::new(FailureKind::InvalidParameter, message)
                .hint("`saga list` shows those that there are; `--saga-log` names the log"),
            LogError::Unreadable { source, .. } => Self::new(FailureKind::General, message)
                .because(source)
                .hint("a newer version of the program may have written it"),
            LogError::Storage { full, source, .. } => {
                let failure = Self::new(FailureKind::General, message)
                    .with_effect(Effect::Unknown)
                    .with_retry(Retry::Backoff)
                    .because(source);
                if full {
                    failure.hint("make room on the disk; the saga goes on with its next delivery")
                } else {
                    failure.hint("the saga goes on with its next delivery, from what is recorded")
                }
            }
        }
    }
}
