//! Sagas as people see them.

use serde::{Deserialize, Serialize};

use super::event::Entry;
use super::log::{LogError, SagaLog, Summary};
use super::progress::Progress;
use crate::telemetry::{printable, timestamp};

/// A saga with everything that is recorded of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SagaView {
    /// Its id.
    pub id: String,
    /// Where it stands.
    pub progress: Progress,
    /// Its records, in order.
    pub entries: Vec<Entry>,
}

impl SagaView {
    /// Reads a saga.
    ///
    /// # Errors
    ///
    /// [`LogError::NotFound`]; [`LogError::Unreadable`] when the records do not fit together.
    pub async fn read(log: &dyn SagaLog, id: &str) -> Result<Self, LogError> {
        let entries = log.entries(id).await?;
        let progress = Progress::of(entries.iter().map(|entry| &entry.event))
            .map_err(|misfit| LogError::misfit(id, entries.len(), misfit))?;
        match progress {
            Some(progress) => Ok(Self {
                id: id.to_owned(),
                progress,
                entries,
            }),
            None => Err(LogError::NotFound { id: id.to_owned() }),
        }
    }
}

/// Writes a list of sagas, one on each line.
#[must_use]
pub fn list_text(list: &[Summary]) -> String {
    if list.is_empty() {
        return "there are no sagas\n".to_owned();
    }
    let mut rows = vec![["id", "saga", "status", "step", "updated"].map(str::to_owned)];
    rows.extend(list.iter().map(|saga| {
        [
            printable(&saga.id).into_owned(),
            printable(&saga.saga).into_owned(),
            saga.status.as_str().to_owned(),
            printable(saga.step.as_deref().unwrap_or("-")).into_owned(),
            timestamp(saga.updated.saturating_mul(1000)),
        ]
    }));
    columns(&rows)
}

/// Writes a saga: where it and its steps stand, and its records.
#[must_use]
pub fn show_text(view: &SagaView) -> String {
    let progress = &view.progress;
    let mut text = format!(
        "{} ({}) is {}\n",
        printable(&view.id),
        printable(&progress.saga),
        progress.status.as_str()
    );
    if let Some(response) = &progress.response {
        let message = response.message().map(|message| format!(": {message}"));
        let message = message.unwrap_or_default();
        text.push_str(&format!(
            "answered {}{}\n",
            response.as_str(),
            printable(&message)
        ));
    }
    text.push('\n');
    let mut rows = vec![["step", "status", "starts", "undos", "error"].map(str::to_owned)];
    rows.extend(progress.steps.iter().map(|step| {
        [
            printable(&step.name).into_owned(),
            step.status.as_str().to_owned(),
            step.starts.to_string(),
            step.undos.to_string(),
            printable(&step.error.join(": ")).into_owned(),
        ]
    }));
    text.push_str(&columns(&rows));
    text.push('\n');
    let mut rows = vec![["at", "record", "step", "error"].map(str::to_owned)];
    rows.extend(view.entries.iter().map(|entry| {
        let step = entry.event.step().and_then(|at| progress.steps.get(at));
        [
            timestamp(entry.at.saturating_mul(1000)),
            entry.event.as_str().to_owned(),
            printable(step.map_or("-", |step| &step.name)).into_owned(),
            printable(&entry.event.error().join(": ")).into_owned(),
        ]
    }));
    text + &columns(&rows)
}

/// Writes rows in columns that are as wide as they need to be.
fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let mut widths = [0; N];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(widths);
        let line: Vec<String> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        text.push_str(line.join("  ").trim_end());
        text.push('\n');
    }
    text
}
