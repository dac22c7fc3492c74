//! What the source has, as a rehearsed import sends it: identities in memory, rows that would
//! change the graph in a private file without a name.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Seek, SeekFrom, Write};
use std::path::PathBuf;

use car_schema::Model;
use car_schema::wire::{CollectionComparison, RowChange};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::engine::rows::{self, Namer, Names, RawEnvelope, RowHash, RowName};
use crate::failure::{Failure, FailureKind};

/// Old and new value by field.
pub(super) type Fields = BTreeMap<String, (Value, Value)>;

/// The rows of an import.
pub(super) struct Ledger {
    pub(super) namer: Namer,
    folder: PathBuf,
    collections: BTreeMap<String, Seen>,
    /// Hashes of keys by hash of the external id.
    aliases: HashMap<RowHash, u64>,
    /// Edge collections of which an end has a key that nobody told.
    unresolved: BTreeSet<String>,
    headers: Vec<String>,
    next: u64,
    spool: Option<BufWriter<File>>,
}

#[derive(Default)]
struct Seen {
    rows: HashSet<RowHash>,
    /// Rows that came again: the last one, which is the one that counts, and its header.
    last: HashMap<RowHash, (u64, usize)>,
}

/// The rows of an envelope, numbered.
pub(super) struct Noted {
    header: usize,
    first: u64,
    hashes: Vec<Vec<RowHash>>,
}

/// A row that would be created or changed.
#[derive(Debug, Serialize, Deserialize)]
struct Line<'a> {
    header: usize,
    collection: &'a str,
    number: u64,
    hash: RowHash,
    /// What changes; absent for a row that is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fields: Option<Fields>,
    #[serde(borrow)]
    row: &'a RawValue,
}

/// A row that would be created or changed, as it is read back.
pub(super) struct Change<'a> {
    /// Whether no later one of the same name replaces it.
    pub(super) counts: bool,
    /// `{"source":…,"report":…` of the envelope that it came in.
    pub(super) header: &'a str,
    pub(super) collection: &'a str,
    /// What changes; `None` for a row that is new.
    pub(super) fields: Option<Fields>,
    pub(super) json: &'a str,
    pub(super) name: RowName,
}

impl Ledger {
    pub(super) fn new(model: Model, folder: Option<PathBuf>) -> Self {
        Self {
            namer: Namer::new(model),
            folder: folder.unwrap_or_else(std::env::temp_dir),
            collections: BTreeMap::new(),
            aliases: HashMap::new(),
            unresolved: BTreeSet::new(),
            headers: Vec::new(),
            next: 0,
            spool: None,
        }
    }

    /// Forgets everything: what was sent belongs to an attempt that is given up.
    pub(super) fn reset(&mut self) {
        self.collections.clear();
        self.aliases.clear();
        self.unresolved.clear();
        self.spool = None;
    }

    /// Notes the rows of an envelope.
    pub(super) fn note(&mut self, envelope: &RawEnvelope) -> Result<Noted, Failure> {
        let header = self.header(envelope)?;
        let first = self.next;
        let mut hashes = Vec::with_capacity(envelope.collections.len());
        for (collection, rows) in &envelope.collections {
            let mut some = Vec::with_capacity(rows.len());
            for row in rows {
                let hash = self.hash(collection, row)?;
                let number = self.next;
                self.next = self.next.saturating_add(1);
                let seen = self.collections.entry(collection.clone()).or_default();
                if !seen.rows.insert(hash) {
                    seen.last.insert(hash, (number, header));
                }
                some.push(hash);
            }
            hashes.push(some);
        }
        Ok(Noted {
            header,
            first,
            hashes,
        })
    }

    /// Keeps the rows that would change the graph.
    pub(super) fn keep(
        &mut self,
        noted: Noted,
        envelope: &RawEnvelope,
        compared: impl Fn(&str, usize) -> CollectionComparison,
    ) -> Result<(), Failure> {
        let mut first = noted.first;
        for ((collection, rows), hashes) in envelope.collections.iter().zip(&noted.hashes) {
            let answer = compared(collection, rows.len());
            let created = answer.created.into_iter().map(|row| (row, None));
            let changed = answer
                .changed
                .into_iter()
                .map(|RowChange { row, fields }| (row, Some(fields)));
            for (position, fields) in created.chain(changed) {
                let place = usize::try_from(position).unwrap_or(usize::MAX);
                let (Some(row), Some(hash)) = (rows.get(place), hashes.get(place)) else {
                    return Err(Failure::new(
                        FailureKind::CarUnexpected,
                        "the CAR service compared rows that it was not sent",
                    )
                    .with("collection", collection)
                    .with("row", position));
                };
                let line = Line {
                    header: noted.header,
                    collection,
                    number: first.saturating_add(position),
                    hash: *hash,
                    fields,
                    row,
                };
                let folder = self.folder.clone();
                self.write(&line)
                    .map_err(|error| unusable(&folder, error))?;
            }
            first = first.saturating_add(rows.len() as u64);
        }
        Ok(())
    }

    /// Returns whether the import has a row.
    pub(super) fn has(&self, collection: &str, hash: RowHash) -> bool {
        self.collections
            .get(collection)
            .is_some_and(|seen| seen.rows.contains(&hash))
    }

    /// Returns whether it cannot be told which edges of a collection the import has.
    pub(super) fn is_unresolved(&self, collection: &str) -> bool {
        self.unresolved.contains(collection)
    }

    /// Returns how many different rows the import has, by collection.
    pub(super) fn counts(&self) -> impl Iterator<Item = (&String, u64)> {
        self.collections
            .iter()
            .map(|(name, seen)| (name, seen.rows.len() as u64))
    }

    /// Goes through the rows that would change the graph, in the order in which they came.
    pub(super) fn changes(
        &mut self,
        mut take: impl FnMut(Change<'_>) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some(spool) = self.spool.take() else {
            return Ok(());
        };
        let failed = |error| unusable(&self.folder, error);
        let mut file = spool
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        let mut reader = BufReader::with_capacity(1 << 18, file);
        let mut text = String::new();
        while reader.read_line(&mut text).map_err(failed)? > 0 {
            let line: Line<'_> =
                serde_json::from_str(&text).map_err(|error| failed(error.into()))?;
            let last = self
                .collections
                .get(line.collection)
                .and_then(|seen| seen.last.get(&line.hash));
            let counts = last.is_none_or(|(last, _)| *last == line.number);
            // One that a later row of the same scope replaces is not needed; one of another scope
            // tells that the row is in that one, too.
            if counts || last.is_some_and(|(_, header)| *header != line.header) {
                let names: Names = serde_json::from_str(line.row.get()).unwrap_or_default();
                take(Change {
                    counts,
                    header: self.headers.get(line.header).map_or("", String::as_str),
                    collection: line.collection,
                    fields: line.fields,
                    json: line.row.get(),
                    name: self
                        .namer
                        .name(line.collection, &names)
                        .unwrap_or_else(|| RowName::Vertex("?".to_owned())),
                })?;
            }
            text.clear();
        }
        Ok(())
    }

    fn hash(&mut self, collection: &str, row: &RawValue) -> Result<RowHash, Failure> {
        let nameless = || {
            Failure::new(
                FailureKind::SourceData,
                "a row has no name that can be told",
            )
            .with("collection", collection)
        };
        let names: Names = serde_json::from_str(row.get()).map_err(|_| nameless())?;
        if let Some((id, key)) = self.namer.alias(collection, &names) {
            self.aliases.insert(id, key);
        }
        match self.namer.name(collection, &names).ok_or_else(nameless)? {
            RowName::Vertex(key) => Ok(rows::vertex_hash(collection, &key)),
            RowName::Edge(from, to) => {
                let [start, end] = self.namer.renamed_ends(collection, &names);
                let mut unresolved = false;
                let mut key = |vertex: Option<&str>, id: &str| {
                    let alias = vertex
                        .map(|vertex| self.aliases.get(&rows::vertex_hash(vertex, id)).copied());
                    unresolved |= alias == Some(None);
                    alias.flatten().unwrap_or_else(|| rows::key_hash(id))
                };
                let (from, to) = (key(start, &from), key(end, &to));
                if unresolved {
                    self.unresolved.insert(collection.to_owned());
                }
                Ok(rows::edge_hash(collection, from, to))
            }
        }
    }

    fn header(&mut self, envelope: &RawEnvelope) -> Result<usize, Failure> {
        let text = header(envelope)?;
        Ok(match self.headers.iter().position(|known| *known == text) {
            Some(known) => known,
            None => {
                self.headers.push(text);
                self.headers.len().saturating_sub(1)
            }
        })
    }

    fn write(&mut self, line: &Line<'_>) -> std::io::Result<()> {
        let spool = match &mut self.spool {
            Some(spool) => spool,
            none => {
                std::fs::create_dir_all(&self.folder)?;
                let file = tempfile::tempfile_in(&self.folder)?;
                none.insert(BufWriter::with_capacity(1 << 18, file))
            }
        };
        serde_json::to_writer(&mut *spool, line)?;
        spool.write_all(b"\n")
    }
}

/// Writes source and report of an envelope, without the closing brace.
pub(super) fn header(envelope: &RawEnvelope) -> Result<String, Failure> {
    let written = || {
        let source = serde_json::to_string(&envelope.source)?;
        let report = serde_json::to_string(&envelope.report)?;
        Ok(format!("{{\"source\":{source},\"report\":{report}"))
    };
    written().map_err(|error: serde_json::Error| {
        Failure::new(
            FailureKind::General,
            "an envelope's header cannot be written",
        )
        .because(error)
    })
}

fn unusable(folder: &std::path::Path, error: std::io::Error) -> Failure {
    Failure::new(
        FailureKind::General,
        "rows of the plan cannot be put aside on disk",
    )
    .with("folder", folder.display())
    .because(error)
    .hint("`--export-data-dir` names a folder with more room")
}
