//! Edges on their way out, once the vertices are through.

use super::batch::Batch;
use super::data_handler::{DataHandler, Ready};
use super::deduplicate::{Repeat, Seen, identity};
use super::edges::{Edge, Edges, Which};
use crate::failure::Failure;
use crate::record::KeyHash;

impl DataHandler {
    /// Begins with the edges: every vertex must be acknowledged.
    ///
    /// # Errors
    ///
    /// When the spill or the quarantine cannot be written.
    pub fn start_edges(&mut self) -> Result<(), Failure> {
        self.quarantine.flush()?;
        if !self.options.deltas && matches!(self.edges, Edges::Writing(_)) {
            self.seen = Seen::new();
        }
        let edges = std::mem::replace(&mut self.edges, Edges::Over(0));
        self.edges = match edges {
            Edges::Writing(waiting) => {
                let (reading, written) = waiting.read()?;
                Edges::Reading(Box::new(reading), written)
            }
            other => other,
        };
        Ok(())
    }

    /// Returns the next full batch of edges, `None` when only [`DataHandler::flush`] has some.
    ///
    /// # Errors
    ///
    /// When the spill cannot be read.
    pub fn next_edges(&mut self) -> Result<Option<Batch>, Failure> {
        // Taken out, because an edge borrows from it while it goes through the rest.
        let mut edges = std::mem::replace(&mut self.edges, Edges::Over(0));
        let next = self.next_edges_of(&mut edges);
        self.edges = edges;
        next
    }

    fn next_edges_of(&mut self, edges: &mut Edges) -> Result<Option<Batch>, Failure> {
        loop {
            // A large edge fills two batches: the one before it and its own.
            if let Some(batch) = self.full_edges.pop() {
                return Ok(Some(batch));
            }
            if self.needs_barrier() {
                return Ok(None);
            }
            let Edges::Reading(reading, written) = edges else {
                return Ok(None);
            };
            let Some(edge) = reading.next()? else {
                *edges = Edges::Over(*written);
                return Ok(None);
            };
            let index = match edge.collection {
                Which::Index(index) => usize::from(index),
                Which::Name(name) => self.collection(name),
            };
            let scope = match edge.scope {
                Which::Index(number) => number,
                Which::Name(name) => self.scope(name)?,
            };
            let Some(collection) = self.collections.get_mut(index) else {
                continue;
            };
            let ((from, to), ends) = (edge.ends, collection.ends.unwrap_or_default());
            let ends = [(ends.0, from), (ends.1, to)]
                .map(|(collection, key)| identity(collection, KeyHash::Vertex(key)));
            let missing = ends.map(|end| self.rejected_vertices.contains(&end));
            if edge.is_settled && !ends.iter().any(|end| self.ever_rejected.contains(end)) {
                continue;
            }
            let id = identity(collection.hash, KeyHash::Edge { from, to });
            let repeat = self.seen.look(id, scope, edge.json);
            if missing.contains(&true) {
                let first = repeat == Repeat::New;
                let counts = &mut collection.counts;
                let count = if first {
                    &mut counts.withheld
                } else {
                    &mut counts.duplicate
                };
                *count = count.saturating_add(1);
                if first {
                    self.withhold(index, &edge, (ends, missing), id)?;
                }
                continue;
            }
            if repeat == Repeat::New && !self.watch.is_idle() {
                self.watch.sent(ends, id);
            }
            if repeat == Repeat::Same {
                collection.counts.duplicate = collection.counts.duplicate.saturating_add(1);
                continue;
            }
            let mut json = Vec::with_capacity(edge.json.len().saturating_add(128));
            self.header.complete_edge(edge.json, edge.has, &mut json);
            if repeat == Repeat::Again {
                self.keep_repeated((id, scope), index, json);
                continue;
            }
            let row = Ready {
                index,
                scope,
                json: &json,
                counts: true,
            };
            let mut full = std::mem::take(&mut self.full_edges);
            self.push(row, &mut full);
            self.full_edges = full;
        }
    }

    /// Puts an edge aside for good, as far as this run goes.
    fn withhold(
        &mut self,
        index: usize,
        edge: &Edge<'_>,
        (ends, missing): ([u64; 2], [bool; 2]),
        id: u64,
    ) -> Result<(), Failure> {
        for (end, _) in ends.iter().zip(missing).filter(|(_, missing)| *missing) {
            self.watch.withhold(*end, id);
        }
        let reason = match missing {
            [true, true] => "withheld, because the vertices at both ends were rejected",
            [true, _] => "withheld, because the vertex that it begins at was rejected",
            _ => "withheld, because the vertex that it leads to was rejected",
        };
        let scope = match edge.scope {
            Which::Name(name) => name,
            Which::Index(_) if self.options.deltas => "delta",
            Which::Index(number) => self.scope_name(number),
        }
        .to_owned();
        let Some(collection) = self.collections.get(index) else {
            return Ok(());
        };
        self.quarantine
            .add(&scope, collection.name(), reason, edge.json)
    }

    /// Returns whether edges are left to be read.
    #[must_use]
    pub fn has_edges(&self) -> bool {
        matches!(self.edges, Edges::Reading(..))
    }
}
