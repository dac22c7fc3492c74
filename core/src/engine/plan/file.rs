//! Plan files: the rows to write and to retire, and what they were compared with.
//!
//! A file is JSON lines: a head, rows in the order in which they are to be imported, and an end
//! with a hash of everything before it, so that half a plan is never taken for a whole one. It
//! holds data of the source and is only for this user to read.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use car_schema::{Extension, Identity};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use xxhash_rust::xxh3::Xxh3;

use super::summary::{Cost, FORMAT, Plan};
use crate::car::lists;
use crate::failure::{Failure, FailureKind};
use crate::report::Mode;

/// Rows in an envelope of a plan, and their bytes.
const MOST_ROWS: u64 = 2000;
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// What a plan is of, and what it was compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    pub(super) format: u32,
    pub(super) connector: String,
    pub(super) version: String,
    pub(super) source: String,
    pub(super) mode: Mode,
    /// Hash of the settings that decide what is read.
    pub(super) settings: String,
    pub(super) before: Before,
    /// Name of the report that the rows carry.
    pub(super) report: Option<String>,
    /// An envelope without rows, to make source and report known; absent without rows.
    pub(super) header: Option<Box<str>>,
    pub(super) next_save_point: Option<String>,
    /// The schema extension, if the service needs it first.
    pub(super) extension: Option<Extension>,
}

/// What the graph knew of the source when it was compared.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    pub(super) known: bool,
    pub(super) save_point: Option<String>,
    pub(super) report: Option<String>,
}

/// A line of a plan file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Line {
    /// The first line.
    Head(Box<Head>),
    /// Rows to send.
    Import {
        collection: String,
        rows: u64,
        envelope: Box<RawValue>,
    },
    /// Vertices to retire.
    RetireVertices {
        collection: String,
        natural_keys: bool,
        keys: Vec<String>,
    },
    /// Edges to retire.
    RetireEdges {
        collection: String,
        edges: Vec<(String, String)>,
    },
    /// Edges that are retired with their vertices.
    GoAlong { collection: String, rows: u64 },
    /// The last line.
    End { plan: Box<Plan>, hash: String },
}

/// Writes a plan, or only counts what it would cost.
pub(super) struct PlanWriter {
    path: PathBuf,
    file: Option<BufWriter<tempfile::NamedTempFile>>,
    hash: Xxh3,
    open: Option<OpenEnvelope>,
    cost: Cost,
}

struct OpenEnvelope {
    header: String,
    collection: String,
    rows: u64,
    body: String,
}

impl PlanWriter {
    /// Begins a plan; without a path it is only counted.
    pub(super) fn new(path: Option<&Path>) -> Result<Self, Failure> {
        let file = match path {
            Some(path) => {
                let folder = match path.parent() {
                    Some(folder) if !folder.as_os_str().is_empty() => folder,
                    _ => Path::new("."),
                };
                // Made with mode 0600, and removed unless it is kept.
                let file = tempfile::NamedTempFile::new_in(folder)
                    .map_err(|error| unwritable(path, error))?;
                Some(BufWriter::with_capacity(1 << 18, file))
            }
            None => None,
        };
        Ok(Self {
            path: path.map(Path::to_owned).unwrap_or_default(),
            file,
            hash: Xxh3::new(),
            open: None,
            cost: Cost::default(),
        })
    }

    /// Adds a row to send.
    pub(super) fn import(
        &mut self,
        header: &str,
        collection: &str,
        json: &str,
    ) -> Result<(), Failure> {
        if self.open.as_ref().is_some_and(|open| {
            open.header != header
                || open.collection != collection
                || open.rows >= MOST_ROWS
                || open.body.len().saturating_add(json.len()) > MOST_BYTES
        }) {
            self.close_envelope()?;
        }
        match &mut self.open {
            Some(open) => {
                open.body.push(',');
                open.body.push_str(json);
                open.rows = open.rows.saturating_add(1);
            }
            none => {
                *none = Some(OpenEnvelope {
                    header: header.to_owned(),
                    collection: collection.to_owned(),
                    rows: 1,
                    body: format!("{header},\"{collection}\":[{json}"),
                });
            }
        }
        Ok(())
    }

    /// Adds vertices to retire.
    pub(super) fn retire_vertices(
        &mut self,
        collection: &str,
        identity: Identity,
        keys: Vec<String>,
    ) -> Result<(), Failure> {
        if keys.is_empty() {
            return Ok(());
        }
        for _ in lists(&keys) {
            self.cost.add(0);
        }
        self.write(&Line::RetireVertices {
            collection: collection.to_owned(),
            natural_keys: identity == Identity::Key,
            keys,
        })
    }

    /// Adds edges to retire.
    pub(super) fn retire_edges(
        &mut self,
        collection: &str,
        edges: Vec<(String, String)>,
    ) -> Result<(), Failure> {
        if edges.is_empty() {
            return Ok(());
        }
        for _ in &edges {
            self.cost.add(0);
        }
        self.write(&Line::RetireEdges {
            collection: collection.to_owned(),
            edges,
        })
    }

    /// Adds a call besides rows and retirements.
    pub(super) fn call(&mut self, bytes: usize) {
        self.cost.add(bytes);
    }

    /// Adds a line.
    pub(super) fn write(&mut self, line: &Line) -> Result<(), Failure> {
        self.close_envelope()?;
        self.put(line)
    }

    /// Ends the rows and returns what importing the plan costs.
    pub(super) fn cost(&mut self) -> Result<Cost, Failure> {
        self.close_envelope()?;
        Ok(self.cost)
    }

    /// Ends the plan; only now the file gets its name.
    pub(super) fn end(mut self, plan: &Plan) -> Result<(), Failure> {
        self.close_envelope()?;
        let hash = format!("{:032x}", self.hash.digest128());
        self.write(&Line::End {
            plan: Box::new(plan.clone()),
            hash,
        })?;
        let Some(file) = self.file else {
            return Ok(());
        };
        let failed = |error| unwritable(&self.path, error);
        let file = file
            .into_inner()
            .map_err(|error| failed(error.into_error()))?;
        file.as_file().sync_all().map_err(failed)?;
        file.persist(&self.path)
            .map(drop)
            .map_err(|error| failed(error.error))
    }

    fn close_envelope(&mut self) -> Result<(), Failure> {
        let Some(mut open) = self.open.take() else {
            return Ok(());
        };
        open.body.push_str("]}");
        self.cost.add(open.body.len());
        let envelope = RawValue::from_string(open.body)
            .map_err(|error| unwritable(&self.path, error.into()))?;
        self.put(&Line::Import {
            collection: open.collection,
            rows: open.rows,
            envelope,
        })
    }

    fn put(&mut self, line: &Line) -> Result<(), Failure> {
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        let failed = |error| unwritable(&self.path, error);
        let mut text = serde_json::to_vec(line).map_err(|error| failed(error.into()))?;
        text.push(b'\n');
        self.hash.update(&text);
        file.write_all(&text).map_err(failed)
    }
}

/// A plan file that is whole.
#[derive(Debug)]
pub(super) struct PlanFile {
    pub(super) head: Head,
    pub(super) plan: Plan,
    path: PathBuf,
}

impl PlanFile {
    /// Reads a plan file through and checks that it is whole.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let mut lines = PlanLines::open(path)?;
        let head = match lines.next_line()? {
            Some(Line::Head(head)) if head.format == FORMAT => *head,
            Some(Line::Head(head)) => {
                return Err(unusable(path)
                    .because(format!("it has format {}, not {FORMAT}", head.format))
                    .hint("make the plan anew with this version of the connector"));
            }
            _ => return Err(unusable(path).because("it does not begin like one")),
        };
        loop {
            let so_far = format!("{:032x}", lines.hash.digest128());
            match lines.next_line()? {
                Some(Line::End { plan, hash }) if hash == so_far => {
                    return Ok(Self {
                        head,
                        plan: *plan,
                        path: path.to_owned(),
                    });
                }
                Some(Line::End { .. }) => {
                    return Err(unusable(path).because("it was changed after it was written"));
                }
                Some(_) => {}
                None => return Err(unusable(path).because("its end is missing")),
            }
        }
    }

    /// Returns the lines once more, after the head.
    pub(super) fn lines(&self) -> Result<PlanLines, Failure> {
        let mut lines = PlanLines::open(&self.path)?;
        lines.next_line()?;
        Ok(lines)
    }
}

/// Reads a plan file line by line.
pub(super) struct PlanLines {
    path: PathBuf,
    reader: BufReader<File>,
    hash: Xxh3,
    text: Vec<u8>,
}

impl PlanLines {
    fn open(path: &Path) -> Result<Self, Failure> {
        let file = File::open(path).map_err(|error| unusable(path).because(error))?;
        Ok(Self {
            path: path.to_owned(),
            reader: BufReader::with_capacity(1 << 18, file),
            hash: Xxh3::new(),
            text: Vec::new(),
        })
    }

    /// Returns the next line, `None` at the end of the file.
    pub(super) fn next_line(&mut self) -> Result<Option<Line>, Failure> {
        self.text.clear();
        let read = self
            .reader
            .read_until(b'\n', &mut self.text)
            .map_err(|error| unusable(&self.path).because(error))?;
        if read == 0 {
            return Ok(None);
        }
        self.hash.update(&self.text);
        serde_json::from_slice(&self.text)
            .map(Some)
            .map_err(|error| unusable(&self.path).because(error))
    }
}

fn unwritable(path: &Path, error: std::io::Error) -> Failure {
    Failure::new(FailureKind::General, "the plan file cannot be written")
        .with("file", path.display())
        .because(error)
        .hint("check `--out`: its folder must exist, be writable and have room")
}

fn unusable(path: &Path) -> Failure {
    Failure::new(
        FailureKind::InvalidParameter,
        "this is not a plan that can be imported",
    )
    .with("file", path.display())
}
