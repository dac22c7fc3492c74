//! What is recorded of a saga: the only thing that survives a crash.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::response::Response;

/// One record. Steps are named by their place in the list that [`Event::Began`] has.
///
/// The words of its form in JSON are in files that outlive this program.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The first one.
    Began {
        /// Name of the saga.
        saga: String,
        /// Names of its steps, in order.
        steps: Vec<String>,
        /// The request.
        request: Value,
    },
    /// The request was delivered again, and what is kept was brought up to date.
    Redelivered {
        /// The request, as it is now.
        request: Value,
    },
    /// A step is about to be done.
    Started {
        /// The step.
        step: usize,
    },
    /// A step does not apply, or had nothing to do.
    Passed {
        /// The step.
        step: usize,
    },
    /// A step is done.
    Done {
        /// The step.
        step: usize,
        /// The request after it.
        request: Value,
    },
    /// A step asks to be done again later.
    Waiting {
        /// The step.
        step: usize,
        /// What the platform was told.
        response: Response,
        /// The request after it.
        request: Value,
    },
    /// A step failed: what is done before it is undone.
    Failed {
        /// The step.
        step: usize,
        /// Whether it may have written, so that it is undone too.
        undo: bool,
        /// Why, outermost first.
        error: Vec<String>,
        /// The request after it.
        request: Value,
    },
    /// A step is about to be undone.
    Undoing {
        /// The step.
        step: usize,
    },
    /// A step is undone.
    Undone {
        /// The step.
        step: usize,
        /// What its compensation answers, if it does.
        response: Option<Response>,
        /// The request after it.
        request: Value,
    },
    /// A step could not be undone this time.
    UndoFailed {
        /// The step.
        step: usize,
        /// Why, outermost first.
        error: Vec<String>,
    },
    /// A step could not be undone so often that a person has to look.
    Stuck {
        /// The step.
        step: usize,
    },
    /// A person looked, and wants it to be tried again.
    Resumed,
    /// A person looked, and wants it to be left as it is.
    Abandoned {
        /// Why, for people.
        reason: String,
    },
    /// The last one.
    Ended {
        /// What the platform was told.
        response: Response,
    },
}

impl Event {
    /// Returns the step that it is about.
    #[must_use]
    pub const fn step(&self) -> Option<usize> {
        match self {
            Self::Started { step }
            | Self::Passed { step }
            | Self::Done { step, .. }
            | Self::Waiting { step, .. }
            | Self::Failed { step, .. }
            | Self::Undoing { step }
            | Self::Undone { step, .. }
            | Self::UndoFailed { step, .. }
            | Self::Stuck { step } => Some(*step),
            Self::Began { .. }
            | Self::Redelivered { .. }
            | Self::Resumed
            | Self::Abandoned { .. }
            | Self::Ended { .. } => None,
        }
    }

    /// Returns its name.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Began { .. } => "began",
            Self::Redelivered { .. } => "redelivered",
            Self::Started { .. } => "started",
            Self::Passed { .. } => "passed",
            Self::Done { .. } => "done",
            Self::Waiting { .. } => "waiting",
            Self::Failed { .. } => "failed",
            Self::Undoing { .. } => "undoing",
            Self::Undone { .. } => "undone",
            Self::UndoFailed { .. } => "undo_failed",
            Self::Stuck { .. } => "stuck",
            Self::Resumed => "resumed",
            Self::Abandoned { .. } => "abandoned",
            Self::Ended { .. } => "ended",
        }
    }

    /// Returns the error that it tells of, outermost first.
    #[must_use]
    pub fn error(&self) -> &[String] {
        match self {
            Self::Failed { error, .. } | Self::UndoFailed { error, .. } => error,
            _ => &[],
        }
    }
}

/// A record with its time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was written, in milliseconds since 1970.
    pub at: u64,
    /// What.
    pub event: Event,
}
