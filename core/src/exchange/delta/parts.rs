//! Hashes of rows, in files by key, and what comes of comparing them.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;

use crate::failure::{Failure, FailureKind};

/// Bytes of an entry in a file.
const WIDTH: usize = 32;

/// Bytes that are kept for each part before they are written.
const BUFFER: usize = 64 * 1024;

/// What is known of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Hash of its key.
    pub(super) key: u128,
    /// Hash of its other columns.
    pub(super) content: u64,
    /// Its line in the snapshot.
    pub(super) line: u64,
}

/// The entries of a snapshot, a part of all keys in each file.
pub(super) struct Parts {
    files: Vec<(PathBuf, Option<BufWriter<File>>)>,
}

impl Parts {
    /// Makes empty files; `number` is a power of two.
    pub(super) fn create(folder: &Path, name: &str, number: u64) -> Result<Self, Failure> {
        let file = |place: u64| {
            let path = folder.join(format!("{name}-{place}"));
            let file = File::create_new(&path).map_err(|error| failed(&path, error))?;
            Ok((path, Some(BufWriter::with_capacity(BUFFER, file))))
        };
        Ok(Self {
            files: (0..number).map(file).collect::<Result<_, Failure>>()?,
        })
    }

    pub(super) fn push(&mut self, entry: Entry) -> Result<(), Failure> {
        let mut bytes = [0; WIDTH];
        let (key, rest) = bytes.split_at_mut(16);
        let (content, line) = rest.split_at_mut(8);
        key.copy_from_slice(&entry.key.to_le_bytes());
        content.copy_from_slice(&entry.content.to_le_bytes());
        line.copy_from_slice(&entry.line.to_le_bytes());
        let last = self.files.len().saturating_sub(1);
        let place = usize::try_from(entry.key >> 112).unwrap_or_default() & last;
        match self.files.get_mut(place) {
            Some((path, Some(file))) => file.write_all(&bytes).map_err(|error| failed(path, error)),
            _ => Ok(()),
        }
    }

    /// Writes what is kept.
    pub(super) fn finish(mut self) -> Result<Self, Failure> {
        for (path, file) in &mut self.files {
            if let Some(mut file) = file.take() {
                file.flush().map_err(|error| failed(path, error))?;
            }
        }
        Ok(self)
    }
}

/// Why snapshots cannot be compared.
pub(super) enum Refused {
    Failed(Failure),
    /// A key is there twice, in these lines, of the snapshot after or that before.
    Twice {
        after: bool,
        lines: (u64, u64),
    },
}

/// Where each line of both snapshots goes.
#[derive(Default)]
pub(super) struct Verdicts {
    deleted: Bits,
    known: Bits,
    modified: Bits,
}

impl Verdicts {
    /// Compares part by part.
    pub(super) fn compare(
        before: Parts,
        after: Parts,
        cancel: &CancellationToken,
    ) -> Result<Self, Refused> {
        let mut verdicts = Self::default();
        for ((old, _), (new, _)) in before.files.iter().zip(&after.files) {
            if cancel.is_cancelled() {
                return Err(Refused::Failed(Failure::new(
                    FailureKind::Interrupted,
                    "a signal stopped the comparison of two snapshots",
                )));
            }
            let old = sorted(old, false)?;
            let new = sorted(new, true)?;
            verdicts.merge(&old, &new);
        }
        Ok(verdicts)
    }

    fn merge(&mut self, old: &[Entry], new: &[Entry]) {
        let mut new = new.iter().peekable();
        for entry in old {
            // What is only in the later snapshot is new, and needs no mark.
            while new.next_if(|other| other.key < entry.key).is_some() {}
            match new.next_if(|other| other.key == entry.key) {
                Some(other) => {
                    self.known.set(other.line);
                    if other.content != entry.content {
                        self.modified.set(other.line);
                    }
                }
                None => self.deleted.set(entry.line),
            }
        }
    }

    pub(super) fn is_deleted(&self, line: u64) -> bool {
        self.deleted.get(line)
    }

    /// Returns 0 for a row that is new, 1 for a modified and 2 for an unchanged one.
    pub(super) fn kind(&self, line: u64) -> Option<usize> {
        Some(match (self.known.get(line), self.modified.get(line)) {
            (false, _) => 0,
            (true, true) => 1,
            (true, false) => 2,
        })
    }
}

/// Reads a part and sorts it by key.
fn sorted(path: &Path, after: bool) -> Result<Vec<Entry>, Refused> {
    let mut entries = read(path).map_err(|error| Refused::Failed(failed(path, error)))?;
    entries.sort_unstable_by_key(|entry| (entry.key, entry.line));
    let twice = entries.windows(2).find_map(|pair| match pair {
        [one, other] if one.key == other.key => Some((one.line, other.line)),
        _ => None,
    });
    match twice {
        Some(lines) => Err(Refused::Twice { after, lines }),
        None => Ok(entries),
    }
}

fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let file = File::open(path)?;
    let bytes = usize::try_from(file.metadata()?.len()).unwrap_or_default();
    let mut file = BufReader::with_capacity(BUFFER, file);
    let mut entries = Vec::with_capacity(bytes / WIDTH);
    let mut chunk = [0; WIDTH];
    loop {
        match file.read_exact(&mut chunk) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(entries),
            Err(error) => return Err(error),
        }
        let whole = u128::from_le_bytes;
        let (key, rest) = chunk.split_at(16);
        let (content, line) = rest.split_at(8);
        let number = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_le_bytes);
        entries.push(Entry {
            key: key.try_into().map_or(0, whole),
            content: number(content),
            line: number(line),
        });
    }
}

/// One bit a line.
#[derive(Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn set(&mut self, line: u64) {
        let place = usize::try_from(line / 64).unwrap_or(usize::MAX);
        if self.0.len() <= place {
            self.0.resize(place.saturating_add(1), 0);
        }
        if let Some(word) = self.0.get_mut(place) {
            *word |= 1 << (line % 64);
        }
    }

    fn get(&self, line: u64) -> bool {
        let place = usize::try_from(line / 64).unwrap_or(usize::MAX);
        self.0
            .get(place)
            .is_some_and(|word| word & (1 << (line % 64)) != 0)
    }
}

/// Says that temporary files cannot be used.
pub(super) fn failed(path: &Path, error: io::Error) -> Failure {
    Failure::new(
        FailureKind::General,
        "temporary files of the comparison cannot be used",
    )
    .with("path", path.display())
    .because(error)
    .hint("the folder needs room for about a third of the size of both snapshots, beside the rows")
}
