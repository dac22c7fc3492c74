//! What mappings write to: rows, page by page, and the keys of all of them.

use std::collections::HashSet;

use car_core::record::Records;
use car_schema::{Row, RowKey};

use crate::error::Broken;

/// Rows of a page, and what identifies the rows of the file.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    records: Records,
    keys: Keys,
    wants_rows: bool,
}

impl Rows {
    /// Emits a vertex or an edge.
    pub(crate) fn emit<R: Row + ?Sized>(&mut self, row: &R) {
        self.keys.note(row.collection(), row.key());
        if self.wants_rows {
            self.records.emit(row);
        }
    }

    /// Says that a record cannot become a row.
    pub(crate) fn reject(
        &mut self,
        collection: &str,
        key: Option<&str>,
        reason: impl Into<String>,
        record: impl Into<Vec<u8>>,
    ) {
        if self.wants_rows {
            self.records.reject(collection, key, reason, record);
        }
    }
}

/// The keys of the rows of a file, each `collection NUL id NUL other-end NUL`.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    bytes: Option<Vec<u8>>,
    /// Hashes of the last keys: many rows name the same vertex.
    recent: HashSet<u64>,
}

/// Keys that are remembered so as not to be written twice.
const RECENT: usize = 65_536;

impl Keys {
    fn note(&mut self, collection: &str, key: RowKey<'_>) {
        let Some(bytes) = &mut self.bytes else {
            return;
        };
        let (one, other) = match key {
            RowKey::Vertex(id) => (id, ""),
            RowKey::Edge { from, to } => (from, to),
        };
        let start = bytes.len();
        for part in [collection, one, other] {
            // No row can have such a key.
            if part.contains('\0') {
                bytes.truncate(start);
                return;
            }
            bytes.extend_from_slice(part.as_bytes());
            bytes.push(0);
        }
        let hash = xxhash_rust::xxh3::xxh3_64(bytes.get(start..).unwrap_or_default());
        if self.recent.len() >= RECENT {
            self.recent.clear();
        }
        if !self.recent.insert(hash) {
            bytes.truncate(start);
        }
    }
}

/// What becomes of the rows.
pub(crate) trait Sink {
    /// Takes a page, and the number of records of the file up to its end.
    ///
    /// # Errors
    ///
    /// [`Broken::Stopped`] when nobody wants more.
    fn page(&mut self, records: Records, count: u64) -> Result<(), Broken>;

    /// Takes keys of rows; a key may come twice.
    ///
    /// # Errors
    ///
    /// When they cannot be kept.
    fn keys(&mut self, keys: &[u8]) -> Result<(), Broken>;

    /// Tells whether keys are wanted at all.
    fn wants_keys(&self) -> bool;
}

/// Takes the records of a file, one after the other.
pub(crate) struct Out<'a> {
    sink: &'a mut dyn Sink,
    rows: Rows,
    /// Records that were given out before.
    skip: u64,
    count: u64,
    in_page: u64,
    page_size: u64,
}

/// Bytes of rows after which a page ends, however few records it has.
const FULL_PAGE: usize = 4 << 20;

impl<'a> Out<'a> {
    /// Starts a file of which the first `skip` records were given out before.
    pub(crate) fn new(sink: &'a mut dyn Sink, skip: u64, page_size: u64, keys: bool) -> Self {
        Self {
            sink,
            rows: Rows {
                wants_rows: skip == 0,
                keys: Keys {
                    bytes: keys.then(Vec::new),
                    recent: HashSet::new(),
                },
                records: Records::new(),
            },
            skip,
            count: 0,
            in_page: 0,
            page_size,
        }
    }

    /// Takes one record of the file.
    pub(crate) fn record(&mut self, emit: impl FnOnce(&mut Rows)) -> Result<(), Broken> {
        self.count = self.count.saturating_add(1);
        self.rows.wants_rows = self.count > self.skip;
        emit(&mut self.rows);
        if let Some(bytes) = self
            .rows
            .keys
            .bytes
            .as_mut()
            .filter(|bytes| bytes.len() > 1 << 18)
        {
            self.sink.keys(bytes)?;
            bytes.clear();
        }
        if !self.rows.wants_rows {
            return Ok(());
        }
        self.in_page = self.in_page.saturating_add(1);
        if self.in_page >= self.page_size || self.rows.records.bytes() >= FULL_PAGE {
            self.flush()?;
        }
        Ok(())
    }

    /// Ends the file.
    pub(crate) fn end(mut self) -> Result<(), Broken> {
        if let Some(bytes) = &self.rows.keys.bytes {
            self.sink.keys(bytes)?;
        }
        if self.in_page > 0 {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Broken> {
        self.in_page = 0;
        let records = std::mem::take(&mut self.rows.records);
        self.sink.page(records, self.count)
    }
}
