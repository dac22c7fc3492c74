//! The run report: what one run did, for machines.
//!
//! Written by `--report FILE` at the end of every run, whatever the end, and the source of the
//! summary on the terminal. Fields are only ever added.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::connector::About;
use crate::exit::exit_code;
use crate::failure::{Failure, FailureKind};

/// Version of the report's format.
const FORMAT: u32 = 1;

/// What one run did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// Version of this format.
    pub format: u32,
    /// Name and version of the connector.
    pub connector: String,
    /// Version of the connector.
    pub version: String,
    /// Name of the source in the graph.
    pub source: String,
    /// Name of the report that the rows carry.
    pub report: String,
    /// When the run began, in milliseconds since 1970.
    pub started_at: u64,
    /// How long it took, in milliseconds.
    pub duration_ms: u64,
    /// How often the run went on from where an earlier process stopped, this time included; 0
    /// for one that began here.
    #[serde(default)]
    pub resumed: u32,
    /// Full or incremental; absent when the run ended before the choice.
    pub mode: Option<Mode>,
    /// Why that mode.
    pub why: String,
    /// Where the run ended.
    pub outcome: Outcome,
    /// The exit code of the process.
    pub exit_code: u8,
    /// What failed, outermost first; empty when nothing did.
    pub error: Vec<String>,
    /// Scopes in the order of their names; empty for an incremental run.
    pub scopes: Vec<ScopeReport>,
    /// Counts by collection.
    pub collections: BTreeMap<String, Counts>,
    /// Whether a full-import session was left open, for the next run to settle.
    pub session_open: bool,
    /// The save point that the next run starts from; absent when there is none.
    pub save_point: Option<String>,
    /// Calls to the CAR service, by name of the call.
    pub calls: BTreeMap<String, u64>,
    /// Calls to the CAR service that were made again.
    pub retries: u64,
    /// Bytes sent to the CAR service.
    pub bytes_sent: u64,
    /// Pages read from the data source.
    pub pages: u64,
    /// Reads of the data source that were made again.
    pub source_retries: u64,
    /// Time spent waiting before trying again, in milliseconds.
    pub waited_ms: u64,
    /// Bytes of edges that were put on disk until the vertices were through.
    pub spilled_bytes: u64,
    /// Largest resident memory of the process in bytes, where the system tells.
    pub peak_memory_bytes: Option<u64>,
    /// Time by phase, in milliseconds.
    pub phases: BTreeMap<String, u64>,
    /// File with the rejected rows, if any was rejected.
    pub quarantine: Option<String>,
}

/// How a run imports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Everything.
    Full,
    /// What changed since the save point.
    Incremental,
}

impl Mode {
    /// Returns the word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Incremental => "incremental",
        }
    }
}

/// Where a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It failed.
    #[default]
    Failed,
    /// Everything is in the graph.
    Complete,
    /// There was nothing to do.
    Unchanged,
    /// Some scopes failed, the rest is in the graph.
    Partial,
    /// The deletion guard stopped it.
    Held,
    /// A signal stopped it.
    Interrupted,
}

/// What happened to one scope.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeReport {
    /// Its name.
    pub name: String,
    /// Whether it was read to its end without an error.
    pub complete: bool,
    /// Pages read.
    pub pages: u64,
    /// Rows emitted.
    pub rows: u64,
    /// What failed, outermost first.
    pub error: Vec<String>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hints: Vec<String>,
}

/// What happened to the rows of a collection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Different rows that were sent and acknowledged.
    pub sent: u64,
    /// Rows that were not sent because the service has them as they are.
    #[serde(default)]
    pub skipped: u64,
    /// Rows that came again exactly as before, and were not sent again.
    pub duplicate: u64,
    /// Rows that came again with other content; the last one counts.
    pub merged: u64,
    /// Rows that are not what the model asks for.
    pub rejected: u64,
    /// Edges that were not sent because one of their vertices was rejected.
    pub withheld: u64,
    /// Rows that are gone from the source and were retired; for a full import only where the
    /// service tells.
    pub retired: u64,
}

impl Counts {
    /// Adds other counts to these.
    pub fn add(&mut self, other: Self) {
        self.sent = self.sent.saturating_add(other.sent);
        self.skipped = self.skipped.saturating_add(other.skipped);
        self.duplicate = self.duplicate.saturating_add(other.duplicate);
        self.merged = self.merged.saturating_add(other.merged);
        self.rejected = self.rejected.saturating_add(other.rejected);
        self.withheld = self.withheld.saturating_add(other.withheld);
        self.retired = self.retired.saturating_add(other.retired);
    }
}

impl RunReport {
    /// Begins the report of a run; `started_at` is in milliseconds since 1970.
    #[must_use]
    pub fn begun(about: &About, source: &str, started_at: u64) -> Self {
        Self {
            format: FORMAT,
            connector: about.name.to_owned(),
            version: about.version.to_owned(),
            source: source.to_owned(),
            started_at,
            ..Self::default()
        }
    }

    /// Records that the run failed.
    pub(crate) fn fail(&mut self, failure: &Failure) {
        self.outcome = match failure.kind() {
            FailureKind::Interrupted => Outcome::Interrupted,
            FailureKind::Partial => Outcome::Partial,
            FailureKind::Held => Outcome::Held,
            _ => Outcome::Failed,
        };
        self.exit_code = exit_code(failure.kind());
        self.error = failure.chain();
    }

    /// Returns the counts of all collections together.
    #[must_use]
    pub fn totals(&self) -> Counts {
        let mut totals = Counts::default();
        for counts in self.collections.values() {
            totals.add(*counts);
        }
        totals
    }
}
