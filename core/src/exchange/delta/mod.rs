//! What changed between two snapshots: new, modified, unchanged and deleted rows.
//!
//! Rows are told apart by hashes: those of the key say which rows belong together, those of the
//! rest whether they differ. The hashes go to files on disk, a part of all keys in each, and one
//! part after the other is sorted and compared in memory. Then both snapshots are read once more,
//! and each row goes where it belongs, in the order of its snapshot. So memory depends on the
//! size of a part and two bits a row, and no row is ever sorted.

mod parts;

use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;
use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use super::api::InputType;
use super::files::{Format, RowReader, RowWriter};
use super::row::{Row, Rows, SEPARATOR};
use crate::failure::{Failure, FailureKind};
use parts::{Entry, Parts, Verdicts};

/// Bytes of rows that are kept before they are written.
const FULL_BATCH: usize = 1024 * 1024;

/// Bytes of both snapshots for which one part is made: about a third of it are hashes.
const BYTES_OF_A_PART: u64 = 64 * 1024 * 1024;

/// Most parts, each with a buffer of its own.
const MOST_PARTS: u64 = 256;

/// Rows between two looks at whether to stop.
const LOOK: u64 = 4096;

/// What to compare, and where the rows go to.
#[derive(Debug, Clone)]
pub struct DeltaOptions {
    /// The snapshot before; none where there was none, and everything is new.
    pub before: Option<PathBuf>,
    /// The snapshot now.
    pub after: PathBuf,
    /// The columns that tell rows apart. Their values must not be empty, nor there twice.
    pub key: Vec<String>,
    /// Folder for `new`, `modified`, `unchanged` and `deleted`, and for temporary files.
    pub folder: PathBuf,
    /// How rows are written.
    pub format: Format,
    /// What joins the names of nested columns.
    pub separator: String,
}

/// How many rows there are of each kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DeltaCounts {
    /// Not there before.
    pub new: u64,
    /// There before, and different.
    pub modified: u64,
    /// There before, and the same.
    pub unchanged: u64,
    /// Not there any more.
    pub deleted: u64,
}

impl DeltaOptions {
    /// Compares two snapshots by a key.
    pub fn new(
        before: Option<PathBuf>,
        after: impl Into<PathBuf>,
        key: Vec<String>,
        folder: impl Into<PathBuf>,
    ) -> Self {
        Self {
            before,
            after: after.into(),
            key,
            folder: folder.into(),
            format: Format::default(),
            separator: SEPARATOR.to_owned(),
        }
    }
}

/// Writes what changed. The order of columns makes no difference, nor does a column without a
/// value differ from none. Works on threads of its own; call it where waiting is fine.
///
/// # Errors
///
/// A row that cannot be read, has no key, or the key of another row; a disk that is full. None of
/// the four files is there then that was not before, unless the disk failed in between.
pub fn make_delta(
    options: &DeltaOptions,
    cancel: &CancellationToken,
) -> Result<DeltaCounts, Failure> {
    if options.key.is_empty() || options.key.iter().any(String::is_empty) {
        return Err(Failure::new(
            FailureKind::InvalidParameter,
            "no column tells the rows of two snapshots apart",
        )
        .hint("name the columns of the key by `--delta-key`"));
    }
    let size = |path: &Path| std::fs::metadata(path).map_or(0, |file| file.len());
    let bytes = size(&options.after).saturating_add(options.before.as_deref().map_or(0, size));
    let number = (bytes / BYTES_OF_A_PART)
        .clamp(1, MOST_PARTS)
        .next_power_of_two();
    let scratch = tempfile::Builder::new()
        .prefix(".delta-")
        .tempdir_in(&options.folder)
        .map_err(|error| parts::failed(&options.folder, error))?;
    let hashing = Hashing {
        options,
        seed: seed(),
        cancel,
    };
    let (before, after) = both(
        || match &options.before {
            Some(file) => hashing.hash(file, Parts::create(scratch.path(), "before", number)?),
            None => Parts::create(scratch.path(), "before", number)?.finish(),
        },
        || {
            let parts = Parts::create(scratch.path(), "after", number)?;
            hashing.hash(&options.after, parts)
        },
    )?;
    let verdicts = Verdicts::compare(before, after, cancel).map_err(|error| match error {
        parts::Refused::Failed(failure) => failure,
        parts::Refused::Twice { after, lines } => {
            let file = match (&options.before, after) {
                (Some(before), false) => before,
                _ => &options.after,
            };
            hashing.twice(file, lines)
        }
    })?;
    let (deleted, others) = both(
        || match &options.before {
            Some(file) => deal(&hashing, file, &[InputType::Deleted], |line| {
                verdicts.is_deleted(line).then_some(0)
            }),
            None => deal_nothing(&hashing, &[InputType::Deleted]),
        },
        || {
            let kinds = [InputType::New, InputType::Modified, InputType::Unchanged];
            deal(&hashing, &options.after, &kinds, |line| verdicts.kind(line))
        },
    )?;
    let mut counts = DeltaCounts::default();
    // All four were written whole; now they take their places.
    for (kind, writer) in deleted.into_iter().chain(others) {
        match kind {
            InputType::New => counts.new = writer.rows(),
            InputType::Modified => counts.modified = writer.rows(),
            InputType::Unchanged => counts.unchanged = writer.rows(),
            _ => counts.deleted = writer.rows(),
        }
        writer.keep()?;
    }
    Ok(counts)
}

/// Does two things at once.
fn both<A: Send, B: Send>(
    one: impl FnOnce() -> Result<A, Failure> + Send,
    other: impl FnOnce() -> Result<B, Failure>,
) -> Result<(A, B), Failure> {
    std::thread::scope(|scope| {
        let one = scope.spawn(one);
        let other = other();
        let one = one.join().unwrap_or_else(|_| {
            Err(Failure::new(
                FailureKind::General,
                "comparing snapshots ended unexpectedly",
            ))
        });
        Ok((one?, other?))
    })
}

/// What both passes share.
struct Hashing<'a> {
    options: &'a DeltaOptions,
    seed: u64,
    cancel: &'a CancellationToken,
}

impl Hashing<'_> {
    fn open(&self, file: &Path) -> Result<RowReader, Failure> {
        // What is hidden from connectors is no part of what changed for them.
        Ok(RowReader::open(file, false)?.separator(&self.options.separator))
    }

    /// Calls `take` with each row of a snapshot and its line.
    fn each(
        &self,
        file: &Path,
        mut take: impl FnMut(Row<'_>, u64) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut reader = self.open(file)?;
        let mut rows = Rows::new();
        let mut count = 0_u64;
        loop {
            rows.clear();
            let more = reader.read(&mut rows, 1)?;
            if let Some(row) = rows.get(0) {
                take(row, reader.line())?;
            }
            if !more {
                return Ok(());
            }
            count = count.saturating_add(1);
            if count.is_multiple_of(LOOK) && self.cancel.is_cancelled() {
                return Err(Failure::new(
                    FailureKind::Interrupted,
                    "a signal stopped the comparison of two snapshots",
                ));
            }
        }
    }

    /// Writes the hashes of a snapshot.
    fn hash(&self, file: &Path, mut parts: Parts) -> Result<Parts, Failure> {
        let mut scratch = Scratch::default();
        self.each(file, |row, line| {
            let (key, content) = self
                .hashes(row, &mut scratch)
                .ok_or_else(|| self.without_key(file, line))?;
            parts.push(Entry { key, content, line })
        })?;
        parts.finish()
    }

    /// Returns the hash of a row's key and that of its other columns; none without a whole key.
    fn hashes(&self, row: Row<'_>, scratch: &mut Scratch) -> Option<(u128, u64)> {
        let keys = &self.options.key;
        scratch.values.clear();
        scratch.values.resize(keys.len(), String::new());
        let mut content = 0_u64;
        for (name, value) in row.fields() {
            let text = value.text();
            if text.is_empty() {
                continue;
            }
            if let Some(place) = keys.iter().position(|key| *key == name)
                && let Some(slot) = scratch.values.get_mut(place)
            {
                slot.clear();
                slot.push_str(&text);
                continue;
            }
            let name = xxh3_64_with_seed(name.as_bytes(), self.seed);
            // The order of columns says nothing, so their hashes are added up.
            content = content.wrapping_add(xxh3_64_with_seed(text.as_bytes(), name));
        }
        scratch.key.clear();
        for value in &scratch.values {
            if value.is_empty() {
                return None;
            }
            // With its length, so that no value can look like two.
            scratch.key.extend_from_slice(&value.len().to_le_bytes());
            scratch.key.extend_from_slice(value.as_bytes());
        }
        Some((xxh3_128_with_seed(&scratch.key, self.seed), content))
    }

    fn without_key(&self, file: &Path, line: u64) -> Failure {
        Failure::new(FailureKind::SourceData, "a row has no key")
            .with("file", file.display())
            .with("line", line)
            .with("key", self.options.key.join(", "))
            .hint("every row needs a value in every column of `--delta-key`")
    }

    fn twice(&self, file: &Path, (one, other): (u64, u64)) -> Failure {
        Failure::new(FailureKind::SourceData, "two rows have the same key")
            .with("file", file.display())
            .with("lines", format!("{one} and {other}"))
            .with("key", self.options.key.join(", "))
            .hint("a key tells every row from every other; name more columns by `--delta-key`, or mend the rows")
    }
}

/// Memory that is used again for every row.
#[derive(Default)]
struct Scratch {
    values: Vec<String>,
    key: Vec<u8>,
}

type Writers = Vec<(InputType, RowWriter)>;

fn writers(hashing: &Hashing<'_>, kinds: &[InputType]) -> Result<Writers, Failure> {
    let options = hashing.options;
    let create = |kind: &InputType| {
        let name = format!("{kind}.{}", options.format.ending());
        Ok((*kind, RowWriter::create(&options.folder.join(name))?))
    };
    kinds.iter().map(create).collect()
}

fn deal_nothing(hashing: &Hashing<'_>, kinds: &[InputType]) -> Result<Writers, Failure> {
    writers(hashing, kinds)
}

/// Gives each row of a snapshot to the writer that `place` says.
fn deal(
    hashing: &Hashing<'_>,
    file: &Path,
    kinds: &[InputType],
    place: impl Fn(u64) -> Option<usize>,
) -> Result<Writers, Failure> {
    let mut writers = writers(hashing, kinds)?;
    let mut batches = vec![Rows::new(); kinds.len()];
    hashing.each(file, |row, line| {
        let Some(place) = place(line) else {
            return Ok(());
        };
        if let (Some(rows), Some((_, writer))) = (batches.get_mut(place), writers.get_mut(place)) {
            rows.push_row(row);
            if rows.bytes() >= FULL_BATCH {
                writer.write(rows)?;
                rows.clear();
            }
        }
        Ok(())
    })?;
    for (rows, (_, writer)) in batches.iter().zip(&mut writers) {
        writer.write(rows)?;
    }
    Ok(writers)
}

/// Returns a number that nobody knows beforehand, so that no row can be made to look like
/// another.
fn seed() -> u64 {
    std::hash::RandomState::new().build_hasher().finish()
}
