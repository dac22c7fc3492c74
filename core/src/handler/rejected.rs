//! Reads a quarantine file back.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::failure::{Failure, FailureKind};

/// A row that was not sent, and why.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RejectedRow {
    /// Scope that it was read from; `delta` in an incremental import.
    #[serde(default)]
    pub scope: String,
    /// Collection that it would be in.
    #[serde(default)]
    pub collection: String,
    /// Why it was not sent.
    #[serde(default)]
    pub reason: String,
    /// The row, or the source's record, as far as there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<Box<RawValue>>,
}

/// Names of a row, in the order in which they are looked for.
#[derive(Deserialize)]
struct Names {
    external_id: Option<String>,
    #[serde(rename = "_key")]
    key: Option<String>,
    #[serde(rename = "_from_external_id", alias = "_from")]
    from: Option<String>,
    #[serde(rename = "_to_external_id", alias = "_to")]
    to: Option<String>,
}

impl RejectedRow {
    /// Returns what the row calls itself, if it does.
    #[must_use]
    pub fn name(&self) -> Option<String> {
        let names: Names = serde_json::from_str(self.row.as_deref()?.get()).ok()?;
        match (names.from, names.to) {
            (Some(from), Some(to)) => Some(format!("{from} → {to}")),
            _ => names.external_id.or(names.key),
        }
    }
}

/// The rows of a quarantine file, first come first.
#[derive(Debug)]
pub struct RejectedRows {
    path: PathBuf,
    reader: BufReader<File>,
    line: u64,
}

impl RejectedRows {
    /// Opens a quarantine file.
    ///
    /// # Errors
    ///
    /// [`InvalidParameter`](FailureKind::InvalidParameter) when it cannot be read.
    pub fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| unreadable(path).because(error))?;
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::new(file),
            line: 0,
        })
    }
}

impl Iterator for RejectedRows {
    type Item = Result<RejectedRow, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut text = Vec::new();
        match self.reader.read_until(b'\n', &mut text) {
            Ok(0) => return None,
            Ok(_) => {}
            Err(error) => return Some(Err(unreadable(&self.path).because(error))),
        }
        self.line = self.line.saturating_add(1);
        let row = serde_json::from_slice(&text);
        Some(row.map_err(|error| {
            unreadable(&self.path)
                .with("line", self.line)
                .because(error)
                .hint("it should be a file that a run wrote for `--quarantine`")
        }))
    }
}

fn unreadable(path: &Path) -> Failure {
    Failure::new(
        FailureKind::InvalidParameter,
        "the quarantine file cannot be read",
    )
    .with("file", path.display())
}
