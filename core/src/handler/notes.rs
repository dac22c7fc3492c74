//! What a handler has to know of the part of its run that an earlier process did.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::data_handler::DataHandler;
use super::edges::{Edges, Log, Waiting};
use crate::failure::Failure;
use crate::report::Counts;
use crate::state::EdgeLog;

/// Counts at a checkpoint.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Notes {
    emitted: u64,
    rejected: u64,
    nameless: bool,
    quarantine: Option<u64>,
    collections: BTreeMap<String, Counts>,
}

impl DataHandler {
    /// Lets edges wait in a log; what is in it already is sent too, except what stands before
    /// `edges_from` or belongs to the scopes in `settled`.
    ///
    /// # Errors
    ///
    /// When the log cannot be read.
    pub fn log_edges(
        &mut self,
        log: EdgeLog,
        edges_from: u64,
        settled: BTreeSet<String>,
    ) -> Result<(), Failure> {
        let (log, rejected) = Log::open(log, edges_from, settled)?;
        self.rejected_vertices = rejected.now;
        self.ever_rejected = rejected.ever;
        self.edges = Edges::Writing(Waiting::Log(Box::new(log)));
        Ok(())
    }

    /// Makes everything that was taken durable, as far as it is to be; returns the length of the
    /// edge log, 0 without one.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub async fn sync(&mut self) -> Result<u64, Failure> {
        self.quarantine.flush()?;
        match &mut self.edges {
            Edges::Writing(Waiting::Log(log)) => {
                let len = log.log.write_out()?;
                log.log.sync().await?;
                Ok(len)
            }
            _ => Ok(0),
        }
    }

    /// Returns what a later process has to know; after [`DataHandler::sync`].
    #[must_use]
    pub fn notes(&self) -> Notes {
        Notes {
            emitted: self.emitted,
            rejected: self.rejected,
            nameless: self.has_nameless_rejects(),
            quarantine: self.quarantine.len(),
            collections: self.counts(),
        }
    }

    /// Goes on from what an earlier process noted.
    ///
    /// # Errors
    ///
    /// When the quarantine of that process cannot be written.
    pub fn restore(&mut self, notes: &Notes) -> Result<(), Failure> {
        self.emitted = notes.emitted;
        self.rejected = notes.rejected;
        if notes.nameless {
            self.kept.nameless();
        }
        for (name, counts) in &notes.collections {
            let index = self.collection(name);
            if let Some(collection) = self.collections.get_mut(index) {
                collection.counts = *counts;
            }
        }
        match notes.quarantine {
            Some(len) => self.quarantine.resume(len),
            None => Ok(()),
        }
    }
}
