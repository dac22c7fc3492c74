//! What a run tells: feedback about rows, progress, and a summary.

use std::time::Duration;

use serde::Serialize;

use super::{FeedbackPolicy, RunOptions};
use crate::exchange::modes::{Change, Failures, Mode};
use crate::exchange::row::{Named, Row, Rows};
use crate::failure::{Effect, Failure};

/// Columns that feedback adds to a row.
const STATUS: &str = "feedback_status";
const MESSAGE: &str = "feedback_message";
const CHANGE: &str = "feedback_change";

/// How far a run is.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Progress {
    /// Rows that were read.
    pub read: u64,
    /// Rows that were written to the dataset.
    pub written: u64,
    /// Rows that were sent.
    pub sent: u64,
    /// Rows that failed.
    pub failed: u64,
    /// Which share of the present input was read, from 0 to 1.
    pub share: Option<f64>,
}

/// What came of an input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct InputCounts {
    /// Its name.
    pub input: &'static str,
    /// Whether the platform supplied it.
    pub supplied: bool,
    /// How many rows there are, where the platform tells.
    pub expected: Option<u64>,
    /// How many came.
    pub read: u64,
}

/// What came of all rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Counts {
    /// Rows that came in, or were read from the source.
    pub read: u64,
    /// Rows that were written to the dataset.
    pub written: u64,
    /// Rows that were sent by an export.
    pub sent: u64,
    /// Rows that failed.
    pub failed: u64,
    /// Rows of which nobody knows whether they were sent.
    pub unknown: u64,
    /// Rows of feedback.
    pub feedback: u64,
}

/// What a run did.
#[derive(Debug, Clone)]
pub struct Summary {
    /// In which mode.
    pub mode: Mode,
    /// What came in.
    pub inputs: Vec<InputCounts>,
    /// What became of it.
    pub counts: Counts,
    /// How long it took.
    pub duration: Duration,
}

/// Makes feedback about a batch: `error` is what ended it before it was sent as a whole.
pub(super) fn feedback(
    options: &RunOptions,
    rows: &Rows,
    failures: &Failures,
    error: Option<&Failure>,
    change: Option<Change>,
) -> Rows {
    let mut feedback = Rows::new();
    if options.feedback == FeedbackPolicy::None {
        return feedback;
    }
    let mut add = |row: Option<Row<'_>>, status: &str, message: &str| {
        let message = options.redactor.redact(message);
        let mut columns = vec![(STATUS, status)];
        if !message.is_empty() {
            columns.push((MESSAGE, &message));
        }
        if let Some(change) = change {
            columns.push((CHANGE, change.as_str()));
        }
        let only = &options.feedback_columns;
        match row {
            Some(row) if only.is_empty() => feedback.push_with(row, &columns),
            Some(row) => {
                let wanted = |name: &str| match only.iter().any(|column| column == name) {
                    true => Named::Same,
                    false => Named::Gone,
                };
                feedback.push_changed(row, &wanted, &columns);
            }
            None => feedback.push_columns(columns),
        }
    };
    let mut failed: Vec<usize> = Vec::new();
    for failure in &failures.list {
        let row = match failure.index {
            Some(index) => rows.get(index),
            None => failure.record.get(0),
        };
        failed.extend(failure.index);
        add(row, "failed", &failure.message);
    }
    let (status, message) = match error {
        Some(error) if error.effect() == Effect::NotApplied => ("failed", error.chain().join(": ")),
        Some(error) => ("unknown", error.chain().join(": ")),
        None if options.feedback == FeedbackPolicy::All && !rows.is_empty() => {
            ("success", String::new())
        }
        None => return feedback,
    };
    failed.sort_unstable();
    for (index, row) in rows.iter().enumerate() {
        if failed.binary_search(&index).is_err() {
            add(Some(row), status, &message);
        }
    }
    feedback
}
