//! The container API as a trait: what a connector may ask of the platform that started it.
//!
//! Two things implement it: [`HttpContainer`](super::HttpContainer) talks to the sidecar of a
//! platform, [`FileContainer`](super::FileContainer) reads and writes a folder.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::row::Rows;
use crate::failure::Failure;

/// What rows come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum InputType {
    /// Everything there is.
    Input,
    /// The old name of [`Input`](Self::Input).
    Full,
    /// Rows that were not there in the last run.
    New,
    /// Rows that were there in the last run, and were different.
    Modified,
    /// Rows that are as they were in the last run.
    Unchanged,
    /// Rows that are not there any more.
    Deleted,
}

/// Where rows go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum OutputType {
    /// The dataset, which they replace.
    Output,
    /// What the other side said about rows; a source of data in the next run.
    Feedback,
}

/// What can be counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Items {
    /// Rows that come in.
    Input(InputType),
    /// Rows that were written.
    Output(OutputType),
}

/// Which rows and columns a read gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ReadOptions {
    /// With columns whose names begin with an underscore.
    pub show_hidden: bool,
    /// Only rows of this classification.
    pub classification: Option<u64>,
}

/// What came of a read. The three ways in which there is no row are told apart, because they
/// mean different things: the first two are the end, the third that this run has no such input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// Rows, at least one.
    Rows(Rows),
    /// The end, told by a status of its own (204).
    NoContent,
    /// The end, told by a list or row with nothing in it.
    Empty,
    /// The input was not supplied in this run (404).
    NotSupplied,
}

/// How serious a message is: the levels of syslog, and two of the platform's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogLevel {
    /// The system is unusable.
    Emergency,
    /// Someone must act at once.
    Alert,
    /// A part does not work.
    Critical,
    /// An error.
    Error,
    /// A warning.
    Warning,
    /// Normal, but significant.
    Notice,
    /// For information.
    Info,
    /// For whoever looks for a defect.
    Debug,
    /// Something went well, for end users.
    Success,
    /// A result, for end users.
    Report,
}

/// Something that the platform does for the connector.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Process {
    /// Its id.
    pub id: String,
    /// `running`, or another word of the platform when it is over.
    pub status: String,
    /// How it ended; none while it runs.
    #[serde(default)]
    pub exit_code: Option<i64>,
    /// How long it may still run.
    #[serde(default)]
    pub seconds_remaining: Option<i64>,
}

/// Where a file is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Storage {
    /// The platform's own storage.
    Internal,
    /// The place that the site's transport leads to.
    Transport,
}

/// A file that is taken somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreFile {
    /// Path in the container.
    pub source_file: String,
    /// Path where it goes to.
    pub remote_file: String,
}

/// A classification of rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Classification {
    /// Its number, for [`ReadOptions::classification`].
    pub classification_id: u64,
    /// Its path.
    pub classification_path: String,
}

/// What an implementation can do beyond the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Abilities {
    /// A read whose answer was lost can be made again without losing rows.
    pub repeatable_reads: bool,
    /// A write whose answer was lost can be made again without doubling rows.
    pub repeatable_writes: bool,
}

/// The platform beside a run.
///
/// # Behaviour
///
/// - A call succeeds only when the other side says so; every other answer is a failure whose
///   [kind](crate::failure::FailureKind) is one of the `Platform…` ones and whose
///   [effect](crate::failure::Effect) says whether rows were written or read.
/// - Reading advances a cursor of the other side: a batch whose answer is lost is gone, unless
///   [`Abilities::repeatable_reads`]. So implementations make a read or a write again by
///   themselves only when it was certainly not carried out, or is repeatable.
/// - Every call has an end: implementations have a timeout of their own.
///
/// # Errors
///
/// Those of all methods are described above.
#[async_trait]
pub trait ContainerApi: Send + Sync {
    /// Makes sure that the other side is there, and returns what it can do.
    async fn ping(&self) -> Result<Abilities, Failure>;

    /// Reads one row.
    async fn next(&self, input: InputType, options: ReadOptions) -> Result<Read, Failure>;

    /// Reads up to `size` rows, or [as many as possible](Self::largest_batch) if that is less.
    async fn next_batch(
        &self,
        input: InputType,
        size: usize,
        options: ReadOptions,
    ) -> Result<Read, Failure>;

    /// Returns how many rows one read can give at most.
    fn largest_batch(&self) -> usize;

    /// Returns whether a read can be lost on its way; then a run compares counts.
    fn may_lose_reads(&self) -> bool {
        true
    }

    /// Takes the cursor back to the start; false when the input was not supplied.
    async fn restart(&self, input: InputType) -> Result<bool, Failure>;

    /// Counts rows; none when the other side does not tell.
    async fn count(&self, items: Items) -> Result<Option<u64>, Failure>;

    /// Returns how far a read is where rows are not counted: a share from 0 to 1.
    fn progress(&self, _: InputType) -> Option<f64> {
        None
    }

    /// Adds rows, at least one.
    async fn append(&self, output: OutputType, rows: &Rows) -> Result<(), Failure>;

    /// Says that no more rows follow, as the platform's route does. For maintenance; a run ends
    /// without it.
    async fn close(&self, output: OutputType) -> Result<(), Failure>;

    /// Ends an output: where output is kept back until it is whole, it is kept for good or
    /// thrown away.
    async fn finish(&self, output: OutputType, keep: bool) -> Result<(), Failure>;

    /// Writes to the platform's log.
    async fn log(
        &self,
        level: LogLevel,
        message: &str,
        context: Option<&serde_json::Value>,
    ) -> Result<(), Failure>;

    /// Returns the processes that run.
    async fn processes(&self) -> Result<Vec<Process>, Failure>;

    /// Returns a process; none when there is none with that id.
    async fn process(&self, id: &str) -> Result<Option<Process>, Failure>;

    /// Writes all processes to the platform's own log.
    async fn log_processes(&self) -> Result<(), Failure>;

    /// Begins to take a file somewhere, and returns the id of the process that does.
    async fn store(&self, storage: Storage, file: &StoreFile) -> Result<String, Failure>;

    /// Returns the classifications below a path, or all.
    async fn classifications(&self, path: Option<&str>) -> Result<Vec<Classification>, Failure>;
}

impl InputType {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Input,
        Self::Full,
        Self::New,
        Self::Modified,
        Self::Unchanged,
        Self::Deleted,
    ];

    /// Returns its name, as in routes and names of files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Full => "full",
            Self::New => "new",
            Self::Modified => "modified",
            Self::Unchanged => "unchanged",
            Self::Deleted => "deleted",
        }
    }

    /// Returns the one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|input| input.as_str() == name)
    }
}

impl OutputType {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Output, Self::Feedback];

    /// Returns its name, as in routes and names of files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Output => "output",
            Self::Feedback => "feedback",
        }
    }

    /// Returns the one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|output| output.as_str() == name)
    }
}

impl LogLevel {
    /// All of them, the most serious first.
    pub const ALL: [Self; 10] = [
        Self::Emergency,
        Self::Alert,
        Self::Critical,
        Self::Error,
        Self::Warning,
        Self::Notice,
        Self::Info,
        Self::Debug,
        Self::Success,
        Self::Report,
    ];

    /// Returns its name, as in the route.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Emergency => "emergency",
            Self::Alert => "alert",
            Self::Critical => "critical",
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Success => "success",
            Self::Report => "report",
        }
    }

    /// Returns the one with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|level| level.as_str() == name)
    }
}

impl Storage {
    /// Returns its route.
    #[must_use]
    pub const fn route(self) -> &'static str {
        match self {
            Self::Internal => "storage/internal",
            Self::Transport => "store/to-transport",
        }
    }
}

impl Process {
    /// Returns whether it runs still.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.exit_code.is_none() && self.status == "running"
    }
}

impl Items {
    /// Returns its name, as in the route.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Input(input) => input.as_str(),
            Self::Output(output) => output.as_str(),
        }
    }
}

impl fmt::Display for InputType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for OutputType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
