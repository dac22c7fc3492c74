//! What is in the graph and no longer in the source.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use car_schema::wire::SessionPatch;
use car_schema::{Collection, Identity};

use super::file::{Line, PlanWriter};
use super::ledger::Ledger;
use super::summary::Plan;
use crate::car::CarClient;
use crate::engine::rows::{self, RowHash};
use crate::failure::Failure;

/// Names in one line of a plan file.
const PER_LINE: usize = 1000;

/// Vertices by collection, and edges by collection, as names.
pub(super) type Named = SessionPatch;

/// Which rows are gone.
pub(super) enum Question {
    /// All that the import did not send, but for these: they were rejected, so the source has
    /// them.
    AllBut(Named),
    /// These, as far as the graph has them.
    These(Named),
}

/// Finds what is gone.
pub(super) struct Finder<'a> {
    pub(super) car: &'a CarClient,
    pub(super) source: &'a str,
    pub(super) ledger: &'a Ledger,
    pub(super) question: Question,
    pub(super) samples: usize,
    vertices: HashSet<RowHash>,
}

impl<'a> Finder<'a> {
    pub(super) fn new(
        car: &'a CarClient,
        source: &'a str,
        ledger: &'a Ledger,
        question: Question,
        samples: usize,
    ) -> Self {
        Self {
            car,
            source,
            ledger,
            question,
            samples,
            vertices: HashSet::new(),
        }
    }

    /// Looks through the graph; `others` are collections that the service has, which may be more
    /// than the model.
    pub(super) async fn find(
        mut self,
        others: &[String],
        plan: &mut Plan,
        out: &mut PlanWriter,
    ) -> Result<(), Failure> {
        for collection in self.vertex_collections(others) {
            self.vertices_of(&collection, plan, out).await?;
        }
        for collection in self.edge_collections(others) {
            self.edges_of(&collection, plan, out).await?;
        }
        Ok(())
    }

    fn vertex_collections(&self, others: &[String]) -> BTreeSet<String> {
        let model = self.ledger.namer.model();
        match &self.question {
            Question::These(named) => named.vertices.keys().cloned().collect(),
            // Names of edges have an underscore, and names of vertices do not.
            Question::AllBut(_) => model
                .vertices()
                .map(|collection| collection.name.to_string())
                .chain(others.iter().filter(|name| !name.contains('_')).cloned())
                .collect(),
        }
    }

    fn edge_collections(&self, others: &[String]) -> BTreeSet<String> {
        let model = self.ledger.namer.model();
        match &self.question {
            Question::These(named) => named
                .vertices
                .keys()
                .flat_map(|vertex| model.edges_of(vertex))
                .map(|collection| collection.name.to_string())
                .chain(named.edges.keys().cloned())
                .collect(),
            Question::AllBut(_) => model
                .edges()
                .map(|collection| collection.name.to_string())
                .chain(others.iter().filter(|name| name.contains('_')).cloned())
                .collect(),
        }
    }

    async fn vertices_of(
        &mut self,
        collection: &str,
        plan: &mut Plan,
        out: &mut PlanWriter,
    ) -> Result<(), Failure> {
        let identity = self
            .ledger
            .namer
            .model()
            .get(collection)
            .and_then(Collection::identity)
            .unwrap_or(Identity::ExternalId);
        let mut gone = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let Some(page) = self
                .car
                .known_rows(self.source, collection, after.as_deref())
                .await?
            else {
                break;
            };
            for key in page.vertices {
                let hash = rows::vertex_hash(collection, &key);
                let is_gone = match &self.question {
                    Question::These(named) => holds(&named.vertices, collection, &key),
                    Question::AllBut(kept) => {
                        !self.ledger.has(collection, hash)
                            && !holds(&kept.vertices, collection, &key)
                    }
                };
                if is_gone {
                    self.vertices.insert(hash);
                    self.note(collection, || key.clone(), plan);
                    gone.push(key);
                }
                if gone.len() >= PER_LINE {
                    out.retire_vertices(collection, identity, std::mem::take(&mut gone))?;
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        out.retire_vertices(collection, identity, gone)
    }

    async fn edges_of(
        &mut self,
        collection: &str,
        plan: &mut Plan,
        out: &mut PlanWriter,
    ) -> Result<(), Failure> {
        let ends = self
            .ledger
            .namer
            .model()
            .get(collection)
            .and_then(Collection::ends)
            .map(|(from, to)| (from.collection.to_string(), to.collection.to_string()));
        if matches!(self.question, Question::AllBut(_)) && self.ledger.is_unresolved(collection) {
            plan.notes.push(format!(
                "which edges of `{collection}` would be retired cannot be told: some name a vertex by another name than the graph does"
            ));
            plan.complete = false;
        }
        let mut gone = Vec::new();
        let mut along = 0_u64;
        let mut after: Option<String> = None;
        loop {
            let Some(page) = self
                .car
                .known_rows(self.source, collection, after.as_deref())
                .await?
            else {
                break;
            };
            for (from, to) in page.edges {
                let goes_along = ends.as_ref().is_some_and(|(start, end)| {
                    self.vertices.contains(&rows::vertex_hash(start, &from))
                        || self.vertices.contains(&rows::vertex_hash(end, &to))
                });
                if !goes_along && !self.is_gone(collection, ends.as_ref(), &from, &to) {
                    continue;
                }
                self.note(collection, || format!("{from} → {to}"), plan);
                if goes_along {
                    along = along.saturating_add(1);
                } else {
                    gone.push((from, to));
                }
                if gone.len() >= PER_LINE {
                    out.retire_edges(collection, std::mem::take(&mut gone))?;
                }
            }
            match page.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
        out.retire_edges(collection, gone)?;
        if along > 0 {
            out.write(&Line::GoAlong {
                collection: collection.to_owned(),
                rows: along,
            })?;
        }
        Ok(())
    }

    /// Returns whether an edge is gone though both its vertices are not.
    fn is_gone(
        &self,
        collection: &str,
        ends: Option<&(String, String)>,
        from: &str,
        to: &str,
    ) -> bool {
        let holds_edge = |named: &Named| {
            named
                .edges
                .get(collection)
                .is_some_and(|edges| edges.contains(&(from.to_owned(), to.to_owned())))
        };
        match &self.question {
            Question::These(named) => holds_edge(named),
            Question::AllBut(kept) => {
                let hash = rows::edge_hash(collection, rows::key_hash(from), rows::key_hash(to));
                let at_kept = ends.is_some_and(|(start, end)| {
                    holds(&kept.vertices, start, from) || holds(&kept.vertices, end, to)
                });
                !self.ledger.has(collection, hash)
                    && !self.ledger.is_unresolved(collection)
                    && !holds_edge(kept)
                    && !at_kept
            }
        }
    }

    fn note(&self, collection: &str, name: impl Fn() -> String, plan: &mut Plan) {
        let rows = plan.collections.entry(collection.to_owned()).or_default();
        rows.retired = rows.retired.saturating_add(1);
        if rows.samples.retired.len() < self.samples {
            rows.samples.retired.push(name());
        }
    }
}

fn holds(named: &BTreeMap<String, BTreeSet<String>>, collection: &str, key: &str) -> bool {
    named.get(collection).is_some_and(|keys| keys.contains(key))
}
