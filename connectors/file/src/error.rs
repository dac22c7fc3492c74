//! What it means that a directory or a file cannot be read.

mod remote;

use std::io;
use std::path::Path;

use car_core::{Failure, FailureKind, Retry};

pub(crate) use remote::{
    bad_credentials, bad_place, cut_short, no_client, odd_credentials, remote,
};

/// Why a file cannot be read to its end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// Nobody wants to know any more.
    Stopped,
    /// The system fails to read it.
    Io(io::Error),
    /// Its content is not what it should be.
    Content {
        /// Line from 1, where it is known.
        line: Option<u64>,
        /// Column from 1, where it is known.
        column: Option<u64>,
        /// What is wrong.
        reason: String,
    },
}

impl Broken {
    /// Says what is wrong with the content as a whole.
    pub(crate) fn content(reason: impl Into<String>) -> Self {
        Self::Content {
            line: None,
            column: None,
            reason: reason.into(),
        }
    }

    /// Says what is wrong with the content at a place.
    pub(crate) fn at(line: u64, column: u64, reason: impl Into<String>) -> Self {
        Self::Content {
            line: Some(line),
            column: Some(column),
            reason: reason.into(),
        }
    }

    /// Makes the failure of the file.
    pub(crate) fn failure(self, file: &str) -> Failure {
        match self {
            Self::Stopped => {
                Failure::new(FailureKind::Interrupted, "stopped in the middle of a file")
            }
            Self::Io(error) => unreadable_file(file, error),
            Self::Content {
                line,
                column,
                reason,
            } => {
                let mut failure =
                    Failure::new(FailureKind::SourceData, "the file is not what it should be")
                        .with("file", file);
                if let Some(line) = line {
                    failure = failure.with("line", line);
                }
                if let Some(column) = column {
                    failure = failure.with("column", column);
                }
                failure.because(reason).hint(
                    "what was imported of it before stays in the graph; mend the file, or take it out of the directory",
                )
            }
        }
    }
}

impl From<io::Error> for Broken {
    fn from(error: io::Error) -> Self {
        // The limits on unpacking speak through the reader.
        match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Limit>())
        {
            Some(limit) => Self::content(limit.0.clone()),
            None if matches!(
                error.kind(),
                io::ErrorKind::InvalidData
                    | io::ErrorKind::InvalidInput
                    | io::ErrorKind::UnexpectedEof
            ) =>
            {
                Self::content(format!("it cannot be unpacked: {error}"))
            }
            None => Self::Io(error),
        }
    }
}

impl From<serde_json::Error> for Broken {
    fn from(error: serde_json::Error) -> Self {
        if error.is_io() {
            return io::Error::from(error).into();
        }
        let (line, column) = (error.line() as u64, error.column() as u64);
        Self::at(line, column, error.to_string())
    }
}

/// A limit that a file exceeds, told through `io::Error`.
#[derive(Debug)]
pub(crate) struct Limit(pub(crate) String);

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Limit {}

/// Returns what it means that a directory cannot be listed.
pub(crate) fn unreadable_directory(directory: &Path, error: io::Error) -> Failure {
    let (kind, retry) = match error.kind() {
        io::ErrorKind::PermissionDenied => (FailureKind::SourceForbidden, Retry::Never),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            (FailureKind::SourceUnavailable, Retry::Never)
        }
        _ => (FailureKind::SourceUnavailable, Retry::Backoff),
    };
    Failure::new(kind, "the directory cannot be listed")
        .with("directory", directory.display())
        .with_retry(retry)
        .because(error)
        .hint("check `--directory` (`CONFIGURATION_PARAMETER_DIRECTORY`), that it is there, and that the user of this process may read it")
}

/// Returns what it means that a file cannot be read.
pub(crate) fn unreadable_file(file: &str, error: io::Error) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::PermissionDenied => FailureKind::SourceForbidden,
        _ => FailureKind::SourceUnavailable,
    };
    unreadable(kind, file).because(error)
}

/// Returns that a file cannot be read, without the cause.
pub(crate) fn unreadable(kind: FailureKind, file: &str) -> Failure {
    Failure::new(kind, "the file cannot be read").with("file", file)
}

/// Returns that a signal came.
pub(crate) fn stopped() -> Failure {
    Failure::new(FailureKind::Interrupted, "stopped by a signal")
}

/// Returns what it means that a file is not the one that was listed any more.
pub(crate) fn changed(file: &str) -> Failure {
    Failure::new(
        FailureKind::SourceUnavailable,
        "the file was changed while it was imported",
    )
    .with("file", file)
    .hint("the next import takes it as it is then; write files under another name and rename them when they are whole")
}

/// Returns what it means that a file is being written.
pub(crate) fn unsettled(file: &str) -> Failure {
    Failure::new(
        FailureKind::SourceUnavailable,
        "the file is being written still",
    )
    .with("file", file)
    .hint("the next import takes it; `--settle` (`CONFIGURATION_PARAMETER_SETTLE`) says how long it must be unchanged")
}

/// Returns what a scope that the connector never listed means.
pub(crate) fn unknown_scope(scope: &str) -> Failure {
    Failure::new(
        FailureKind::General,
        "the connector does not know the scope",
    )
    .with("scope", scope)
}

/// Returns what it means that the memory cannot be used.
pub(crate) fn memory(path: &Path, error: io::Error) -> Failure {
    Failure::new(
        FailureKind::General,
        "the connector's memory cannot be used",
    )
    .with("path", path.display())
    .because(error)
    .hint("`--memory` (`CONFIGURATION_PARAMETER_MEMORY`) names another folder, `none` goes without")
}

/// Returns what it means that a mapping file cannot be used.
pub(crate) fn mapping(
    path: &Path,
    reason: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Failure {
    Failure::new(FailureKind::InvalidParameter, "the mapping file cannot be used")
        .with("file", path.display())
        .because(reason)
        .hint("`--mapping` (`CONFIGURATION_PARAMETER_MAPPING`) names it; the README of the connector says what is in one")
}
