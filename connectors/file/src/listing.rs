//! What is in the directory now: each file with the hash of its content.
//!
//! A file that was written a moment ago is looked at again after a while, and left alone if it
//! changed meanwhile. A hash of an earlier listing is taken over when nothing tells that the file
//! changed since, so that listing many unchanged files costs one look at each.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use car_core::{Failure, FailureKind};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::Xxh3;

use crate::client::{Files, Found, Stamp};
use crate::error;

/// Bytes that are read at a time.
const BUFFER: usize = 256 * 1024;

/// Stands for a hash that is to be found out.
const UNKNOWN: u128 = 0;

/// How long before a listing a file must have changed last, so that its hash counts later: a file
/// system may give two writes the same time.
const RACY: i64 = 2_000_000_000;

/// A file as it is now.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) file: Found,
    pub(crate) content: Content,
    /// Whether the content is that of before, because the file is being written.
    stale: bool,
}

/// What is known of a file's content.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    /// Its hash.
    Hash(u128),
    /// It is being written.
    Unsettled,
    /// It cannot be read; why.
    Unreadable(FailureKind, String),
}

/// A file as it is remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Known {
    pub(crate) size: u64,
    pub(crate) modified: i64,
    pub(crate) inode: u64,
    /// Whether the hash holds as long as the others are the same.
    pub(crate) sure: bool,
}

impl Known {
    fn is(self, stamp: Stamp) -> bool {
        self.sure
            && self.size == stamp.size
            && self.modified == stamp.modified
            && self.inode == stamp.inode
    }
}

/// The files of the directory, by name.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) entries: Vec<Entry>,
    /// When it was made, in nanoseconds since 1970.
    pub(crate) time: i64,
}

/// What an earlier listing knew: hashes by name.
pub(crate) type Before = HashMap<String, (u128, Known)>;

impl Listing {
    /// Lists the directory.
    ///
    /// # Errors
    ///
    /// When a directory cannot be listed.
    pub(crate) fn make(
        files: &dyn Files,
        settle: Duration,
        before: &Before,
        cancel: &CancellationToken,
    ) -> Result<Self, Failure> {
        let mut time = now();
        let mut found = files.list()?;
        let settle_nanos = i64::try_from(settle.as_nanos()).unwrap_or(i64::MAX);
        let young = |file: &Found| {
            settle_nanos > 0 && file.stamp.modified > time.saturating_sub(settle_nanos)
        };
        let mut unsettled = vec![false; found.len()];
        if found.iter().any(young) {
            let young: Vec<bool> = found.iter().map(young).collect();
            wait(settle, cancel);
            time = now();
            for ((file, young), unsettled) in found.iter_mut().zip(young).zip(&mut unsettled) {
                if young {
                    match files.stamp(file) {
                        Ok(stamp) => {
                            *unsettled = stamp != file.stamp;
                            file.stamp = stamp;
                        }
                        // Gone again: reading it says so.
                        Err(_) => *unsettled = true,
                    }
                }
            }
        }
        let mut entries: Vec<Entry> = found
            .into_iter()
            .zip(unsettled)
            .map(|(file, unsettled)| {
                let known = before.get(&file.name);
                let content = match known {
                    // As if nobody had touched it: the next listing sees what it has become.
                    Some((hash, known)) if unsettled || known.is(file.stamp) => {
                        Content::Hash(*hash)
                    }
                    _ if unsettled => Content::Unsettled,
                    _ => Content::Hash(file.version.unwrap_or(UNKNOWN)),
                };
                Entry {
                    file,
                    content,
                    stale: unsettled,
                }
            })
            .collect();
        hash_all(files, &mut entries, cancel);
        if cancel.is_cancelled() {
            return Err(error::stopped());
        }
        Ok(Self { entries, time })
    }

    /// Returns what to remember of a file.
    pub(crate) fn known(&self, entry: &Entry) -> Known {
        let stamp = entry.file.stamp;
        Known {
            size: stamp.size,
            modified: stamp.modified,
            inode: stamp.inode,
            sure: !entry.stale && stamp.modified.saturating_add(RACY) < self.time,
        }
    }
}

/// Waits, unless the run has to end.
fn wait(time: Duration, cancel: &CancellationToken) {
    let end = Instant::now() + time;
    while !cancel.is_cancelled() {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::sleep(left.min(Duration::from_millis(100)));
    }
}

/// Hashes the files of which no hash is known.
fn hash_all(files: &dyn Files, entries: &mut [Entry], cancel: &CancellationToken) {
    let mut todo: Vec<&mut Entry> = entries
        .iter_mut()
        .filter(|entry| matches!(entry.content, Content::Hash(UNKNOWN)))
        .collect();
    let workers = std::thread::available_parallelism()
        .map_or(1, usize::from)
        .min(8);
    let share = todo.len().div_ceil(workers).clamp(1, 64);
    let parts: Vec<std::sync::Mutex<&mut [&mut Entry]>> =
        todo.chunks_mut(share).map(std::sync::Mutex::new).collect();
    let next = AtomicUsize::new(0);
    let work = || {
        let mut buffer = vec![0; BUFFER];
        while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut part = part
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner);
            for entry in part.iter_mut() {
                entry.content = match hash(files, &entry.file, &mut buffer, cancel) {
                    Ok(hash) => Content::Hash(hash),
                    Err(failure) => {
                        let causes = failure.chain().into_iter().skip(1);
                        let causes: Vec<String> = causes.collect();
                        Content::Unreadable(failure.kind(), causes.join(": "))
                    }
                };
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..workers.min(parts.len()) {
            scope.spawn(work);
        }
        work();
    });
}

fn hash(
    files: &dyn Files,
    file: &Found,
    buffer: &mut [u8],
    cancel: &CancellationToken,
) -> Result<u128, Failure> {
    let mut content = files.open(file)?.content;
    let mut hash = Xxh3::new();
    loop {
        if cancel.is_cancelled() {
            return Err(error::stopped());
        }
        match content.read(buffer) {
            Ok(0) => return Ok(hash.digest128()),
            Ok(size) => hash.update(buffer.get(..size).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error::unreadable_file(&file.name, error)),
        }
    }
}

impl Entry {
    /// Returns why the file cannot be read at all.
    pub(crate) fn unreadable(&self) -> Option<Failure> {
        match self.content {
            Content::Unreadable(..) => self.hash().err(),
            Content::Hash(_) | Content::Unsettled => None,
        }
    }

    /// Returns the hash, or why the file cannot be read now.
    pub(crate) fn hash(&self) -> Result<u128, Failure> {
        match &self.content {
            Content::Hash(hash) => Ok(*hash),
            Content::Unsettled => Err(error::unsettled(&self.file.name)),
            Content::Unreadable(kind, text) => {
                Err(error::unreadable(*kind, &self.file.name).because(text.clone()))
            }
        }
    }
}

fn now() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}
