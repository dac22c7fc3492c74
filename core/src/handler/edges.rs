//! Where edges wait until the vertices are through.
//!
//! A run that nobody could resume keeps them in memory and, above a budget, in a file without a
//! name. A run with a state keeps them in its edge log, where a later process finds them again.

use std::collections::{BTreeSet, HashSet};

use super::spill::{Spill, SpillReader, SpilledEdge};
use crate::failure::Failure;
use crate::state::{EdgeLog, EdgeLogError, EdgeLogReader, Entry};

/// Edges on their way through a run.
pub(super) enum Edges {
    /// Vertices are still coming.
    Writing(Waiting),
    /// Edges are being sent; with the bytes that went to disk.
    Reading(Box<Reading>, u64),
    /// All are sent; with the bytes that went to disk.
    Over(u64),
}

/// Edges that wait.
pub(super) enum Waiting {
    Spill(Spill),
    Log(Box<Log>),
}

/// An edge log with what belongs to it.
pub(super) struct Log {
    pub(super) log: EdgeLog,
    /// The scope that the next edge would belong to.
    scope: Option<String>,
    /// Where the edges begin that are not settled.
    from: u64,
    /// Scopes whose edges are settled.
    settled: BTreeSet<String>,
    /// Whether edges of settled scopes may have been withheld.
    some_withheld: bool,
}

/// Rejected vertices in a log.
#[derive(Debug, Default)]
pub(super) struct Rejected {
    /// Those that nothing mended since.
    pub(super) now: HashSet<u64>,
    /// All of them.
    pub(super) ever: HashSet<u64>,
}

/// Edges that are read back.
pub(super) enum Reading {
    Spill(SpillReader, Option<SpilledEdge>),
    Log {
        reader: EdgeLogReader,
        scope: String,
        is_settled: bool,
        from: u64,
        settled: BTreeSet<String>,
        some_withheld: bool,
    },
}

/// A name, or the index of one.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which<'a> {
    Index(u16),
    Name(&'a str),
}

/// An edge that comes back.
pub(super) struct Edge<'a> {
    pub(super) collection: Which<'a>,
    pub(super) scope: Which<'a>,
    pub(super) has: [bool; 4],
    pub(super) ends: (u64, u64),
    pub(super) json: &'a [u8],
    /// Whether it is of a scope that is settled; it was sent unless it was withheld.
    pub(super) is_settled: bool,
}

/// What to do with the next entry of a log.
enum Next {
    Edge,
    Skip,
    End,
}

impl Log {
    /// Takes a log, and finds the vertices in it whose edges are withheld.
    pub(super) fn open(
        log: EdgeLog,
        from: u64,
        settled: BTreeSet<String>,
    ) -> Result<(Self, Rejected), EdgeLogError> {
        let mut rejected = Rejected::default();
        let mut reader = log.read()?;
        while let Some(entry) = reader.next()? {
            match entry {
                Entry::Vertex { id, rejected: true } => {
                    rejected.now.insert(id);
                    rejected.ever.insert(id);
                }
                Entry::Vertex { id, .. } => {
                    rejected.now.remove(&id);
                }
                Entry::Edge { .. } | Entry::Scope { .. } => {}
            }
        }
        let this = Self {
            log,
            scope: None,
            from,
            settled,
            some_withheld: !rejected.ever.is_empty(),
        };
        Ok((this, rejected))
    }

    /// Adds an edge of a scope, `""` for none.
    pub(super) fn push(&mut self, scope: &str, edge: Entry<'_>) -> Result<(), Failure> {
        if self.scope.as_deref() != Some(scope) {
            self.log.add(Entry::Scope { name: scope })?;
            self.scope = Some(scope.to_owned());
        }
        Ok(self.log.add(edge)?)
    }
}

impl Waiting {
    /// Ends writing.
    pub(super) fn read(self) -> Result<(Reading, u64), Failure> {
        match self {
            Self::Spill(spill) => {
                let written = spill.written();
                Ok((Reading::Spill(spill.read()?, None), written))
            }
            Self::Log(mut log) => {
                let written = log.log.write_out()?;
                let reading = Reading::Log {
                    reader: log.log.read()?,
                    scope: String::new(),
                    is_settled: false,
                    from: log.from,
                    settled: log.settled,
                    some_withheld: log.some_withheld,
                };
                Ok((reading, written))
            }
        }
    }

    /// Returns the bytes that went to disk.
    pub(super) fn written(&self) -> u64 {
        match self {
            Self::Spill(spill) => spill.written(),
            Self::Log(log) => log.log.len(),
        }
    }
}

impl Reading {
    /// Returns the next edge, `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<Edge<'_>>, Failure> {
        match self {
            Self::Spill(reader, current) => {
                *current = reader.next()?;
                Ok(current.as_ref().map(|edge| Edge {
                    collection: Which::Index(edge.collection),
                    scope: Which::Index(edge.scope),
                    has: edge.has,
                    ends: (edge.from, edge.to),
                    json: &edge.json,
                    is_settled: false,
                }))
            }
            Self::Log {
                reader,
                scope,
                is_settled,
                from,
                settled,
                some_withheld,
            } => {
                loop {
                    let next = match reader.next()? {
                        None => Next::End,
                        Some(Entry::Scope { name }) => {
                            name.clone_into(scope);
                            *is_settled = settled.contains(name);
                            Next::Skip
                        }
                        Some(Entry::Vertex { .. }) => Next::Skip,
                        Some(Entry::Edge { .. }) if *is_settled && !*some_withheld => Next::Skip,
                        Some(Entry::Edge { .. }) => Next::Edge,
                    };
                    match next {
                        Next::End => return Ok(None),
                        Next::Edge if *is_settled || reader.position() > *from => break,
                        Next::Edge | Next::Skip => {}
                    }
                }
                let Some(Entry::Edge {
                    collection,
                    has,
                    from,
                    to,
                    json,
                }) = reader.current()?
                else {
                    return Ok(None);
                };
                Ok(Some(Edge {
                    collection: Which::Name(collection),
                    scope: Which::Name(scope),
                    has,
                    ends: (from, to),
                    json,
                    is_settled: *is_settled,
                }))
            }
        }
    }
}
