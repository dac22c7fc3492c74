//! A row: one vertex or edge that an author emits.

use serde::Serialize;

/// What tells a row apart from the other rows of its collection and source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RowKey<'a> {
    /// The external id, or the natural key, of a vertex.
    Vertex(&'a str),
    /// Both ends of an edge, each the external id or natural key of its vertex.
    Edge {
        /// Where the edge starts.
        from: &'a str,
        /// Where it ends.
        to: &'a str,
    },
}

/// A vertex or an edge that can be sent.
///
/// # Behaviour
///
/// It serialises to the JSON object that the protocol asks for: a vertex with `external_id` or
/// `_key`, an edge with its two ends. [`Row::key`] names the same row as the serialised form.
pub trait Row: Serialize {
    /// Returns the collection that the row belongs to.
    fn collection(&self) -> &str;

    /// Returns what identifies the row in its collection.
    fn key(&self) -> RowKey<'_>;
}
