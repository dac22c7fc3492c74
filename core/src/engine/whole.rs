//! Retires what a delta does not repeat of vertices that it tells in full, and what nothing
//! refers to any more.
//!
//! A source often says only that something changed, not what it was before. Its connector then
//! reads the thing again and emits it whole; what the graph has beside that is found here, by
//! asking the service.

use std::collections::{BTreeMap, BTreeSet};

use super::importer::Importer;
use crate::car::End;
use crate::connector::{Connector, Dependent};
use crate::failure::{Failure, FailureKind};
use crate::handler::DataHandler;
use crate::record::{Deletion, Whole};

/// Rounds of finding what depended on what went in the round before.
const MOST_ROUNDS: usize = 8;

/// A vertex: collection and key.
type Vertex = (String, String);

impl<C: Connector> Importer<C> {
    /// Finds the edges that the graph has of the vertices that were told whole, and the delta has
    /// not. Returns their deletions, and the vertices at their other ends.
    pub(super) async fn unrepeated(
        &mut self,
        wholes: &BTreeSet<Whole>,
        handler: &DataHandler,
    ) -> Result<(Vec<Deletion>, BTreeSet<Vertex>), Failure> {
        let mut keys: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
        for whole in wholes {
            for edges in whole.edges {
                keys.entry((whole.collection.as_str(), *edges))
                    .or_default()
                    .insert(&whole.key);
            }
        }
        let (mut deletions, mut beside) = (Vec::new(), BTreeSet::new());
        for ((collection, edges), keys) in keys {
            let keys: Vec<String> = keys.into_iter().map(str::to_owned).collect();
            for (far, from, to) in self.edges_of(collection, edges, &keys).await? {
                let deletion = Deletion::edge(edges, from, to);
                if !handler.was_emitted(&deletion) {
                    deletions.push(deletion);
                    beside.insert(far);
                }
            }
        }
        Ok((deletions, beside))
    }

    /// Finds which vertices have lost all that they depended on, and retires them, and what
    /// depended on those.
    ///
    /// `gone` is what this run has retired so far. It is left out of what the service tells: a
    /// plan only pretends to retire.
    pub(super) async fn retire_orphans(
        &mut self,
        mut candidates: BTreeSet<Vertex>,
        dependents: &[Dependent],
        mut gone: BTreeSet<Deletion>,
        handler: &DataHandler,
    ) -> Result<(), Failure> {
        for _ in 0..MOST_ROUNDS {
            candidates.retain(|(collection, key)| {
                !handler.was_emitted(&Deletion::vertex(collection.as_str(), key.as_str()))
            });
            let mut kinds: BTreeMap<usize, BTreeSet<String>> = BTreeMap::new();
            for (collection, key) in std::mem::take(&mut candidates) {
                let kind = dependents.iter().position(|dependent| {
                    dependent.collection == collection
                        && dependent.only.is_none_or(|only| only(&key))
                });
                if let Some(kind) = kind {
                    kinds.entry(kind).or_default().insert(key);
                }
            }
            let mut going = Vec::new();
            for (kind, mut alone) in kinds {
                let Some(dependent) = dependents.get(kind) else {
                    continue;
                };
                for edges in dependent.held_by {
                    let asked: Vec<String> = alone.iter().cloned().collect();
                    let held = self.edges_of(dependent.collection, edges, &asked).await?;
                    for ((far, key), from, to) in held {
                        if gone.contains(&Deletion::vertex(far, key)) {
                            continue;
                        }
                        if !gone.contains(&Deletion::edge(*edges, from.as_str(), to.as_str())) {
                            alone.remove(&from);
                            alone.remove(&to);
                        }
                    }
                }
                let alone: Vec<String> = alone.into_iter().collect();
                for edges in dependent.holds {
                    let held = self.edges_of(dependent.collection, edges, &alone).await?;
                    candidates.extend(held.into_iter().map(|(far, ..)| far));
                }
                going.extend(
                    alone
                        .into_iter()
                        .map(|key| Deletion::vertex(dependent.collection, key)),
                );
            }
            if going.is_empty() {
                return Ok(());
            }
            self.retire(going.iter().cloned()).await?;
            gone.extend(going);
        }
        Ok(())
    }

    /// Returns the edges of a collection at vertices: the vertex at the other end, and both ends.
    async fn edges_of(
        &mut self,
        collection: &str,
        edges: &str,
        keys: &[String],
    ) -> Result<Vec<(Vertex, String, String)>, Failure> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        self.check_cancelled()?;
        let model = self.model()?;
        let found = model.get(edges).and_then(|edges| {
            let (from, to) = edges.ends()?;
            if from.collection == collection {
                Some((edges, End::From, to.collection.to_string()))
            } else if to.collection == collection {
                Some((edges, End::To, from.collection.to_string()))
            } else {
                None
            }
        });
        let Some((edges, end, far)) = found else {
            return Err(Failure::new(
                FailureKind::General,
                "the connector names edges that the vertex cannot have",
            )
            .with("vertex", collection)
            .with("edges", edges));
        };
        let pairs = self
            .car
            .edges_at(&self.options.source, edges, end, keys)
            .await?;
        Ok(pairs
            .into_iter()
            .map(|(from, to)| {
                let key = if end == End::From { &to } else { &from };
                ((far.clone(), key.clone()), from, to)
            })
            .collect())
    }
}
