//! The client of a directory: the only place that knows where files are.
//!
//! Everything else sees files through [`Files`], by names relative to the directory.

use std::collections::HashSet;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use car_core::Failure;

use crate::error;
use crate::format;

/// Deepest nesting of directories.
const DEEPEST: usize = 64;

/// Files that can be listed and read.
pub(crate) trait Files: Send + Sync {
    /// Lists the files whose names say that they are for the connector, by name.
    ///
    /// # Errors
    ///
    /// When a directory cannot be listed: what is in it is unknown then, and must not count as
    /// gone.
    fn list(&self) -> Result<Vec<Found>, Failure>;

    /// Looks at a file again.
    ///
    /// # Errors
    ///
    /// When it is not there any more, or cannot be looked at.
    fn stamp(&self, file: &Found) -> io::Result<Stamp>;

    /// Opens a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn open(&self, file: &Found) -> io::Result<Box<dyn Read + Send>>;
}

/// A file that was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Its name relative to the directory, with `/`; bytes that are no text as `%FF`.
    pub(crate) name: String,
    /// What tells without reading whether it changed.
    pub(crate) stamp: Stamp,
    path: PathBuf,
}

/// What tells without reading whether a file changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Stamp {
    /// Size in bytes.
    pub(crate) size: u64,
    /// When it last changed, in nanoseconds since 1970.
    pub(crate) modified: i64,
    /// Number of the file in its file system, 0 where there is none.
    pub(crate) inode: u64,
}

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
                found.push(Found { name, stamp, path });
            }
        }
        above.remove(&identity);
        Ok(())
    }
}

impl Files for Directory {
    fn list(&self) -> Result<Vec<Found>, Failure> {
        let mut found = Vec::new();
        self.walk(&self.root, "", &mut HashSet::new(), &mut found)?;
        found.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(found)
    }

    fn stamp(&self, file: &Found) -> io::Result<Stamp> {
        fs::metadata(&file.path).map(|metadata| stamp(&metadata))
    }

    fn open(&self, file: &Found) -> io::Result<Box<dyn Read + Send>> {
        Ok(Box::new(File::open(&file.path)?))
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

#[cfg(unix)]
fn identity(metadata: &Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn identity(_: &Metadata) -> (u64, u64) {
    (0, 0)
}

/// Writes a name as text: bytes that are none, and control characters, as `%0A`.
fn text(mut bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    let push = |part: &str, text: &mut String| {
        for c in part.chars() {
            match c.is_control() {
                true => text.push_str(&format!("%{:02X}", u32::from(c))),
                false => text.push(c),
            }
        }
    };
    while !bytes.is_empty() {
        match std::str::from_utf8(bytes) {
            Ok(rest) => {
                push(rest, &mut text);
                break;
            }
            Err(error) => {
                let (good, rest) = bytes.split_at(error.valid_up_to());
                push(std::str::from_utf8(good).unwrap_or_default(), &mut text);
                let bad = error.error_len().unwrap_or(rest.len());
                for byte in rest.iter().take(bad) {
                    text.push_str(&format!("%{byte:02X}"));
                }
                bytes = rest.get(bad..).unwrap_or_default();
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_encoding_become_text() {
        assert_eq!(text("grün.csv".as_bytes()), "grün.csv");
        assert_eq!(text(b"a\xFFb\xC3.csv"), "a%FFb%C3.csv");
        assert_eq!(text(b"line\nbreak.json"), "line%0Abreak.json");
    }
}
