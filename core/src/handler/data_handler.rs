//! The data handler itself.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;

use car_schema::wire::SessionPatch;
use car_schema::{Model, RowKey};

use super::batch::{Batch, Header, LARGEST_BATCH, OpenBatch};
use super::deduplicate::{Repeat, Seen, collection_hash, identity};
use super::hash::QuickMap;
use super::kept::Kept;
use super::quarantine::Quarantine;
use super::spill::{Spill, SpillOptions, SpillReader};
use super::validate::Validator;
use crate::failure::{Failure, FailureKind};
use crate::record::{Deletion, EmittedRow, KeyHash, Records};
use crate::report::Counts;

/// Largest row that is sent; a service takes bodies of some tens of megabytes.
const LARGEST_ROW: usize = 32 * 1024 * 1024;

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
    header: Header,
    model: Model,
    validator: Arc<Validator>,
    options: Options,
    collections: Vec<Collection>,
    by_name: QuickMap<String, usize>,
    seen: Seen,
    repeated: HashMap<u64, (usize, Vec<u8>)>,
    repeated_bytes: usize,
    rejected_vertices: HashSet<u64>,
    kept: Kept,
    quarantine: Quarantine,
    edges: Edges,
    full_edges: Vec<Batch>,
    emitted: u64,
    rejected: u64,
}

#[derive(Debug)]
enum Edges {
    Writing(Spill),
    Reading(SpillReader, u64),
    Over(u64),
}

#[derive(Debug)]
struct Collection {
    name: String,
    hash: u64,
    /// Hashes of the names of the collections at both ends, for edges.
    ends: Option<(u64, u64)>,
    batch: OpenBatch,
    counts: Counts,
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
            seen: Seen::new(),
            repeated: HashMap::new(),
            repeated_bytes: 0,
            rejected_vertices: HashSet::new(),
            kept: Kept::default(),
            edges: Edges::Writing(Spill::new(spill)),
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
        for row in records.rows() {
            self.emitted = self.emitted.saturating_add(1);
            let index = self.collection(row.collection);
            match row.key {
                KeyHash::Vertex(_) => self.vertex(scope, index, row, &mut full)?,
                KeyHash::Edge { from, to } => self.edge(scope, index, row, (from, to))?,
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
        self.collections
            .iter_mut()
            .filter_map(|each| each.batch.take(&each.name))
            .collect()
    }

    /// Returns the rows that came again with other content. Call it after a barrier, and make
    /// another one before going on.
    pub fn take_repeated(&mut self) -> Vec<Batch> {
        let mut full = Vec::new();
        self.repeated_bytes = 0;
        for (_, (index, json)) in std::mem::take(&mut self.repeated) {
            self.push(index, &json, false, &mut full);
        }
        full.extend(self.flush());
        full
    }

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
            Edges::Writing(spill) => {
                let written = spill.written();
                Edges::Reading(spill.read()?, written)
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
        loop {
            // A large edge fills two batches: the one before it and its own.
            if let Some(batch) = self.full_edges.pop() {
                return Ok(Some(batch));
            }
            if self.needs_barrier() {
                return Ok(None);
            }
            let Edges::Reading(reader, written) = &mut self.edges else {
                return Ok(None);
            };
            let Some(edge) = reader.next()? else {
                self.edges = Edges::Over(*written);
                return Ok(None);
            };
            let index = usize::from(edge.collection);
            let Some(collection) = self.collections.get_mut(index) else {
                continue;
            };
            let (from, to) = collection.ends.unwrap_or_default();
            if self
                .rejected_vertices
                .contains(&identity(from, KeyHash::Vertex(edge.from)))
                || self
                    .rejected_vertices
                    .contains(&identity(to, KeyHash::Vertex(edge.to)))
            {
                collection.counts.withheld = collection.counts.withheld.saturating_add(1);
                continue;
            }
            let id = identity(
                collection.hash,
                KeyHash::Edge {
                    from: edge.from,
                    to: edge.to,
                },
            );
            match self.seen.look(id, &edge.json) {
                Repeat::Same => {
                    collection.counts.duplicate = collection.counts.duplicate.saturating_add(1);
                    continue;
                }
                Repeat::Again => {
                    let mut json = Vec::with_capacity(edge.json.len().saturating_add(128));
                    self.header.complete_edge(&edge.json, edge.has, &mut json);
                    self.keep_repeated(id, index, json);
                }
                Repeat::New => {
                    let mut json = Vec::with_capacity(edge.json.len().saturating_add(128));
                    self.header.complete_edge(&edge.json, edge.has, &mut json);
                    let mut full = std::mem::take(&mut self.full_edges);
                    self.push(index, &json, true, &mut full);
                    self.full_edges = full;
                }
            }
        }
    }

    /// Returns whether edges are left to be read.
    #[must_use]
    pub fn has_edges(&self) -> bool {
        matches!(self.edges, Edges::Reading(..))
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

    /// Returns the names of the rejected rows, `None` when some have no name that can be told.
    #[must_use]
    pub fn kept(&self) -> Option<&SessionPatch> {
        self.kept.names()
    }

    /// Returns the bytes of edges that went to disk.
    #[must_use]
    pub fn spilled(&self) -> u64 {
        match &self.edges {
            Edges::Writing(spill) => spill.written(),
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
        scope: &str,
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
        match self.seen.look(id, row.json) {
            Repeat::New => {
                self.rejected_vertices.remove(&id);
                self.push(index, row.json, true, full);
            }
            Repeat::Same => {
                collection.counts.duplicate = collection.counts.duplicate.saturating_add(1);
            }
            Repeat::Again => self.keep_repeated(id, index, row.json.to_vec()),
        }
        Ok(())
    }

    fn edge(
        &mut self,
        scope: &str,
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
            Edges::Writing(spill) => spill.push(collection, valid, ends, row.json),
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
            if !self.seen.contains(id) {
                self.rejected_vertices.insert(id);
            }
        }
        self.quarantine.add(scope, &collection.name, reason, json)
    }

    fn keep_repeated(&mut self, id: u64, index: usize, json: Vec<u8>) {
        if let Some(collection) = self.collections.get_mut(index) {
            collection.counts.merged = collection.counts.merged.saturating_add(1);
        }
        self.repeated_bytes = self.repeated_bytes.saturating_add(json.len());
        if let Some((_, replaced)) = self.repeated.insert(id, (index, json)) {
            self.repeated_bytes = self.repeated_bytes.saturating_sub(replaced.len());
        }
    }

    fn push(&mut self, index: usize, json: &[u8], counts: bool, full: &mut Vec<Batch>) {
        let Some(collection) = self.collections.get_mut(index) else {
            return;
        };
        if collection
            .batch
            .is_full(self.options.rows_per_batch, json.len())
        {
            full.extend(collection.batch.take(&collection.name));
        }
        collection
            .batch
            .push(&self.header, &collection.name, json, counts);
        if json.len() > LARGEST_BATCH {
            full.extend(collection.batch.take(&collection.name));
        }
    }

    fn collection(&mut self, name: &str) -> usize {
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
            batch: OpenBatch::default(),
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
