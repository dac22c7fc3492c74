//! Why a call about tasks failed, typed so that callers can decide, and as a [`Failure`] for
//! people.

use std::path::PathBuf;

use thiserror::Error;

use super::descriptor::TaskId;
use crate::failure::{Effect, Failure, FailureKind, Retry};
use crate::state::Problem;

/// Why a call about tasks failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TaskError {
    /// A descriptor is not one.
    #[error("the descriptor of the task is not valid: {0}")]
    Descriptor(String),
    /// A schedule is not one.
    #[error("the schedule of the task is not valid: {0}")]
    Schedule(String),
    /// The connector is not there.
    #[error("there is no connector `{0}`")]
    NoConnector(String),
    /// The task is not there.
    #[error("connector `{connector}` has no task `{task}`")]
    NoTask {
        /// The connector.
        connector: String,
        /// The task.
        task: TaskId,
    },
    /// The task stands where this cannot be done.
    #[error("the task is {status} and cannot be {action}")]
    NotNow {
        /// Where it stands.
        status: &'static str,
        /// What was to be done.
        action: &'static str,
    },
    /// A step, or a connector, asks for too much.
    #[error("{0}")]
    TooMuch(String),
    /// Tasks would wait for each other.
    #[error("task `{0}` would wait for itself")]
    WaitsForItself(String),
    /// The task did not end in the time that the caller had.
    #[error("the task did not end within {0} s; it goes on")]
    TooLate(u64),
    /// The run that was waited for failed.
    #[error("the task failed: {0}")]
    Failed(String),
    /// The engine has stopped.
    #[error("the task engine has stopped")]
    Stopped,
    /// The store cannot be opened as it is named in the settings.
    #[error("the task store in `{}` cannot be used: {}", .path.display(), .problem.as_str())]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: Problem,
        /// What the system or the database says.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The server that keeps the tasks does not do what it is asked for.
    #[error("the {server} cannot {doing}")]
    Server {
        /// Which server, with its address.
        server: String,
        /// What it was asked for, as "the server cannot …".
        doing: &'static str,
        /// Whether the call may have been carried out all the same.
        effect: Effect,
        /// What it says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The settings of a connector are sealed with a key that the process does not have.
    #[error("the settings of connector `{connector}` cannot be read: {why}")]
    Sealed {
        /// The connector.
        connector: String,
        /// Why they cannot be opened.
        why: &'static str,
    },
    /// Another process works on the store.
    #[error("the task store in `{}` is used by another process", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// The store failed in the middle of a call.
    #[error("the task store cannot be {doing}{}", if *.full { ": the disk is full" } else { "" })]
    Store {
        /// What was being done to it, as "the task store cannot be …".
        doing: &'static str,
        /// Whether the disk is full.
        full: bool,
        /// What the database says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl TaskError {
    /// Returns the stable name of the error.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Descriptor(_) => "invalid_descriptor",
            Self::Schedule(_) => "invalid_schedule",
            Self::NoConnector(_) => "unknown_connector",
            Self::NoTask { .. } => "unknown_task",
            Self::NotNow { .. } => "not_now",
            Self::TooMuch(_) => "too_much",
            Self::WaitsForItself(_) => "waits_for_itself",
            Self::TooLate(_) => "too_late",
            Self::Failed(_) => "task_failed",
            Self::Stopped => "stopped",
            Self::Server { .. } => "server",
            Self::Sealed { .. } => "sealed",
            Self::Unusable { .. } | Self::InUse { .. } | Self::Store { .. } => "store",
        }
    }
}

impl From<TaskError> for Failure {
    fn from(error: TaskError) -> Self {
        let message = error.to_string();
        let invalid = |message: String| Self::new(FailureKind::InvalidParameter, message);
        let general = |message: String| Self::new(FailureKind::General, message);
        match error {
            TaskError::Descriptor(_) | TaskError::Schedule(_) => invalid(message)
                .hint("nothing was scheduled; the connector, or the setting it takes this from, is wrong"),
            TaskError::NoConnector(_) => invalid(message).hint("`GET /connectors` lists them"),
            TaskError::NoTask { connector, .. } => {
                invalid(message).hint(format!("`GET /connectors/{connector}/tasks` lists them"))
            }
            TaskError::NotNow { .. } => {
                general(message).hint("look at the task again: it may have changed meanwhile")
            }
            TaskError::TooMuch(_) => {
                general(message).hint("a step that has more to do does it in several steps")
            }
            TaskError::WaitsForItself(_) => {
                general(message).hint("a task may not wait for one that waits for it")
            }
            TaskError::TooLate(_) | TaskError::Failed(_) => {
                general(message).hint("its history is at `GET /connectors/NAME/tasks/ID`")
            }
            TaskError::Stopped => general(message)
                .with_retry(Retry::Backoff)
                .hint("the process is about to end; ask again once it is back"),
            TaskError::Server { effect, source, .. } => general(message)
                .with_effect(effect)
                .with_retry(Retry::Backoff)
                .because(source)
                .hint("is it there, and does it know the namespace? Tasks go on by themselves once it answers"),
            TaskError::Sealed { .. } => invalid(message)
                .hint("give the key that they were sealed with by `--settings-key` or CONNECTOR_SETTINGS_KEY"),
            TaskError::InUse { .. } => general(message)
                .hint("one process works on a store: end the other one, or name another file with `--tasks`"),
            TaskError::Unusable {
                problem, source, ..
            } => {
                let kind = match problem {
                    Problem::Full | Problem::Locked => FailureKind::General,
                    _ => FailureKind::InvalidParameter,
                };
                let message = match problem {
                    Problem::Newer { found } => format!("{message} (layout {found})"),
                    _ => message,
                };
                let failure = Self::new(kind, format!("`--tasks`: {message}")).hint(match problem {
                    Problem::Newer { .. } => "run the newer version, or name another file with `--tasks`",
                    Problem::Full => "make room on the disk, or name a file on another one with `--tasks`",
                    Problem::Locked => "end the program that has it open, then start again",
                    _ => "`--tasks` names a file of its own, in a folder that exists and that this user may write to; a new one is made where there is none",
                });
                match source {
                    Some(source) => failure.because(source),
                    None => failure,
                }
            }
            TaskError::Store { full, source, .. } => {
                let failure = general(message)
                    .with_effect(Effect::Unknown)
                    .with_retry(Retry::Backoff)
                    .because(source);
                if full {
                    failure.hint("make room on the disk; tasks go on by themselves then")
                } else {
                    failure.hint("`--tasks` names the file; tasks go on by themselves once it can be written")
                }
            }
        }
    }
}
