//! What can go wrong with an edge log.

use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::failure::{Failure, FailureKind};

/// Why an edge log cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EdgeLogError {
    /// The file cannot be opened, written or read.
    #[error("the file with the edges, `{}`, cannot be {doing}", .path.display())]
    Io {
        /// What was being done, as "the file cannot be …".
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// What is in the file is not what was written.
    #[error("the file with the edges, `{}`, is damaged at byte {offset}: {reason}", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the damaged record begins.
        offset: u64,
        /// What is wrong, as a clause.
        reason: &'static str,
    },
    /// Another process writes it, which has lost its lease and does not know yet.
    #[error("another process still writes the file with the edges, `{}`", .path.display())]
    InUse {
        /// The file.
        path: PathBuf,
    },
}

impl EdgeLogError {
    /// Returns whether the run cannot be resumed because of it, so that it has to start anew.
    #[must_use]
    pub const fn starts_anew(&self) -> bool {
        match self {
            Self::Damaged { .. } | Self::InUse { .. } => true,
            Self::Io { .. } => false,
        }
    }

    pub(super) fn io(doing: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            doing,
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn damaged(path: &Path, offset: u64, reason: &'static str) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            offset,
            reason,
        }
    }

    pub(super) fn in_use(path: &Path) -> Self {
        Self::InUse {
            path: path.to_owned(),
        }
    }
}

impl From<EdgeLogError> for Failure {
    fn from(error: EdgeLogError) -> Self {
        let message = error.to_string();
        match error {
            EdgeLogError::Io { source, .. } => Self::new(FailureKind::General, message)
                .because(source)
                .hint("the file is beside the one that `--state` names; make room there, or name another")
                .hint("the next run resumes from its last checkpoint"),
            EdgeLogError::Damaged { .. } | EdgeLogError::InUse { .. } => {
                Self::new(FailureKind::General, message)
                    .hint("nothing was retired; the next run starts anew")
            }
        }
    }
}
