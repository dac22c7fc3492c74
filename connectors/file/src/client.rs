//! The client of a place with files: the only part that knows where files are.
//!
//! Everything else sees files through [`Files`], by names relative to the place. `local` is a
//! directory of this machine, `remote` a web server or a bucket, and `http` what both of these
//! speak.

mod http;
mod local;
mod remote;

use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use car_core::Failure;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::error;
use crate::location::Location;

pub(crate) use self::http::Refused;
pub(crate) use local::{Directory, identity};

/// Files that can be listed and read.
pub(crate) trait Files: Send + Sync {
    /// Reaches the place, and nothing else.
    ///
    /// # Errors
    ///
    /// When it is not there, or cannot be listed.
    fn reach(&self) -> Result<(), Failure>;

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
    fn stamp(&self, file: &Found) -> Result<Stamp, Failure>;

    /// Opens a file; one with a version in that version only.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn open(&self, file: &Found) -> Result<Opened, Failure>;
}

/// A file that was found.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Its name relative to the place, with `/`; bytes that are no text as `%FF`.
    pub(crate) name: String,
    /// What tells without reading whether it changed.
    pub(crate) stamp: Stamp,
    /// What stands for its content, where the place tells: a file need not be read to know
    /// whether it changed.
    pub(crate) version: Option<u128>,
    /// Where it is.
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

/// A file that is read.
pub(crate) struct Opened {
    pub(crate) content: Box<dyn Read + Send>,
    pub(crate) trouble: Trouble,
}

/// Why a file could not be read to its end: parsers do not hand on what a reader tells them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<Failure>>>);

impl Trouble {
    fn set(&self, failure: Failure) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(failure);
    }

    /// Returns it, if there is any.
    pub(crate) fn take(&self) -> Option<Failure> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// Makes the client of the place that the settings name.
///
/// # Errors
///
/// When the settings do not fit together.
pub(crate) fn open(
    settings: &Settings,
    cancel: &CancellationToken,
) -> Result<Arc<dyn Files>, Failure> {
    Ok(match &settings.directory {
        Location::Folder(folder) => Arc::new(Directory::new(folder)),
        Location::Web(url) => Arc::new(remote::web(url, settings, cancel)?),
        Location::Unusable(why) => return Err(error::bad_place(&settings.directory, *why)),
        Location::Bucket { bucket, prefix } => {
            Arc::new(remote::bucket(bucket, prefix, settings, cancel)?)
        }
    })
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
