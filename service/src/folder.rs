//! The data folder: private, and used by one process at a time.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why the service cannot start. Each text names the flag to change.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data folder cannot be made or written.
    #[error("cannot use the data folder {}; give a folder that can be written with --data", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has the data folder.
    #[error("the data folder {} is in use by another car-service; stop it, or give another folder with --data", path.display())]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// The database cannot be opened.
    #[error("cannot open the database in {place}")]
    Database {
        /// The folder or address.
        place: String,
        /// Why.
        source: crate::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {listen}; choose another address with --listen")]
    Listen {
        /// The address.
        listen: String,
        /// Why.
        source: io::Error,
    },
    /// Certificate or key cannot be used.
    #[error("cannot use the certificate and its key; check --tls-cert and --tls-key")]
    Tls {
        /// Why.
        source: io::Error,
    },
    /// Key or password cannot be used.
    #[error("{reason}; check --api-key and --api-password")]
    Credentials {
        /// What is wrong with them.
        reason: String,
    },
}

/// The folder, kept locked for as long as this lives.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder where it is missing, closes it to others and locks it.
    pub(crate) fn open(path: &Path) -> Result<Self, StartError> {
        let failed = |source| StartError::Folder {
            path: path.to_owned(),
            source,
        };
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(failed)?;
        let mut permissions = std::fs::metadata(path).map_err(failed)?.permissions();
        if permissions.mode() & 0o077 != 0 {
            permissions.set_mode(0o700);
            std::fs::set_permissions(path, permissions).map_err(failed)?;
        }
        let lock = private(&path.join("lock")).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StartError::InUse {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        // SQLite gives the files beside the database the same permissions.
        private(&path.join("car.db")).map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// Returns the database file.
    pub(crate) fn database(&self) -> PathBuf {
        self.path.join("car.db")
    }
}

fn private(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .mode(0o600)
        .open(path)
}
