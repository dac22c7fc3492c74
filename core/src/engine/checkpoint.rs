//! Checkpoints: pages of which everything is acknowledged are recorded, several at a time.
//!
//! A run that was never stopped records a group of pages at once. One that goes on from an
//! earlier process records each page by itself at first, and reads no further before it has: so
//! many pages that the earlier process may have read without recording them. However often a run
//! is stopped between two pages, it reads each page at most twice.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::sync::mpsc::Receiver;
use tokio::sync::mpsc::error::TryRecvError;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout, timeout_at};

use super::fetch::{Fetched, WAITING_PAGES};
use super::importer::Importer;
use crate::connector::{Connector, Cursor};
use crate::failure::Failure;
use crate::handler::DataHandler;
use crate::state::{Advance, To};

/// Most pages in a group.
const GROUP: u64 = 16;

/// Longest time that a page waits for others to be recorded with it.
const EVERY: Duration = Duration::from_secs(1);

/// How long recording the last pages may take once a signal came.
const LAST: Duration = Duration::from_secs(5);

/// Pages of each scope that are recorded one by one after a run was stopped: a group, and those
/// that were on their way into it.
pub(super) const CAREFUL: u64 = GROUP + WAITING_PAGES as u64 + 2;

/// Pages that are taken and not recorded yet.
pub(super) struct Pending {
    scopes: BTreeMap<usize, Advance>,
    pages: u64,
    waiting: Vec<oneshot::Sender<()>>,
    since: Instant,
}

/// What comes next.
pub(super) enum Next {
    Fetched(Box<Fetched>),
    Checkpoint,
    End,
}

impl Pending {
    pub(super) fn new() -> Self {
        Self {
            scopes: BTreeMap::new(),
            pages: 0,
            waiting: Vec::new(),
            since: Instant::now(),
        }
    }

    /// Adds a page of a scope that was taken.
    pub(super) fn add(
        &mut self,
        (scope, name): (usize, &str),
        from: Option<Cursor>,
        to: To,
        rows: u64,
    ) {
        if self.pages == 0 {
            self.since = Instant::now();
        }
        self.pages = self.pages.saturating_add(1);
        let advance = self.scopes.entry(scope).or_insert_with(|| Advance {
            scope: name.to_owned(),
            from,
            to: To::End,
            pages: 0,
            rows: 0,
        });
        advance.to = to;
        advance.pages = advance.pages.saturating_add(1);
        advance.rows = advance.rows.saturating_add(rows);
    }

    /// Notes a reader that waits until its page is recorded.
    pub(super) fn wait(&mut self, reader: oneshot::Sender<()>) {
        self.waiting.push(reader);
    }

    /// Waits for what comes next.
    pub(super) async fn next(&self, pages: &mut Receiver<Fetched>) -> Next {
        if self.pages >= GROUP {
            return Next::Checkpoint;
        }
        if !self.waiting.is_empty() {
            return match pages.try_recv() {
                Ok(fetched) => Next::Fetched(Box::new(fetched)),
                Err(TryRecvError::Empty) => Next::Checkpoint,
                Err(TryRecvError::Disconnected) => Next::End,
            };
        }
        let next = if self.pages == 0 {
            Ok(pages.recv().await)
        } else {
            timeout_at(self.since + EVERY, pages.recv()).await
        };
        match next {
            Ok(Some(fetched)) => Next::Fetched(Box::new(fetched)),
            Ok(None) => Next::End,
            Err(_) => Next::Checkpoint,
        }
    }
}

impl<C: Connector> Importer<C> {
    /// Records the pages that were taken, once everything of them is acknowledged.
    pub(super) async fn checkpoint(
        &mut self,
        handler: &mut DataHandler,
        pending: &mut Pending,
    ) -> Result<(), Failure> {
        self.vertices_through(handler).await?;
        let done = std::mem::replace(pending, Pending::new());
        if self.checkpoints && done.pages > 0 {
            self.keep_names(handler).await?;
            let advances: Vec<Advance> = done.scopes.into_values().collect();
            self.record_pages(handler, &advances).await?;
        }
        for reader in done.waiting {
            if reader.send(()).is_err() {
                tracing::debug!("a reader ended before its page was recorded");
            }
        }
        Ok(())
    }

    /// Records the pages that were taken until a signal came, if that does not take long.
    pub(super) async fn last_checkpoint(&mut self, handler: &mut DataHandler, pending: Pending) {
        if !self.checkpoints || pending.pages == 0 {
            return;
        }
        let last = async {
            for batches in [DataHandler::flush, DataHandler::take_repeated] {
                self.send_all(batches(handler)).await?;
                self.delivery.last_barrier().await?;
            }
            self.keep_names(handler).await?;
            let advances: Vec<Advance> = pending.scopes.into_values().collect();
            self.record_pages(handler, &advances).await
        };
        match timeout(LAST, last).await {
            Ok(Ok(())) => {}
            Ok(Err(failure)) => tracing::debug!(
                error = failure.chain().join(": "),
                "the last pages could not be recorded; the next run reads them again"
            ),
            Err(_) => tracing::debug!(
                "the last pages could not be recorded in time; the next run reads them again"
            ),
        }
    }

    /// Makes the edges of pages durable, and then records the pages.
    pub(super) async fn record_pages(
        &mut self,
        handler: &mut DataHandler,
        advances: &[Advance],
    ) -> Result<(), Failure> {
        let len = handler.sync().await?;
        let progress = self.progress(handler)?;
        match &self.ledger {
            Some(ledger) => ledger.checkpoint(advances, len, &progress).await,
            None => Ok(()),
        }
    }
}
