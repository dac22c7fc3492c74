//! What can go wrong with the run state, typed so that the engine can decide, and as a
//! [`Failure`] for people.

use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use super::edge_log::EdgeLogError;
use super::model::{Position, RunId};
use crate::failure::{Effect, Failure, FailureKind, Retry};
use crate::telemetry::timestamp;

/// Why a call to a [`StateStore`](super::StateStore) failed.
///
/// None of these but [`StateError::Storage`] wrote anything; with that one nobody knows.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StateError {
    /// The state cannot be opened as it is named in the settings.
    #[error("the run state in `{}` cannot be used: {}", .path.display(), .problem.as_str())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Problem,
        /// What the system or the database says.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// Another run of the source is at work.
    #[error("another run of source `{}` is at work (pid {} on {}, since {})",
        .0.source_name, .0.pid, .0.host, timestamp(.0.since.saturating_mul(1000)))]
    Held(Box<HeldBy>),
    /// The lease is no longer this run's: it ran out, or was given back, and another run may be
    /// at work. Whoever meets this must stop writing, to the CAR service too.
    #[error("the lease of source `{source_name}` is lost (it was number {fence}, now {current})")]
    Zombie {
        /// The source.
        source_name: String,
        /// Number of the lost lease.
        fence: u64,
        /// The highest number that was given out.
        current: u64,
    },
    /// An advance does not start where the scope stands: it is stale, or came twice.
    #[error("scope `{scope}` stands at {stored}, so it cannot be advanced from {from}")]
    Refused {
        /// The scope.
        scope: String,
        /// Where it stands.
        stored: Position,
        /// Where the advance wanted to start.
        from: Position,
    },
    /// A checkpoint would make the edge log shorter than an earlier one said.
    #[error(
        "the edge log holds {stored} bytes by the last checkpoint, so it cannot be at {given} now"
    )]
    EdgeLogShrank {
        /// Bytes by the last checkpoint.
        stored: u64,
        /// Bytes that were given.
        given: u64,
    },
    /// The run has ended, or never was one of this source.
    #[error("run {run} is not open")]
    RunNotOpen {
        /// The run.
        run: RunId,
    },
    /// There is no unfinished run to go on with.
    #[error("there is no unfinished import to go on with: {reason}")]
    NothingToRetry {
        /// Why not, as a clause.
        reason: String,
    },
    /// The edge log cannot be used.
    #[error("the edges that wait on disk cannot be used")]
    EdgeLog(#[source] EdgeLogError),
    /// The database failed in the middle of a call; whether it wrote is not known.
    #[error("the run state cannot be {doing}{}", if_full(*.full))]
    Storage {
        /// What was being done to it, as "the run state cannot be …".
        doing: &'static str,
        /// Whether the disk is full.
        full: bool,
        /// What the database says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// What is wrong with a file that cannot be opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A newer version of the program wrote it.
    Newer {
        /// Its version.
        found: i64,
    },
    /// It is a database of another program.
    Foreign,
    /// It is not a database, or a damaged one.
    NotADatabase,
    /// It, or its folder, cannot be read or written.
    Unwritable,
    /// The disk is full.
    Full,
    /// Another program keeps it locked.
    Locked,
    /// The database says what.
    Other,
}

impl Problem {
    /// Says it as a clause.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Newer { .. } => "a newer version of the program wrote it",
            Self::Foreign => "it is the database of another program",
            Self::NotADatabase => "it is not a database, or a damaged one",
            Self::Unwritable => "the file or its folder cannot be written",
            Self::Full => "the disk is full",
            Self::Locked => "another program keeps it locked",
            Self::Other => "the database cannot be opened",
        }
    }

    const fn hint(self) -> &'static str {
        match self {
            Self::Newer { .. } => {
                "run the newer version, or name another file with `--state`; the import then starts anew"
            }
            Self::Foreign | Self::NotADatabase => {
                "`--state` names a file of its own; a new one is made where there is none"
            }
            Self::Unwritable | Self::Other => {
                "`--state` names a file in a folder that exists and that this user may write to"
            }
            Self::Full => "make room on the disk, or name a file on another one with `--state`",
            Self::Locked => "end the program that has it open, then run again",
        }
    }
}

/// Who holds a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldBy {
    /// The source.
    pub source_name: String,
    /// Name of the machine or the container.
    pub host: String,
    /// Number of the process there.
    pub pid: u32,
    /// When it got the lease, in milliseconds since 1970.
    pub since: u64,
    /// Time after which the lease can be taken over if its holder is dead.
    pub expires_in: Duration,
}

impl StateError {
    /// Returns whether the lease is lost, so that the run must stop writing.
    #[must_use]
    pub const fn is_zombie(&self) -> bool {
        matches!(self, Self::Zombie { .. })
    }
}

const fn if_full(full: bool) -> &'static str {
    if full { ": the disk is full" } else { "" }
}

impl From<EdgeLogError> for StateError {
    fn from(error: EdgeLogError) -> Self {
        Self::EdgeLog(error)
    }
}

impl From<StateError> for Failure {
    fn from(error: StateError) -> Self {
        let message = error.to_string();
        match error {
            StateError::Unusable {
                path: _,
                problem,
                source,
            } => {
                let kind = match problem {
                    Problem::Full | Problem::Locked => FailureKind::General,
                    _ => FailureKind::InvalidParameter,
                };
                let message = match problem {
                    Problem::Newer { found } => format!("{message} (layout {found})"),
                    _ => message,
                };
                let failure = Self::new(kind, format!("`--state`: {message}")).hint(problem.hint());
                match source {
                    Some(source) => failure.because(source),
                    None => failure,
                }
            }
            StateError::Held(held) => Self::new(FailureKind::General, message)
                .with_retry(Retry::After(held.expires_in))
                .hint("wait for it to end; if it is dead, its lease runs out by itself")
                .hint(format!(
                    "two connections of the same kind need different names: `--source` (now `{}`)",
                    held.source_name
                )),
            StateError::Zombie { .. } => Self::new(FailureKind::General, message)
                .hint("this run was stopped before it could disturb the one that took over")
                .hint("if nothing else ran, this process stood still for longer than its lease"),
            StateError::NothingToRetry { .. } => Self::new(FailureKind::InvalidParameter, message)
                .hint("run without `--retry-failed`; that import reads everything"),
            StateError::EdgeLog(error) => error.into(),
            StateError::Refused { .. }
            | StateError::EdgeLogShrank { .. }
            | StateError::RunNotOpen { .. } => Self::new(FailureKind::General, message)
                .hint("nothing was written; this is a defect of the engine"),
            StateError::Storage { full, source, .. } => {
                let failure = Self::new(FailureKind::General, message)
                    .with_effect(Effect::Unknown)
                    .because(source);
                if full {
                    failure.hint("make room on the disk, or name a file on another one with `--state`; the next run resumes")
                } else {
                    failure.hint(
                        "`--state` names the file; the next run resumes from its last checkpoint",
                    )
                }
            }
        }
    }
}
