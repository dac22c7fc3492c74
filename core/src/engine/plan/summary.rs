//! What a plan comes to: counts, changed fields and samples by collection.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::report::Mode;

/// Version of the format of plans, on standard output and in files.
pub(super) const FORMAT: u32 = 1;

/// What an import would do.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Version of this format.
    pub format: u32,
    /// Name of the connector.
    pub connector: String,
    /// Version of the connector.
    pub version: String,
    /// Name of the source in the graph.
    pub source: String,
    /// Full or incremental; absent when the run ended before the choice.
    pub mode: Option<Mode>,
    /// Why that mode.
    pub why: String,
    /// Whether the service compared the rows with the graph. If not, only [`PlannedRows::sent`]
    /// is known.
    pub compared: bool,
    /// Whether the whole source was read. If not, nothing can be said about retirements.
    pub complete: bool,
    /// What would happen to the rows, by collection.
    pub collections: BTreeMap<String, PlannedRows>,
    /// What would happen besides: a database made, a schema extension uploaded, a save point.
    pub notes: Vec<String>,
    /// Why the deletion guard would hold the import; empty when it would not.
    pub held: Vec<String>,
    /// What a plain import would cost.
    pub import: Cost,
    /// What importing the plan would cost; absent when there is no comparison.
    pub apply: Option<Cost>,
    /// The save point that the graph has.
    pub save_point: Option<String>,
    /// The save point that the graph would have.
    pub next_save_point: Option<String>,
}

/// What would happen to the rows of a collection.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PlannedRows {
    /// Different rows that the source has, as far as it was read.
    pub sent: u64,
    /// Rows that are new in the graph.
    pub created: u64,
    /// Rows with other values than in the graph.
    pub updated: u64,
    /// Rows that are in the graph as they are.
    pub unchanged: u64,
    /// Rows of the graph that are gone from the source.
    pub retired: u64,
    /// Changed fields: in how many rows each.
    pub fields: BTreeMap<String, u64>,
    /// Some of the rows.
    pub samples: Samples,
}

/// Some of the rows of a collection.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Samples {
    /// Names of rows that are new.
    pub created: Vec<String>,
    /// Rows that would change.
    pub updated: Vec<UpdatedRow>,
    /// Names of rows that are gone.
    pub retired: Vec<String>,
}

/// A row that would change.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UpdatedRow {
    /// Name of the row.
    pub row: String,
    /// Old and new value by field.
    pub fields: BTreeMap<String, (Value, Value)>,
}

/// Calls that write, and the bytes of their bodies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// Calls.
    pub calls: u64,
    /// Bytes of the requests' bodies.
    pub bytes: u64,
}

impl Cost {
    /// Adds a call.
    pub(super) fn add(&mut self, bytes: usize) {
        self.calls = self.calls.saturating_add(1);
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }
}

impl Plan {
    /// Returns the counts of all collections together, without fields and samples.
    #[must_use]
    pub fn totals(&self) -> PlannedRows {
        let mut totals = PlannedRows::default();
        for rows in self.collections.values() {
            totals.sent = totals.sent.saturating_add(rows.sent);
            totals.created = totals.created.saturating_add(rows.created);
            totals.updated = totals.updated.saturating_add(rows.updated);
            totals.unchanged = totals.unchanged.saturating_add(rows.unchanged);
            totals.retired = totals.retired.saturating_add(rows.retired);
        }
        totals
    }

    /// Returns what the guard looks at: rows that stay and rows that go, by collection.
    pub(super) fn weighed(&self) -> (BTreeMap<String, u64>, BTreeMap<String, u64>) {
        let counts = |take: fn(&PlannedRows) -> u64| {
            self.collections
                .iter()
                .map(|(name, rows)| (name.clone(), take(rows)))
                .filter(|(_, count)| *count > 0)
                .collect()
        };
        (counts(|rows| rows.sent), counts(|rows| rows.retired))
    }
}
