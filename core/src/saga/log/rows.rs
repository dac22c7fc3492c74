//! What the logs in databases have in common: records and lists as rows.

use super::{LogError, Summary};
use crate::saga::event::{Entry, Event};
use crate::saga::progress::Status;

/// A record: its number, when it was written, and the event.
pub(super) type RecordRow = (i64, i64, String);

/// A saga in a list: id, name, status, step, when it was recorded first and last.
pub(super) type SagaRow = (String, String, String, Option<String>, i64, i64);

/// Reads the records of a saga.
pub(super) fn entries(id: &str, rows: Vec<RecordRow>) -> Result<Vec<Entry>, LogError> {
    rows.into_iter()
        .map(|(number, at, event)| {
            let event = serde_json::from_str(&event)
                .map_err(|error| LogError::unreadable(id, unsigned(number), error))?;
            Ok(Entry {
                at: unsigned(at),
                event,
            })
        })
        .collect()
}

/// Writes an event as a row keeps it.
pub(super) fn text(id: &str, event: &Event) -> Result<String, LogError> {
    serde_json::to_string(event).map_err(|error| LogError::unreadable(id, 0, error))
}

/// Reads a list of sagas.
pub(super) fn summaries(rows: Vec<SagaRow>) -> Vec<Summary> {
    rows.into_iter()
        .map(|(id, saga, status, step, created, updated)| Summary {
            id,
            saga,
            status: Status::parse(&status).unwrap_or(Status::Stuck),
            step,
            created: unsigned(created),
            updated: unsigned(updated),
        })
        .collect()
}

/// Numbers are signed in databases; ours do not come near the limit.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What was [`signed`].
pub(super) fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
