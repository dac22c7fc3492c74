//! The data handler itself.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use car_schema::wire::SessionPatch;
use car_schema::{Model, RowKey};

use super::awaited::Watch;
use super::batch::{Batch, Header, LARGEST_BATCH, OpenBatch};
use super::deduplicate::{Repeat, Seen, collection_hash, identity};
use super::edges::{Edges, Waiting};
use super::hash::QuickMap;
use super::kept::Kept;
use super::quarantine::Quarantine;
use super::spill::{Spill, SpillOptions};
use super::validate::Validator;
use crate::failure::{Failure, FailureKind};
use crate::record::{Deletion, EmittedRow, KeyHash, Records};
use crate::report::Counts;
use crate::state::Entry;

/// Largest row that is sent; a service takes bodies of some tens of megabytes.
const LARGEST_ROW: usize = 32 * 1024 * 1024;

/// Longest name of a scope that services take, in bytes. Rows of one with a longer name are sent
/// without it, and are then retired by complete imports only.
const LONGEST_SCOPE: usize = 1024;

/// How the handler works.
#[derive(Debug, Clone)]
pub struct Options {
    /// Most rows in a batch.
    pub rows_per_batch: usize,
    /// Bytes of edges, and of rows that came again, to hold in memory.
    pub memory_budget: usize,
    /// Folder for edges above the budget; the system's temporary one by default.
    pub spill_folder: Option<PathBuf>,
    /// Whether the file with the edges stays after the run.
    pub keep_spill: bool,
    /// File for rejected rows.
    pub quarantine: PathBuf,
    /// Whether [`DataHandler::was_emitted`] will be asked. If not, the identities of vertices are
    /// forgotten once the edges begin.
    pub deltas: bool,
    /// Whether batches name the scope that their rows were read from.
    pub scopes: bool,
}

/// Takes what was fetched, gives out what is to be sent.
///
/// # Behaviour
///
/// - No two batches that it gives out between two barriers hold the same row, so batches may be
///   sent side by side. Rows that came again with other content are [kept](Self::take_repeated)
///   until a barrier; the last one counts.
/// - Edges come out only after [`DataHandler::start_edges`].
pub struct DataHandler {
    pub(super) header: Header,
    model: Model,
    validator: Arc<Validator>,
    pub(super) options: Options,
    pub(super) collections: Vec<Collection>,
    by_name: QuickMap<String, usize>,
    /// Numbers of the scopes, from 1; empty when the service wants to know none.
    scopes: QuickMap<String, u16>,
    pub(super) seen: Seen,
    repeated: HashMap<(u64, u16), (usize, Vec<u8>)>,
    repeated_bytes: usize,
    pub(super) rejected_vertices: HashSet<u64>,
    /// Vertices that an earlier process of the run rejected, also those that came right later.
    pub(super) ever_rejected: HashSet<u64>,
    pub(super) watch: Watch,
    pub(super) kept: Kept,
    pub(super) quarantine: Quarantine,
    pub(super) edges: Edges,
    pub(super) full_edges: Vec<Batch>,
    pub(super) emitted: u64,
    pub(super) rejected: u64,
}

#[derive(Debug)]
pub(super) struct Collection {
    name: String,
    pub(super) hash: u64,
    /// Hashes of the names of the collections at both ends, for edges.
    pub(super) ends: Option<(u64, u64)>,
    /// By number of the scope.
    batches: Vec<(u16, OpenBatch)>,
    pub(super) counts: Counts,
}

impl Collection {
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

/// Batches of a collection that keep their memory when they are empty.
const STANDING_BATCHES: usize = 8;

/// A row on its way into a batch.
#[derive(Clone, Copy)]
pub(super) struct Ready<'a> {
    /// Index of its collection.
    pub(super) index: usize,
    /// Number of its scope.
    pub(super) scope: u16,
    pub(super) json: &'a [u8],
    /// Whether it is one that was not sent before.
    pub(super) counts: bool,
}

impl DataHandler {
    /// Makes a handler for one run.
    #[must_use]
    pub fn new(
        header: Header,
        model: Model,
        validator: impl Into<Arc<Validator>>,
        options: Options,
    ) -> Self {
        let spill = SpillOptions {
            folder: options.spill_folder.clone(),
            keep: options.keep_spill,
            budget: options.memory_budget,
        };
        Self {
            header,
            model,
            validator: validator.into(),
            quarantine: Quarantine::new(options.quarantine.clone()),
            options,
            collections: Vec::new(),
            by_name: QuickMap::default(),
            scopes: QuickMap::default(),
            seen: Seen::new(),
            repeated: HashMap::new(),
            repeated_bytes: 0,
            rejected_vertices: HashSet::new(),
            ever_rejected: HashSet::new(),
            watch: Watch::default(),
            kept: Kept::default(),
            edges: Edges::Writing(Waiting::Spill(Spill::new(spill))),
            full_edges: Vec::new(),
            emitted: 0,
            rejected: 0,
        }
    }

    /// Takes the rows of a page; returns the batches that are full now.
    ///
    /// # Errors
    ///
    /// When the spill or the quarantine cannot be written.
    pub fn take(&mut self, scope: &str, records: &Records) -> Result<Vec<Batch>, Failure> {
        let mut full = Vec::new();
        let number = self.scope(scope)?;
        for row in records.rows() {
            self.emitted = self.emitted.saturating_add(1);
            let index = self.collection(row.collection);
            match row.key {
                KeyHash::Vertex(_) => self.vertex((scope, number), index, row, &mut full)?,
                KeyHash::Edge { from, to } => {
                    self.edge((scope, number), index, row, (from, to))?;
                }
            }
        }
        for reject in records.rejects() {
            self.emitted = self.emitted.saturating_add(1);
            let index = self.collection(&reject.collection);
            match &reject.key {
                Some(key) => self.kept.vertex(&reject.collection, key.clone()),
                None => self.kept.nameless(),
            }
            let key = reject.key.as_deref().map(|key| RowKey::Vertex(key).into());
            self.reject(scope, index, key, &reject.reason, &reject.record)?;
        }
        Ok(full)
    }

    /// Returns whether so many rows came again that a barrier should be made to send them.
    #[must_use]
    pub fn needs_barrier(&self) -> bool {
        self.repeated_bytes > self.options.memory_budget / 2
    }

    /// Returns the batches that are not full yet. Call it before a barrier.
    pub fn flush(&mut self) -> Vec<Batch> {
        let mut open = Vec::new();
        for each in &mut self.collections {
            let batches = each.batches.iter_mut();
            open.extend(batches.filter_map(|(_, batch)| batch.take(&each.name)));
            if each.batches.len() > STANDING_BATCHES {
                each.batches.clear();
            }
        }
        open
    }

    /// Returns the rows that came again with other content. Call it after a barrier, and make
    /// another one before going on.
    pub fn take_repeated(&mut self) -> Vec<Batch> {
        let mut full = Vec::new();
        self.repeated_bytes = 0;
        for ((_, scope), (index, json)) in std::mem::take(&mut self.repeated) {
            let row = Ready {
                index,
                scope,
                json: &json,
                counts: false,
            };
            self.push(row, &mut full);
        }
        full.extend(self.flush());
        full
    }

    /// Returns whether the run emitted the row that a deletion names.
    #[must_use]
    pub fn was_emitted(&self, deletion: &Deletion) -> bool {
        let key = match deletion {
            Deletion::Vertex { key, .. } => RowKey::Vertex(key),
            Deletion::Edge { from, to, .. } => RowKey::Edge { from, to },
        };
        self.seen
            .contains(identity(collection_hash(deletion.collection()), key.into()))
    }

    /// Returns the counts by collection, without what is acknowledged.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, Counts> {
        self.collections
            .iter()
            .map(|each| (each.name.clone(), each.counts))
            .collect()
    }

    /// Returns how many rows were emitted, and how many of them were rejected.
    #[must_use]
    pub fn rejects(&self) -> (u64, u64) {
        (self.emitted, self.rejected)
    }

    /// Returns the names of the rejected rows that were not returned before.
    #[must_use]
    pub fn take_kept(&mut self) -> SessionPatch {
        self.kept.take()
    }

    /// Returns whether some of the rejected rows have no name that can be told.
    #[must_use]
    pub fn has_nameless_rejects(&self) -> bool {
        self.kept.has_nameless()
    }

    /// Returns the bytes of edges that went to disk.
    #[must_use]
    pub fn spilled(&self) -> u64 {
        match &self.edges {
            Edges::Writing(waiting) => waiting.written(),
            Edges::Reading(_, written) | Edges::Over(written) => *written,
        }
    }

    /// Returns the quarantine.
    pub fn quarantine(&mut self) -> Result<&Quarantine, Failure> {
        self.quarantine.flush()?;
        Ok(&self.quarantine)
    }

    fn vertex(
        &mut self,
        (scope, number): (&str, u16),
        index: usize,
        row: EmittedRow<'_>,
        full: &mut Vec<Batch>,
    ) -> Result<(), Failure> {
        let Some(collection) = self.collections.get_mut(index) else {
            return Ok(());
        };
        let id = identity(collection.hash, row.key);
        if let Err(reason) = check(&self.validator, row) {
            self.keep(row);
            return self.reject(scope, index, Some(row.key), &reason, row.json);
        }
        match self.seen.look(id, number, row.json) {
            Repeat::New => {
                if self.rejected_vertices.remove(&id) {
                    self.log_vertex(id, false)?;
                }
                self.watch.vertex(id);
                let row = Ready {
                    index,
                    scope: number,
                    json: row.json,
                    counts: true,
                };
                self.push(row, full);
            }
            Repeat::Same => {
                collection.counts.duplicate = collection.counts.duplicate.saturating_add(1);
            }
            Repeat::Again => self.keep_repeated((id, number), index, row.json.to_vec()),
        }
        Ok(())
    }

    fn edge(
        &mut self,
        (scope, number): (&str, u16),
        index: usize,
        row: EmittedRow<'_>,
        ends: (u64, u64),
    ) -> Result<(), Failure> {
        let valid = match check(&self.validator, row) {
            Ok(has) => has,
            Err(reason) => {
                self.keep(row);
                return self.reject(scope, index, None, &reason, row.json);
            }
        };
        let collection = u16::try_from(index).map_err(|_| {
            Failure::new(
                FailureKind::SourceData,
                "the connector emits more than 65536 collections",
            )
        })?;
        match &mut self.edges {
            Edges::Writing(Waiting::Spill(spill)) => {
                spill.push((collection, number), valid, ends, row.json)
            }
            Edges::Writing(Waiting::Log(log)) => {
                let edge = Entry::Edge {
                    collection: row.collection,
                    has: valid,
                    from: ends.0,
                    to: ends.1,
                    json: row.json,
                };
                log.push(if number == 0 { "" } else { scope }, edge)
            }
            Edges::Reading(..) | Edges::Over(_) => Err(Failure::new(
                FailureKind::General,
                "a page came after the vertices were through",
            )),
        }
    }

    /// Notes the name of a row that is about to be rejected.
    fn keep(&mut self, row: EmittedRow<'_>) {
        match self.model.get(row.collection) {
            Some(collection) => self
                .kept
                .row(row.collection, collection.identity(), row.json),
            None => self.kept.nameless(),
        }
    }

    /// Puts a row into quarantine. Edges to a vertex that is missing now are withheld.
    fn reject(
        &mut self,
        scope: &str,
        index: usize,
        key: Option<KeyHash>,
        reason: &str,
        json: &[u8],
    ) -> Result<(), Failure> {
        self.rejected = self.rejected.saturating_add(1);
        let Some(collection) = self.collections.get_mut(index) else {
            return Ok(());
        };
        collection.counts.rejected = collection.counts.rejected.saturating_add(1);
        if let Some(key @ KeyHash::Vertex(_)) = key {
            let id = identity(collection.hash, key);
            if !self.seen.contains(id) && self.rejected_vertices.insert(id) {
                self.log_vertex(id, true)?;
            }
        }
        let Some(collection) = self.collections.get(index) else {
            return Ok(());
        };
        self.quarantine.add(scope, &collection.name, reason, json)
    }

    /// Lets a later process know whether edges of a vertex are to be withheld.
    fn log_vertex(&mut self, id: u64, rejected: bool) -> Result<(), Failure> {
        match &mut self.edges {
            Edges::Writing(Waiting::Log(log)) => Ok(log.log.add(Entry::Vertex { id, rejected })?),
            _ => Ok(()),
        }
    }

    pub(super) fn keep_repeated(&mut self, id: (u64, u16), index: usize, json: Vec<u8>) {
        if let Some(collection) = self.collections.get_mut(index) {
            collection.counts.merged = collection.counts.merged.saturating_add(1);
        }
        self.repeated_bytes = self.repeated_bytes.saturating_add(json.len());
        if let Some((_, replaced)) = self.repeated.insert(id, (index, json)) {
            self.repeated_bytes = self.repeated_bytes.saturating_sub(replaced.len());
        }
    }

    pub(super) fn push(&mut self, row: Ready<'_>, full: &mut Vec<Batch>) {
        let Some(collection) = self.collections.get_mut(row.index) else {
            return;
        };
        let batches = &mut collection.batches;
        let place = batches.iter().position(|(scope, _)| *scope == row.scope);
        let place = place.unwrap_or_else(|| {
            batches.push((row.scope, OpenBatch::default()));
            batches.len().saturating_sub(1)
        });
        let Some((_, batch)) = batches.get_mut(place) else {
            return;
        };
        if batch.is_full(self.options.rows_per_batch, row.json.len()) {
            full.extend(batch.take(&collection.name));
        }
        let header = (&self.header, row.scope);
        batch.push(header, &collection.name, row.json, row.counts);
        if row.json.len() > LARGEST_BATCH {
            full.extend(batch.take(&collection.name));
        }
    }

    /// Returns the number of a scope, 0 when the service wants to know none.
    pub(super) fn scope(&mut self, name: &str) -> Result<u16, Failure> {
        if !self.options.scopes || name.is_empty() || name.len() > LONGEST_SCOPE {
            return Ok(0);
        }
        if let Some(number) = self.scopes.get(name) {
            return Ok(*number);
        }
        let number = u16::try_from(self.scopes.len().saturating_add(1)).map_err(|_| {
            Failure::new(
                FailureKind::SourceData,
                "the connector has more than 65535 scopes",
            )
        })?;
        self.header.add_scope(name)?;
        self.scopes.insert(name.to_owned(), number);
        Ok(number)
    }

    /// Returns the name of a scope, empty for 0.
    pub(super) fn scope_name(&self, number: u16) -> &str {
        let mut names = self.scopes.iter();
        let found = names.find(|(_, known)| **known == number);
        found.map_or("", |(name, _)| name)
    }

    pub(super) fn collection(&mut self, name: &str) -> usize {
        if let Some(index) = self.by_name.get(name) {
            return *index;
        }
        let ends = self.model.get(name).and_then(car_schema::Collection::ends);
        let index = self.collections.len();
        self.collections.push(Collection {
            name: name.to_owned(),
            hash: collection_hash(name),
            ends: ends.map(|(from, to)| {
                (
                    collection_hash(&from.collection),
                    collection_hash(&to.collection),
                )
            }),
            batches: Vec::new(),
            counts: Counts::default(),
        });
        self.by_name.insert(name.to_owned(), index);
        index
    }
}

/// Checks a row; returns which of the fields that the framework adds it has already.
fn check(validator: &Validator, row: EmittedRow<'_>) -> Result<[bool; 4], String> {
    if row.json.len() > LARGEST_ROW {
        return Err(format!("is larger than {} MiB", LARGEST_ROW >> 20));
    }
    match validator.examine(row.collection, row.json) {
        Ok(valid) => Ok(valid.has),
        Err(error) => Err(error.to_string()),
    }
}
