//! Reads an edge log, a record at a time, and believes none of it unchecked.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::{EDGE, EdgeLogError, Entry, HEAD, HEADER, NAME, RunId, SCOPE, VERTEX, header_of, seed};

/// Entries of an edge log in the order in which they came.
///
/// Needs memory for the largest record only.
#[derive(Debug)]
pub struct EdgeLogReader {
    path: PathBuf,
    run: RunId,
    file: BufReader<File>,
    offset: u64,
    /// Where the present record begins.
    begin: u64,
    len: u64,
    names: Vec<Box<str>>,
    record: Vec<u8>,
}

impl EdgeLogReader {
    /// Opens a log that is `len` bytes long, header included.
    pub(super) fn open(path: &Path, run: RunId, len: u64) -> Result<Self, EdgeLogError> {
        let file = File::open(path).map_err(|error| EdgeLogError::io("opened", path, error))?;
        let mut reader = Self {
            path: path.to_owned(),
            run,
            file: BufReader::with_capacity(1 << 18, file),
            offset: 0,
            begin: 0,
            len,
            names: Vec::new(),
            record: Vec::new(),
        };
        let mut header = [0; HEADER];
        reader.fill(&mut header)?;
        if header != header_of(run) {
            return Err(reader.damaged("it is not the log of this run, or of another version"));
        }
        reader.offset = HEADER as u64;
        Ok(reader)
    }

    /// Returns the next entry, `None` at the end.
    ///
    /// # Errors
    ///
    /// [`EdgeLogError::Damaged`] where a record is not what was written.
    // Not an iterator: an entry borrows from the reader.
    #[expect(
        clippy::should_implement_trait,
        reason = "an entry borrows from the reader"
    )]
    pub fn next(&mut self) -> Result<Option<Entry<'_>>, EdgeLogError> {
        if !self.step()? {
            return Ok(None);
        }
        self.current()
    }

    /// Returns the present entry once more, `None` before the first one.
    ///
    /// # Errors
    ///
    /// As [`EdgeLogReader::next`].
    pub fn current(&self) -> Result<Option<Entry<'_>>, EdgeLogError> {
        if self.record.is_empty() {
            return Ok(None);
        }
        decode(&self.names, &self.record)
            .map(Some)
            .map_err(|reason| EdgeLogError::damaged(&self.path, self.begin, reason))
    }

    /// Reads records up to the next one that is an entry; tells whether there is one.
    fn step(&mut self) -> Result<bool, EdgeLogError> {
        loop {
            if self.offset >= self.len {
                return Ok(false);
            }
            self.record()?;
            self.begin = self.offset;
            if self.record.first() == Some(&NAME) {
                learn(&mut self.names, &self.record).map_err(|reason| self.damaged(reason))?;
            }
            self.offset = self
                .begin
                .saturating_add(HEAD as u64)
                .saturating_add(self.record.len() as u64);
            if self.record.first() != Some(&NAME) {
                return Ok(true);
            }
        }
    }

    /// Returns the place in the file behind the last entry.
    #[must_use]
    pub const fn position(&self) -> u64 {
        self.offset
    }

    /// Returns the names by their index.
    pub(super) fn into_names(self) -> Vec<Box<str>> {
        self.names
    }

    /// Reads the payload of the record at the present place, and checks it.
    fn record(&mut self) -> Result<(), EdgeLogError> {
        let left = self.len.saturating_sub(self.offset);
        let (mut length, mut checksum) = ([0; 4], [0; 8]);
        if left < HEAD as u64 {
            return Err(self.damaged("a record is cut off"));
        }
        self.fill(&mut length)?;
        self.fill(&mut checksum)?;
        let length = u32::from_le_bytes(length);
        // Before memory is taken for it.
        if u64::from(length) > left.saturating_sub(HEAD as u64) {
            return Err(self.damaged("a record is longer than the file"));
        }
        let mut record = std::mem::take(&mut self.record);
        record.resize(length as usize, 0);
        self.fill(&mut record)?;
        self.record = record;
        if xxh3_64_with_seed(&self.record, seed(self.run, self.offset))
            != u64::from_le_bytes(checksum)
        {
            return Err(self.damaged("a checksum does not fit"));
        }
        Ok(())
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), EdgeLogError> {
        self.file.read_exact(bytes).map_err(|error| {
            if error.kind() == ErrorKind::UnexpectedEof {
                self.damaged("the file is shorter than at its checkpoint")
            } else {
                EdgeLogError::io("read", &self.path, error)
            }
        })
    }

    fn damaged(&self, reason: &'static str) -> EdgeLogError {
        EdgeLogError::damaged(&self.path, self.offset, reason)
    }
}

/// Takes a name into the list.
fn learn(names: &mut Vec<Box<str>>, record: &[u8]) -> Result<(), &'static str> {
    let (index, name) = record
        .get(1..)
        .and_then(<[u8]>::split_first_chunk)
        .ok_or("a record is too short")?;
    if usize::from(u16::from_le_bytes(*index)) != names.len() {
        return Err("a name is out of order");
    }
    let name = std::str::from_utf8(name).map_err(|_| "a name is not text")?;
    names.push(name.into());
    Ok(())
}

fn decode<'a>(names: &'a [Box<str>], record: &'a [u8]) -> Result<Entry<'a>, &'static str> {
    const SHORT: &str = "a record is too short";
    let (kind, rest) = record.split_first().ok_or(SHORT)?;
    match *kind {
        EDGE => {
            let (index, rest) = rest.split_first_chunk().ok_or(SHORT)?;
            let (flags, rest) = rest.split_first().ok_or(SHORT)?;
            let (from, rest) = rest.split_first_chunk().ok_or(SHORT)?;
            let (to, json) = rest.split_first_chunk().ok_or(SHORT)?;
            let collection = names
                .get(usize::from(u16::from_le_bytes(*index)))
                .ok_or("a name is missing")?;
            Ok(Entry::Edge {
                collection,
                has: [0, 1, 2, 3].map(|bit| flags & (1 << bit) != 0),
                from: u64::from_le_bytes(*from),
                to: u64::from_le_bytes(*to),
                json,
            })
        }
        SCOPE => {
            let index = rest.try_into().map_err(|_| SHORT)?;
            let name = names
                .get(usize::from(u16::from_le_bytes(index)))
                .ok_or("a name is missing")?;
            Ok(Entry::Scope { name })
        }
        VERTEX => {
            let (id, rest) = rest.split_first_chunk().ok_or(SHORT)?;
            match rest {
                [rejected @ (0 | 1)] => Ok(Entry::Vertex {
                    id: u64::from_le_bytes(*id),
                    rejected: *rejected == 1,
                }),
                _ => Err("a record has the wrong length"),
            }
        }
        _ => Err("a record is of an unknown kind"),
    }
}
