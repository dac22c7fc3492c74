//! The quarantine: rejected rows with the reason, in a private file.

use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::value::RawValue;

use crate::failure::{Failure, FailureKind};

/// A file of JSON lines, made when the first row is rejected.
#[derive(Debug)]
pub struct Quarantine {
    path: PathBuf,
    file: Option<BufWriter<File>>,
}

#[derive(Serialize)]
struct Line<'a> {
    scope: &'a str,
    collection: &'a str,
    reason: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<&'a RawValue>,
}

impl Quarantine {
    /// Names the file; it is made, or emptied, when the first row comes.
    #[must_use]
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// Returns the file, if there is anything in it.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|_| self.path.as_path())
    }

    /// Returns the bytes in the file, once [flushed](Self::flush).
    pub(super) fn len(&self) -> Option<u64> {
        Some(self.file.as_ref()?.get_ref().metadata().ok()?.len())
    }

    /// Goes on with the file of an earlier process, of which so many bytes count. A file that
    /// is gone or shorter begins anew.
    pub(super) fn resume(&mut self, len: u64) -> Result<(), Failure> {
        let open = || -> std::io::Result<File> {
            let mut options = OpenOptions::new();
            let mut file = options.write(true).open(&self.path)?;
            if file.metadata()?.len() < len {
                return Err(std::io::Error::from(std::io::ErrorKind::NotFound));
            }
            file.set_len(len)?;
            file.seek(SeekFrom::End(0))?;
            Ok(file)
        };
        match open() {
            Ok(file) => {
                self.file = Some(BufWriter::new(file));
                Ok(())
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(Failure::new(
                FailureKind::General,
                "the quarantine file of the run that is resumed cannot be written",
            )
            .with("file", self.path.display())
            .because(error)
            .hint("`--quarantine FILE` names another file")),
        }
    }

    /// Adds a row.
    pub(super) fn add(
        &mut self,
        scope: &str,
        collection: &str,
        reason: &str,
        json: &[u8],
    ) -> Result<(), Failure> {
        let row = std::str::from_utf8(json)
            .ok()
            .and_then(|json| serde_json::from_str(json).ok());
        let line = Line {
            scope,
            collection,
            reason,
            row,
        };
        self.write(&line).map_err(|error| {
            Failure::new(
                FailureKind::General,
                "a rejected row cannot be put into quarantine",
            )
            .with("file", self.path.display())
            .because(error)
            .hint("`--quarantine FILE` names another file")
        })
    }

    /// Writes what is still in memory.
    pub(super) fn flush(&mut self) -> Result<(), Failure> {
        match self.file.as_mut().map(Write::flush) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(error)) => Err(Failure::new(
                FailureKind::General,
                "the quarantine file cannot be written",
            )
            .with("file", self.path.display())
            .because(error)),
        }
    }

    fn write(&mut self, line: &Line<'_>) -> std::io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(BufWriter::new(private_file(&self.path)?)),
        };
        serde_json::to_writer(&mut *file, line)?;
        file.write_all(b"\n")
    }
}

/// Makes an empty file that only this user can read.
fn private_file(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
        options.mode(0o600);
        let file = options.open(path)?;
        // A file that was there keeps its mode when it is opened. A device such as `/dev/null`
        // is not ours to change.
        if file.metadata()?.is_file() {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
        }
        Ok(file)
    }
    #[cfg(not(unix))]
    options.open(path)
}
