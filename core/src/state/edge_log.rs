//! The edges of checkpointed pages, which wait on disk until all vertices are through.
//!
//! The file begins with a header: eight letters, the version (4 bytes), zeros (4), number of the
//! run (8). Records follow: length of the payload (4), checksum of the payload (8), payload. The
//! payload is a kind (1) and what belongs to it:
//!
//! | Kind | Content |
//! |---|---|
//! | 1 | a name: its index (2), text. Edges use the index; it comes before its first use. |
//! | 2 | an edge: index of the collection (2), flags (1), hashes of both ends (16), JSON |
//! | 3 | a vertex that was rejected, or no longer is: hash of its identity (8), 1 or 0 |
//! | 4 | the scope of the edges that follow: index of its name (2) |
//!
//! Numbers are little-endian. The checksum is seeded with the run and the place in the file, so
//! that neither a block of an earlier file nor one that a disk put elsewhere passes.

mod error;
mod read;

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64_with_seed;

pub use error::EdgeLogError;
pub use read::EdgeLogReader;

use super::model::RunId;

const MAGIC: [u8; 8] = *b"CAREDGES";
const VERSION: u32 = 1;
const HEADER: usize = 24;
/// Length and checksum.
const HEAD: usize = 12;
/// Bytes that are gathered before they are written.
const GATHER: usize = 1 << 20;
/// How often a lock is tried, and the wait after each try.
const LOCK_TRIES: u32 = 25;
const LOCK_WAIT: Duration = Duration::from_millis(20);

const NAME: u8 = 1;
const EDGE: u8 = 2;
const VERTEX: u8 = 3;
const SCOPE: u8 = 4;

/// What the log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry<'a> {
    /// An edge.
    Edge {
        /// Its collection.
        collection: &'a str,
        /// Which of the fields that the engine adds it has already.
        has: [bool; 4],
        /// Hash of the identity of the vertex it comes from.
        from: u64,
        /// Hash of the identity of the vertex it goes to.
        to: u64,
        /// The row.
        json: &'a [u8],
    },
    /// The edges that follow were read from this scope; those before the first one from no scope
    /// that the service knows.
    Scope {
        /// Its name.
        name: &'a str,
    },
    /// A vertex was rejected, so its edges are to be withheld; or came again and is good now.
    Vertex {
        /// Hash of its identity.
        id: u64,
        /// Whether it was rejected.
        rejected: bool,
    },
}

/// A private file that only grows, by one process at a time.
#[derive(Debug)]
pub struct EdgeLog {
    path: PathBuf,
    run: RunId,
    file: Arc<File>,
    len: u64,
    names: HashMap<Box<str>, u16>,
    buffer: Vec<u8>,
}

impl EdgeLog {
    /// Makes the log of a run, or goes on with it at the checkpointed length; whatever is behind
    /// that is cut off. Length 0 makes a new one.
    ///
    /// Reads the whole of it, so that damage is found before work is built on it. Blocks.
    ///
    /// # Errors
    ///
    /// With [`EdgeLogError::starts_anew`] the run cannot be resumed; otherwise the disk is to
    /// blame, and the same call may work later.
    pub fn open(path: &Path, run: RunId, len: u64) -> Result<Self, EdgeLogError> {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(len == 0)
            .truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let failed = |source| EdgeLogError::io("opened", path, source);
        let file = match options.open(path) {
            Ok(file) => file,
            Err(error) if len > 0 && error.kind() == std::io::ErrorKind::NotFound => {
                return Err(EdgeLogError::damaged(path, 0, "the file is gone"));
            }
            Err(error) => return Err(failed(error)),
        };
        lock(&file, path)?;
        let mut log = Self {
            path: path.to_owned(),
            run,
            file: Arc::new(file),
            len,
            names: HashMap::new(),
            buffer: Vec::new(),
        };
        if len == 0 {
            log.make()?;
        } else {
            log.resume()?;
        }
        Ok(log)
    }

    fn make(&mut self) -> Result<(), EdgeLogError> {
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(&header_of(self.run));
        let make = || {
            self.file.set_len(0)?;
            (&*self.file).seek(SeekFrom::Start(0))?;
            (&*self.file).write_all(&header)?;
            self.file.sync_all()?;
            // The name of the file is data of the folder.
            match self.path.parent() {
                Some(folder) if !folder.as_os_str().is_empty() => File::open(folder)?.sync_all(),
                _ => File::open(".")?.sync_all(),
            }
        };
        make().map_err(|error| EdgeLogError::io("made", &self.path, error))?;
        self.len = HEADER as u64;
        Ok(())
    }

    fn resume(&mut self) -> Result<(), EdgeLogError> {
        let failed = |source| EdgeLogError::io("opened", &self.path, source);
        let found = self.file.metadata().map_err(failed)?.len();
        let reason = if found < self.len {
            Some("the file is shorter than at its checkpoint")
        } else if self.len < HEADER as u64 {
            Some("its checkpoint is inside the header")
        } else {
            None
        };
        if let Some(reason) = reason {
            return Err(EdgeLogError::damaged(&self.path, found, reason));
        }
        let mut reader = self.read()?;
        while reader.next()?.is_some() {}
        self.names = (0..)
            .zip(reader.into_names())
            .map(|(index, name)| (name, index))
            .collect();
        self.file.set_len(self.len).map_err(failed)
    }

    /// Adds entries; returns the length of the file with them.
    ///
    /// They count once they are [synced](EdgeLog::sync) and their length is checkpointed. When
    /// it fails, none of them is in the log. Blocks as writing to a file does.
    ///
    /// # Errors
    ///
    /// When the disk is full, or one entry is larger than 4 GiB.
    pub fn append<'a>(
        &mut self,
        entries: impl IntoIterator<Item = Entry<'a>>,
    ) -> Result<u64, EdgeLogError> {
        self.write_out()?;
        let known = self.names.len();
        let result = self.write(entries);
        self.buffer.clear();
        match result {
            Ok(len) => self.len = len,
            Err(_) => self.names.retain(|_, index| usize::from(*index) < known),
        }
        result.map(|_| self.len)
    }

    fn write<'a>(
        &mut self,
        entries: impl IntoIterator<Item = Entry<'a>>,
    ) -> Result<u64, EdgeLogError> {
        let mut len = self.len;
        for entry in entries {
            self.encode(entry, len)?;
            if self.buffer.len() >= GATHER {
                len = self.flush(len)?;
            }
        }
        self.flush(len)
    }

    /// Adds an entry, which may stay in memory until [`EdgeLog::write_out`].
    ///
    /// When it fails, the log must not be checkpointed any more.
    ///
    /// # Errors
    ///
    /// As [`EdgeLog::append`].
    pub fn add(&mut self, entry: Entry<'_>) -> Result<(), EdgeLogError> {
        self.encode(entry, self.len)?;
        if self.buffer.len() >= GATHER {
            self.write_out()?;
        }
        Ok(())
    }

    /// Writes what [`EdgeLog::add`] left in memory; returns the length of the file with it.
    ///
    /// # Errors
    ///
    /// When the disk is full.
    pub fn write_out(&mut self) -> Result<u64, EdgeLogError> {
        if !self.buffer.is_empty() {
            self.len = self.flush(self.len)?;
        }
        Ok(self.len)
    }

    /// Puts an entry into the buffer, whose beginning is at `len` in the file.
    fn encode(&mut self, entry: Entry<'_>, len: u64) -> Result<(), EdgeLogError> {
        match entry {
            Entry::Edge {
                collection,
                has,
                from,
                to,
                json,
            } => {
                let index = self.index(collection, len)?;
                let flags = has
                    .iter()
                    .enumerate()
                    .fold(0_u8, |flags, (bit, has)| flags | (u8::from(*has) << bit));
                let [low, high] = index.to_le_bytes();
                let (from, to) = (from.to_le_bytes(), to.to_le_bytes());
                self.put(len, &[&[EDGE, low, high, flags], &from, &to, json])
            }
            Entry::Scope { name } => {
                let [low, high] = self.index(name, len)?.to_le_bytes();
                self.put(len, &[&[SCOPE, low, high]])
            }
            Entry::Vertex { id, rejected } => {
                self.put(len, &[&[VERTEX], &id.to_le_bytes(), &[u8::from(rejected)]])
            }
        }
    }

    /// Returns the index of a name, which is written when it is new.
    fn index(&mut self, name: &str, flushed: u64) -> Result<u16, EdgeLogError> {
        if let Some(index) = self.names.get(name) {
            return Ok(*index);
        }
        let index = u16::try_from(self.names.len()).map_err(|_| {
            EdgeLogError::io(
                "extended",
                &self.path,
                std::io::Error::other("there are more than 65 536 collections and scopes"),
            )
        })?;
        self.put(flushed, &[&[NAME], &index.to_le_bytes(), name.as_bytes()])?;
        self.names.insert(name.into(), index);
        Ok(index)
    }

    /// Adds a record to the buffer, whose beginning is at `flushed` in the file.
    fn put(&mut self, flushed: u64, parts: &[&[u8]]) -> Result<(), EdgeLogError> {
        let start = self.buffer.len();
        let offset = flushed.saturating_add(start as u64);
        self.buffer.extend_from_slice(&[0; HEAD]);
        for part in parts {
            self.buffer.extend_from_slice(part);
        }
        let Some((head, payload)) = self
            .buffer
            .get_mut(start..)
            .and_then(<[u8]>::split_first_chunk_mut::<HEAD>)
        else {
            return Ok(());
        };
        let length = u32::try_from(payload.len()).map_err(|_| {
            EdgeLogError::io(
                "extended",
                &self.path,
                std::io::Error::other("an edge is larger than 4 GiB"),
            )
        })?;
        let checksum = xxh3_64_with_seed(payload, seed(self.run, offset));
        *head = head_of(length, checksum);
        Ok(())
    }

    fn flush(&mut self, at: u64) -> Result<u64, EdgeLogError> {
        let write = || {
            (&*self.file).seek(SeekFrom::Start(at))?;
            (&*self.file).write_all(&self.buffer)
        };
        write().map_err(|error| EdgeLogError::io("extended", &self.path, error))?;
        let len = at.saturating_add(self.buffer.len() as u64);
        self.buffer.clear();
        Ok(len)
    }

    /// Waits until everything that was added is on the disk.
    ///
    /// # Errors
    ///
    /// When the disk fails; what was added since the last checkpoint must then not be
    /// checkpointed.
    pub async fn sync(&self) -> Result<(), EdgeLogError> {
        let file = Arc::clone(&self.file);
        let synced = tokio::task::spawn_blocking(move || file.sync_data()).await;
        synced
            .map_err(std::io::Error::other)
            .and_then(|synced| synced)
            .map_err(|error| EdgeLogError::io("synced", &self.path, error))
    }

    /// Returns the length of the file with everything that was added and written out.
    #[must_use]
    #[expect(
        clippy::len_without_is_empty,
        reason = "the file is never without its header"
    )]
    pub const fn len(&self) -> u64 {
        self.len
    }

    /// Returns the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads everything that was added and written out so far, first come first.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened, or is not the log of this run.
    pub fn read(&self) -> Result<EdgeLogReader, EdgeLogError> {
        EdgeLogReader::open(&self.path, self.run, self.len)
    }
}

impl Drop for EdgeLog {
    fn drop(&mut self) {
        // Closing is not enough while a process that was just started still has a copy.
        if let Err(error) = self.file.unlock() {
            tracing::debug!(file = %self.path.display(), %error, "the edge log stays locked");
        }
    }
}

/// Locks a file against other processes that write it.
///
/// Waits a moment: a program that a dead process was just starting still has the lock.
fn lock(file: &File, path: &Path) -> Result<(), EdgeLogError> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_WAIT),
            Err(TryLockError::Error(error)) => {
                return Err(EdgeLogError::io("locked", path, error));
            }
        }
    }
    Err(EdgeLogError::in_use(path))
}

fn header_of(run: RunId) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    let bytes = MAGIC
        .into_iter()
        .chain(VERSION.to_le_bytes())
        .chain([0; 4])
        .chain(run.0.to_le_bytes());
    for (place, byte) in header.iter_mut().zip(bytes) {
        *place = byte;
    }
    header
}

fn head_of(length: u32, checksum: u64) -> [u8; HEAD] {
    let mut head = [0; HEAD];
    let bytes = length
        .to_le_bytes()
        .into_iter()
        .chain(checksum.to_le_bytes());
    for (place, byte) in head.iter_mut().zip(bytes) {
        *place = byte;
    }
    head
}

/// Ties a record to its run and its place.
const fn seed(run: RunId, offset: u64) -> u64 {
    run.0
        .cast_unsigned()
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
        .wrapping_add(offset)
}
