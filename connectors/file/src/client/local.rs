//! A directory of this machine.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use car_core::Failure;

use super::{Files, Found, Opened, Stamp, Trouble, text};
use crate::error;
use crate::format;

/// Deepest nesting of directories.
const DEEPEST: usize = 64;

/// A directory of this machine.
pub(crate) struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    fn walk(
        &self,
        directory: &Path,
        prefix: &str,
        above: &mut HashSet<(u64, u64)>,
        found: &mut Vec<Found>,
    ) -> Result<(), Failure> {
        let unreadable = |error| error::unreadable_directory(directory, error);
        let identity = identity(&fs::metadata(directory).map_err(unreadable)?);
        // A link that leads back up would be followed for ever.
        if above.len() >= DEEPEST || !above.insert(identity) {
            return Ok(());
        }
        for entry in fs::read_dir(directory).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let name = text(entry.file_name().as_encoded_bytes());
            if name.starts_with('.') {
                continue;
            }
            let name = format!("{prefix}{name}");
            let path = entry.path();
            let kind = entry.file_type().map_err(unreadable)?;
            let wanted = format::is_wanted(&name);
            if !kind.is_dir() && !kind.is_symlink() && !wanted {
                continue;
            }
            let metadata = match if kind.is_symlink() {
                fs::metadata(&path)
            } else {
                entry.metadata()
            } {
                Ok(metadata) => metadata,
                // It went away meanwhile, or is a link to nothing.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                // A link to itself.
                Err(_) if kind.is_symlink() => continue,
                Err(error) => return Err(error::unreadable_file(&name, error)),
            };
            if metadata.is_dir() {
                self.walk(&path, &format!("{name}/"), above, found)?;
            } else if metadata.is_file() && wanted {
                let stamp = stamp(&metadata);
                found.push(Found {
                    name,
                    stamp,
                    version: None,
                    path,
                });
            }
        }
        above.remove(&identity);
        Ok(())
    }
}

impl Files for Directory {
    fn reach(&self) -> Result<(), Failure> {
        let unreadable = |error| error::unreadable_directory(&self.root, error);
        match fs::read_dir(&self.root).map_err(unreadable)?.next() {
            Some(Err(error)) => Err(unreadable(error)),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    fn list(&self) -> Result<Vec<Found>, Failure> {
        let mut found = Vec::new();
        self.walk(&self.root, "", &mut HashSet::new(), &mut found)?;
        found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    fn stamp(&self, file: &Found) -> Result<Stamp, Failure> {
        fs::metadata(&file.path)
            .map(|metadata| stamp(&metadata))
            .map_err(|error| error::unreadable_file(&file.name, error))
    }

    fn open(&self, file: &Found) -> Result<Opened, Failure> {
        let content =
            File::open(&file.path).map_err(|error| error::unreadable_file(&file.name, error))?;
        Ok(Opened {
            content: Box::new(content),
            trouble: Trouble::default(),
        })
    }
}

fn stamp(metadata: &Metadata) -> Stamp {
    let modified = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
        .and_then(|time| i64::try_from(time.as_nanos()).ok());
    Stamp {
        size: metadata.len(),
        modified: modified.unwrap_or_default(),
        inode: identity(metadata).1,
    }
}

/// Returns what tells a file or directory from others of this machine.
#[cfg(unix)]
pub(crate) fn identity(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

/// Returns what tells a file or directory from others of this machine: nothing does.
#[cfg(not(unix))]
pub(crate) fn identity(_: &Metadata) -> (u64, u64) {
    (0, 0)
}
