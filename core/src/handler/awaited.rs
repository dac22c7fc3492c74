//! Vertices that links wait for beyond the end of a run.
//!
//! An edge to a rejected vertex is withheld. When the vertex is mended, a delta brings the vertex
//! and not the edge, which did not change. So what waits is remembered from run to run, as two
//! hashes for each vertex, and a run that meets one of them again can tell whether all that was
//! withheld came with it.

use std::collections::{BTreeMap, BTreeSet};

use car_schema::RowKey;

use super::data_handler::DataHandler;
use super::deduplicate::{collection_hash, identity};
use crate::record::Deletion;

/// Stands for edges that nobody could count.
const UNKNOWN: u32 = 0x9e37_79b9;

/// Vertices that were rejected, each with a sum over the edges that were withheld for it.
///
/// Both are halves of 64-bit hashes. Two that collide cost a full import that was not needed, or
/// hide one that was with a chance of one in four billion.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Awaited(pub(crate) BTreeMap<u32, u32>);

impl Awaited {
    /// Returns how many vertices they are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a run finds out about them.
#[derive(Debug, Default)]
pub(super) struct Watch {
    before: Awaited,
    mended: BTreeSet<u32>,
    withheld: BTreeMap<u32, u32>,
}

/// Returns the half of an identity that is kept.
pub(super) const fn short(identity: u64) -> u32 {
    (identity >> 32) as u32
}

impl Watch {
    /// Goes on from what earlier runs left.
    pub(super) fn new(before: Awaited) -> Self {
        Self {
            before,
            ..Self::default()
        }
    }

    /// Returns whether earlier runs left nothing.
    pub(super) fn is_idle(&self) -> bool {
        self.before.0.is_empty()
    }

    /// Notes a vertex that is as it should be.
    pub(super) fn vertex(&mut self, identity: u64) {
        let vertex = short(identity);
        if self.before.0.contains_key(&vertex) {
            self.mended.insert(vertex);
        }
    }

    /// Notes an edge that is withheld for a vertex.
    pub(super) fn withhold(&mut self, vertex: u64, edge: u64) {
        let sum = self.withheld.entry(short(vertex)).or_default();
        *sum = sum.wrapping_add(short(edge));
    }

    /// Notes an edge that is sent.
    pub(super) fn sent(&mut self, ends: [u64; 2], edge: u64) {
        for end in ends {
            if let Some(sum) = self.before.0.get_mut(&short(end)) {
                *sum = sum.wrapping_sub(short(edge));
            }
        }
    }

    /// Notes a vertex that is gone: its edges went with it.
    pub(super) fn gone(&mut self, vertex: u64) {
        self.before.0.remove(&short(vertex));
    }

    /// Returns how many vertices were mended without all of the edges that waited for them.
    pub(super) fn incomplete(&self) -> usize {
        let sum = |vertex| self.before.0.get(vertex).copied().unwrap_or_default();
        self.mended
            .iter()
            .filter(|vertex| sum(*vertex) != 0)
            .count()
    }

    /// Returns what is left to wait for after a delta.
    pub(super) fn after_delta(&self) -> Awaited {
        let mut after = self.before.clone();
        after.0.retain(|vertex, _| !self.mended.contains(vertex));
        for (vertex, withheld) in &self.withheld {
            let sum = after.0.entry(*vertex).or_default();
            *sum = sum.wrapping_add(*withheld);
        }
        after
    }

    /// Returns what is left to wait for after everything was read. With `kept`, the graph may have
    /// edges of the rejected vertices from before that are gone from the source.
    pub(super) fn after_full(
        &self,
        rejected: impl IntoIterator<Item = u64>,
        kept: bool,
    ) -> Awaited {
        let unknown = if kept { UNKNOWN } else { 0 };
        let all = rejected.into_iter().map(|identity| {
            let vertex = short(identity);
            let withheld = self.withheld.get(&vertex).copied().unwrap_or_default();
            (vertex, withheld.wrapping_add(unknown))
        });
        Awaited(all.filter(|(_, sum)| *sum != 0).collect())
    }
}

impl DataHandler {
    /// Goes on from what earlier runs left to wait for.
    pub fn wait_for(&mut self, awaited: Awaited) {
        self.watch = Watch::new(awaited);
    }

    /// Returns how many vertices were mended without all of the edges that waited for them. Call
    /// it when the edges are sent.
    #[must_use]
    pub fn mended_without_edges(&self) -> usize {
        self.watch.incomplete()
    }

    /// Returns what the next run has to wait for, once a delta is through. What is gone with
    /// `deletions` is not waited for.
    #[must_use]
    pub fn awaited_after_delta(&mut self, deletions: &BTreeSet<Deletion>) -> Awaited {
        for deletion in deletions {
            if let Deletion::Vertex { collection, key } = deletion {
                let key = RowKey::Vertex(key).into();
                self.watch.gone(identity(collection_hash(collection), key));
            }
        }
        self.watch.after_delta()
    }

    /// Returns what the next run has to wait for, once everything was read. `kept` says whether
    /// the graph may have edges of rejected vertices from before.
    #[must_use]
    pub fn awaited_after_full(&self, kept: bool) -> Awaited {
        let rejected = self.rejected_vertices.iter().copied();
        self.watch.after_full(rejected, kept)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn id(number: u32) -> u64 {
        (number as u64) << 32
    }

    #[test]
    fn a_mended_vertex_with_all_of_its_edges_needs_nothing_more() {
        let mut first = Watch::default();
        first.withhold(id(1), id(10));
        first.withhold(id(1), id(11));
        let left = first.after_delta();
        let mut second = Watch::new(left.clone());
        second.vertex(id(1));
        second.sent([id(1), id(2)], id(11));
        assert_eq!(second.incomplete(), 1, "one edge is missing");
        second.sent([id(3), id(1)], id(10));
        assert_eq!(second.incomplete(), 0);
        assert_eq!(second.after_delta(), Awaited::default());
        let idle = Watch::new(left.clone());
        assert_eq!((idle.incomplete(), idle.after_delta()), (0, left));
    }

    #[test]
    fn what_a_sweep_kept_is_never_complete() {
        let mut watch = Watch::default();
        watch.withhold(id(1), id(10));
        assert_eq!(watch.after_full([id(1), id(2)], false).0.len(), 1);
        let kept = watch.after_full([id(1), id(2)], true);
        let mut next = Watch::new(kept);
        next.vertex(id(1));
        next.sent([id(1), id(3)], id(10));
        next.vertex(id(2));
        assert_eq!(next.incomplete(), 2);
    }

    #[test]
    fn a_vertex_that_is_gone_is_waited_for_no_longer() {
        let mut watch = Watch::default();
        watch.withhold(id(1), id(10));
        let mut next = Watch::new(watch.after_delta());
        next.gone(id(1));
        assert_eq!(next.after_delta(), Awaited::default());
    }
}
