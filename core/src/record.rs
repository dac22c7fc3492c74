//! What an author emits: vertices, edges and deletions.
//!
//! A row is written as JSON the moment it is emitted and stays bytes from then on: the handler
//! checks the bytes, the spill keeps them, the request carries them. Nothing is built twice.

use std::borrow::Cow;
use std::ops::Range;

use car_schema::{Row, RowKey};
use xxhash_rust::xxh3::xxh3_64;

/// The rows and deletions of one page.
#[derive(Debug, Default, Clone)]
pub struct Records {
    bytes: Vec<u8>,
    rows: Vec<Entry>,
    collections: Vec<Cow<'static, str>>,
    deletions: Vec<Deletion>,
    rejects: Vec<Reject>,
    wholes: Vec<Whole>,
}

/// Where a row is, and what identifies it.
#[derive(Debug, Clone)]
struct Entry {
    collection: usize,
    key: KeyHash,
    span: Range<usize>,
}

/// The identity of a row, as hashes: enough to find rows again, at a fixed size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyHash {
    /// Hash of a vertex's external id or natural key.
    Vertex(u64),
    /// Hashes of the two vertices that an edge links.
    Edge {
        /// Where it starts.
        from: u64,
        /// Where it ends.
        to: u64,
    },
}

impl From<RowKey<'_>> for KeyHash {
    fn from(key: RowKey<'_>) -> Self {
        match key {
            RowKey::Vertex(id) => Self::Vertex(xxh3_64(id.as_bytes())),
            RowKey::Edge { from, to } => Self::Edge {
                from: xxh3_64(from.as_bytes()),
                to: xxh3_64(to.as_bytes()),
            },
        }
    }
}

/// Most bytes of an identity; a service refuses the whole batch for one above.
const LONGEST_ID: usize = 1024;

/// Tells whether a text in a row contains the zero character, which JSON always escapes. No store
/// keeps it, so a service refuses the whole batch.
fn has_zero(json: &[u8]) -> bool {
    let mut rest = json;
    while let Some(at) = memchr::memchr(b'\\', rest) {
        let escape = rest.get(at.saturating_add(1)..).unwrap_or_default();
        if escape.starts_with(b"u0000") {
            return true;
        }
        // Behind the escaped character, which may be a backslash.
        rest = escape.get(1..).unwrap_or_default();
    }
    false
}

/// Says why no row can have this identity.
pub(crate) fn impossible_id(id: &str) -> Option<String> {
    if id.is_empty() {
        return Some("its identity is empty".to_owned());
    }
    if id.len() > LONGEST_ID {
        return Some(format!(
            "its identity has {} bytes, more than {LONGEST_ID}",
            id.len()
        ));
    }
    if id.contains('\0') {
        return Some("its identity contains a zero character".to_owned());
    }
    None
}

/// A row as it will be sent.
#[derive(Debug, Clone, Copy)]
pub struct EmittedRow<'a> {
    /// Its collection.
    pub collection: &'a str,
    /// Its identity.
    pub key: KeyHash,
    /// The row as a JSON object.
    pub json: &'a [u8],
}

/// Something of the source that cannot become a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// The collection that its row would be in.
    pub collection: String,
    /// Identity of the vertex that is missing now: edges to it are withheld, and what the graph
    /// has of it is kept.
    pub key: Option<String>,
    /// Why it was rejected.
    pub reason: String,
    /// The source's record, or the row, as far as there is one.
    pub record: Vec<u8>,
}

/// Something that is gone from the source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Deletion {
    /// A vertex; its edges go with it.
    Vertex {
        /// The collection.
        collection: String,
        /// The external id, or the natural key where the collection has one.
        key: String,
    },
    /// An edge whose two vertices may live on.
    Edge {
        /// The collection.
        collection: String,
        /// External id or natural key of the vertex where it starts.
        from: String,
        /// External id or natural key of the vertex where it ends.
        to: String,
    },
}

/// A vertex of which a delta tells all edges of some collections.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Whole {
    /// Its collection.
    pub collection: String,
    /// External id or natural key.
    pub key: String,
    /// The edge collections that are told in full.
    pub edges: &'static [&'static str],
}

impl Deletion {
    /// Says that a vertex is gone.
    pub fn vertex(collection: impl Into<String>, key: impl Into<String>) -> Self {
        Self::Vertex {
            collection: collection.into(),
            key: key.into(),
        }
    }

    /// Says that an edge is gone.
    pub fn edge(
        collection: impl Into<String>,
        from: impl Into<String>,
        to: impl Into<String>,
    ) -> Self {
        Self::Edge {
            collection: collection.into(),
            from: from.into(),
            to: to.into(),
        }
    }

    /// Returns the collection.
    #[must_use]
    pub fn collection(&self) -> &str {
        match self {
            Self::Vertex { collection, .. } | Self::Edge { collection, .. } => collection,
        }
    }
}

impl Records {
    /// Makes an empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Emits a vertex or an edge. A later row of the same identity replaces an earlier one.
    ///
    /// A row whose identity is empty or has more than 1024 bytes is rejected, and so is one with the
    /// zero character in a text.
    pub fn emit<R: Row + ?Sized>(&mut self, row: &R) {
        let start = self.bytes.len();
        let impossible = match row.key() {
            RowKey::Vertex(id) => impossible_id(id),
            RowKey::Edge { from, to } => impossible_id(from).or(impossible_id(to)),
        };
        // Not representable as JSON: a map with keys that are no text, for example.
        let written = serde_json::to_writer(&mut self.bytes, row)
            .map_err(|error| format!("cannot be written as JSON: {error}"));
        let kept = written.and_then(|()| match impossible {
            Some(reason) => Err(reason),
            None if has_zero(self.bytes.get(start..).unwrap_or_default()) => {
                Err("a text in it contains a zero character".to_owned())
            }
            None => Ok(()),
        });
        if let Err(reason) = kept {
            self.bytes.truncate(start);
            self.rejects.push(Reject {
                collection: row.collection().to_owned(),
                key: match row.key() {
                    RowKey::Vertex(key) => Some(key.to_owned()),
                    // An end that no vertex can have stands for an edge that no graph can have.
                    RowKey::Edge { from, to } => [from, to]
                        .into_iter()
                        .find(|id| impossible_id(id).is_some())
                        .map(str::to_owned),
                },
                reason,
                record: Vec::new(),
            });
            return;
        }
        let collection = self.collection_index(row.collection());
        self.rows.push(Entry {
            collection,
            key: row.key().into(),
            span: start..self.bytes.len(),
        });
    }

    /// Says that a record of the source cannot become a row: it goes to the quarantine, counts
    /// against `--max-rejects`, and edges to the vertex `key` are withheld.
    pub fn reject(
        &mut self,
        collection: impl Into<String>,
        key: Option<&str>,
        reason: impl Into<String>,
        record: impl Into<Vec<u8>>,
    ) {
        self.rejects.push(Reject {
            collection: collection.into(),
            key: key.map(str::to_owned),
            reason: reason.into(),
            record: record.into(),
        });
    }

    /// Emits a deletion. Only deltas may hold deletions.
    pub fn delete(&mut self, deletion: Deletion) {
        self.deletions.push(deletion);
    }

    /// Adds all that another set has.
    pub fn append(&mut self, other: Self) {
        let Self {
            bytes,
            rows,
            collections,
            deletions,
            rejects,
            wholes,
        } = other;
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&bytes);
        let places: Vec<usize> = collections
            .iter()
            .map(|name| self.collection_index(name))
            .collect();
        self.rows.extend(rows.into_iter().filter_map(|entry| {
            let span = entry.span.start.checked_add(start)?..entry.span.end.checked_add(start)?;
            Some(Entry {
                collection: *places.get(entry.collection)?,
                span,
                ..entry
            })
        }));
        self.deletions.extend(deletions);
        self.rejects.extend(rejects);
        self.wholes.extend(wholes);
    }

    /// Says that this delta emits every edge that the vertex has now in some edge collections.
    ///
    /// Other edges that the graph has there are retired, and what is left behind by them as the
    /// connector's [dependents](crate::connector::IncrementalImport::dependents) say. For sources
    /// that tell that something changed, but not what it was before. Only deltas may say so.
    pub fn whole(
        &mut self,
        collection: impl Into<String>,
        key: impl Into<String>,
        edges: &'static [&'static str],
    ) {
        self.wholes.push(Whole {
            collection: collection.into(),
            key: key.into(),
            edges,
        });
    }

    /// Returns the vertices that are told whole.
    #[must_use]
    pub fn wholes(&self) -> &[Whole] {
        &self.wholes
    }

    /// Returns the rows in the order in which they were emitted.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = EmittedRow<'_>> {
        self.rows.iter().map(|entry| EmittedRow {
            collection: self
                .collections
                .get(entry.collection)
                .map_or("", AsRef::as_ref),
            key: entry.key,
            json: self.bytes.get(entry.span.clone()).unwrap_or_default(),
        })
    }

    /// Returns the deletions in the order in which they were emitted.
    #[must_use]
    pub fn deletions(&self) -> &[Deletion] {
        &self.deletions
    }

    /// Returns what cannot become a row.
    #[must_use]
    pub fn rejects(&self) -> &[Reject] {
        &self.rejects
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Returns whether there is nothing in it: no row, no deletion, no reject.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
            && self.deletions.is_empty()
            && self.rejects.is_empty()
            && self.wholes.is_empty()
    }

    /// Returns the size of the rows in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    fn collection_index(&mut self, name: &str) -> usize {
        match self.collections.iter().position(|known| known == name) {
            Some(index) => index,
            None => {
                self.collections.push(Cow::Owned(name.to_owned()));
                self.collections.len().saturating_sub(1)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_zero_character_is_told_from_a_backslash_and_digits() {
        for (text, zero) in [
            ("a\0b", true),
            ("\0", true),
            ("\\\0", true),
            ("\\u0000", false),
            ("\\\\u0000", false),
            ("u0000", false),
            ("\u{1}", false),
        ] {
            let json = serde_json::to_vec(text).unwrap();
            assert_eq!(has_zero(&json), zero, "{text:?}");
        }
    }
}
