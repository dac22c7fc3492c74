//! The incremental import.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::fetch::Followed;
use super::importer::Importer;
use super::phase::Step;
use super::retire::{self, Retires};
use super::save_point::SavePoint;
use crate::connector::{Connector, Cursor, Delta, IncrementalImport, ModelState};
use crate::failure::{Failure, FailureKind};
use crate::handler::DataHandler;
use crate::progress::Event;
use crate::record::{Deletion, Whole};
use crate::report::{Mode, Outcome};
use crate::state::Start;

/// What a delta came to.
enum Changes {
    Read(BTreeSet<Deletion>, BTreeSet<Whole>),
    NotPossible(String),
}

impl<C: Connector> Importer<C> {
    /// Imports what changed from one state to another; a full import if that cannot be told.
    pub(super) async fn incremental(
        &mut self,
        since: SavePoint,
        until: ModelState,
    ) -> Result<Outcome, Failure> {
        let SavePoint { state, awaited } = since;
        let since = ModelState(state);
        let connector = Arc::clone(&self.connector);
        let Some(source) = connector.incremental_import() else {
            return Err(Failure::new(
                FailureKind::General,
                "the connector declares an incremental import and has none",
            ));
        };
        if let Some(ledger) = &mut self.ledger {
            let start = Start::new(
                Mode::Incremental,
                self.report.started_at,
                Some(until.clone()),
            );
            ledger.begin(&start).await?;
        }
        if since == until {
            for step in [
                Step::VerticesAcknowledged,
                Step::EdgesAcknowledged,
                Step::Settled,
            ] {
                self.step(step)?;
            }
            self.save(&until, awaited).await?;
            return Ok(Outcome::Unchanged);
        }
        let mut handler = self.handler().await?;
        handler.wait_for(awaited);
        let read = self.read_delta(source, &since, &until, &mut handler).await;
        // Noted whatever came of it, but what stopped the reading decides the exit code.
        let noted = self.note_handler(&mut handler);
        let read = read?;
        noted?;
        let (mut deletions, wholes) = match read {
            Changes::Read(deletions, wholes) => (deletions, wholes),
            Changes::NotPossible(reason) => {
                let why = format!("the source cannot tell what changed: {reason}");
                return self
                    .full_instead(handler, Step::DeltaNotPossible, why, until)
                    .await;
            }
        };
        self.edges_through(&mut handler).await?;
        let mended = handler.mended_without_edges();
        if mended > 0 {
            let why = format!(
                "{mended} rows that were rejected came right, and links to them are not among the changes"
            );
            return self
                .full_instead(handler, Step::DeltaNotEnough, why, until)
                .await;
        }
        let (unrepeated, beside) = self.unrepeated(&wholes, &handler).await?;
        deletions.extend(unrepeated);
        deletions.retain(|deletion| !handler.was_emitted(deletion));
        self.retire(deletions.iter().cloned()).await?;
        let awaited = handler.awaited_after_delta(&deletions);
        self.retire_orphans(beside, source.dependents(), deletions, &handler)
            .await?;
        self.step(Step::Settled)?;
        self.save(&until, awaited).await?;
        Ok(Outcome::Complete)
    }

    /// Gives the delta up for a full import.
    async fn full_instead(
        &mut self,
        handler: DataHandler,
        step: Step,
        why: String,
        until: ModelState,
    ) -> Result<Outcome, Failure> {
        drop(handler);
        self.delivery.barrier(&self.cancel).await?;
        self.delivery.forget();
        self.report.collections.clear();
        if let Some(ledger) = &mut self.ledger {
            ledger.give_up(why.clone()).await?;
        }
        self.decided(Mode::Full, why);
        self.step(step)?;
        self.full(Some(until)).await
    }

    /// Reads the pages of a delta and sends their vertices, until every one is acknowledged.
    async fn read_delta(
        &mut self,
        source: &dyn IncrementalImport,
        since: &ModelState,
        until: &ModelState,
        handler: &mut DataHandler,
    ) -> Result<Changes, Failure> {
        let (mut deletions, mut wholes) = (BTreeSet::new(), BTreeSet::new());
        let mut cursor: Option<Cursor> = None;
        let mut followed = Followed::default();
        loop {
            self.check_cancelled()?;
            let page = match self
                .ask_source("delta", || source.delta(since, until, cursor.as_ref()))
                .await?
            {
                Delta::Page(page) => page,
                Delta::NotPossible { reason } => return Ok(Changes::NotPossible(reason)),
            };
            self.report.pages = self.report.pages.saturating_add(1);
            let rows = page.records.len() as u64;
            let batches = handler.take("delta", &page.records)?;
            self.reporter.report(&Event::Page {
                scope: "delta".to_owned(),
                rows,
            });
            self.send_all(batches).await?;
            if handler.needs_barrier() {
                self.vertices_through(handler).await?;
            }
            deletions.extend(page.records.deletions().iter().cloned());
            wholes.extend(page.records.wholes().iter().cloned());
            match page.next {
                None => break,
                Some(next) => cursor = Some(followed.follow(next)?),
            }
        }
        self.vertices_through(handler).await?;
        Ok(Changes::Read(deletions, wholes))
    }

    /// Retires what is gone: edges first, because those of a vertex go with it.
    pub(super) async fn retire(
        &mut self,
        deletions: impl Iterator<Item = Deletion>,
    ) -> Result<(), Failure> {
        let (car, model) = (self.car.clone(), self.model()?);
        let source = self.options.source.clone();
        retire::retire(&car, &source, &model, deletions, self).await
    }

    pub(super) fn count_retired(&mut self, collection: &str, rows: u64) {
        let counts = self
            .report
            .collections
            .entry(collection.to_owned())
            .or_default();
        counts.retired = counts.retired.saturating_add(rows);
    }
}

impl<C: Connector> Retires for Importer<C> {
    fn check(&self) -> Result<(), Failure> {
        self.check_cancelled()
    }

    fn retired(&mut self, collection: &str, rows: u64) {
        self.count_retired(collection, rows);
    }
}
