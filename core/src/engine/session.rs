//! How a full import begins: anew, or where an unfinished one stopped.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::fetch::Part;
use super::importer::Importer;
use crate::connector::{Connector, ModelState, Scope};
use crate::failure::{Effect, Failure};
use crate::handler::{DataHandler, Notes};
use crate::report::Mode;
use crate::state::{Begun, EdgeLog, Run, Start};

/// A full import whose session is open.
pub(super) struct Opened {
    /// State that the source was in when the import first began.
    pub(super) present: Option<ModelState>,
    /// What an earlier process left, if it did.
    run: Option<Run>,
    /// Where the edges wait; `None` when nobody could go on with the run.
    log: Option<EdgeLog>,
}

/// What a run notes with each checkpoint.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Progress {
    /// Whether the service knew the source before the run.
    source_known: bool,
    /// Rows that the service has acknowledged, by collection.
    sent: BTreeMap<String, u64>,
    /// What the handler counted.
    rows: Notes,
}

impl<C: Connector> Importer<C> {
    /// Records the run and opens its session; `present` is the state of the source now.
    pub(super) async fn open_full(
        &mut self,
        present: Option<ModelState>,
    ) -> Result<Opened, Failure> {
        let tells = self.features().await?.sweep_preview;
        let mut session = match tells && self.source_known && self.ledger.is_some() {
            true => self.session().await?,
            false => None,
        };
        let mut retry = self.options.retry_failed;
        loop {
            let start = Start {
                session: session.take(),
                retry,
                ..Start::new(Mode::Full, self.report.started_at, present.clone())
            };
            let mut opened = self.record(start, tells).await?;
            let stored = opened.run.as_ref().and_then(|run| run.session.clone());
            self.clear_save_point().await?;
            self.open_session(stored.is_some()).await?;
            if self.ledger.is_none() {
                return Ok(opened);
            }
            let now = if tells { self.session().await? } else { None };
            if now.is_none() {
                // No later process could tell whether the session is this one.
                opened.log = None;
            }
            let Some(ledger) = &mut self.ledger else {
                return Ok(opened);
            };
            if stored.is_some() && stored != now {
                let reason = "its session at the CAR service was closed meanwhile";
                ledger.give_up(reason.to_owned()).await?;
                retry = false;
                continue;
            }
            ledger.session(now.as_deref()).await?;
            return Ok(opened);
        }
    }

    /// Records the run in the state, or finds the one to go on with.
    async fn record(&mut self, start: Start, tells: bool) -> Result<Opened, Failure> {
        let mut opened = Opened {
            present: start.present_state.clone(),
            run: None,
            log: None,
        };
        let Some(ledger) = &mut self.ledger else {
            return Ok(opened);
        };
        let run = if tells {
            let (run, log) = ledger.open(&start).await?;
            opened.log = Some(log);
            run
        } else {
            ledger.begin(&start).await?
        };
        match &run.begun {
            Begun::New => {}
            Begun::StartedAnew { reason } => {
                let why = format!(
                    "{}; it does not go on from an unfinished one, because {reason}",
                    self.report.why
                );
                self.decided(Mode::Full, why);
            }
            Begun::Resumed { times } => {
                let complete = run.scopes.iter().filter(|scope| scope.complete).count();
                let pages: u64 = run.scopes.iter().map(|scope| scope.pages).sum();
                self.decided(
                    Mode::Full,
                    format!(
                        "an unfinished one goes on: {pages} pages and {complete} scopes are read"
                    ),
                );
                self.report.resumed = *times;
                self.report.report.clone_from(&run.report_key);
                self.header.key = Some(run.report_key.clone());
                #[expect(
                    clippy::cast_precision_loss,
                    reason = "times of this age are exact in 53 bits"
                )]
                let started_at = run.started_at as f64;
                self.header.timestamp = started_at;
                opened.present.clone_from(&run.present_state);
                opened.run = Some(run);
            }
        }
        Ok(opened)
    }

    /// Opens the session, or goes on with it. It counts as open from the call on, unless the
    /// service says that it is not: whoever stops the run now has to be told.
    async fn open_session(&mut self, resume: bool) -> Result<(), Failure> {
        self.report.session_open = true;
        let opened = self.car.open_session(&self.options.source, resume).await;
        if let Err(failure) = &opened
            && failure.effect() == Effect::NotApplied
        {
            self.report.session_open = false;
        }
        opened
    }

    /// Asks which session is open; none from a service that does not tell when it was opened.
    async fn session(&self) -> Result<Option<String>, Failure> {
        let preview = self.car.preview_sweep(&self.options.source).await?;
        Ok(preview
            .started_at
            .filter(|_| preview.open)
            .map(|time| time.to_string()))
    }

    /// Gives a handler what an earlier process left, and returns what is left to read.
    pub(super) async fn restore(
        &mut self,
        opened: Opened,
        scopes: &[Scope],
        handler: &mut DataHandler,
    ) -> Result<Vec<Part>, Failure> {
        let (edges_from, known, progress) = match opened.run {
            Some(run) => (run.edges_from, run.scopes, run.progress),
            None => (0, Vec::new(), None),
        };
        let settled: BTreeSet<String> = known
            .iter()
            .filter(|scope| scope.settled)
            .map(|scope| scope.name.clone())
            .collect();
        let mut parts = Vec::new();
        for (index, scope) in scopes.iter().enumerate() {
            let known = known.iter().find(|known| known.name == scope.name);
            if let (Some(known), Some(report)) = (known, self.report.scopes.get_mut(index)) {
                report.pages = known.pages;
                report.rows = known.rows;
                report.complete = known.complete;
            }
            if known.is_none_or(|known| !known.complete) {
                parts.push(Part {
                    index,
                    scope: scope.clone(),
                    cursor: known.and_then(|known| known.cursor.clone()),
                });
            }
        }
        if let Some(log) = opened.log {
            handler.log_edges(log, edges_from, settled.clone())?;
            self.checkpoints = true;
        }
        self.settled_before = settled;
        if let Some(progress) = progress {
            let progress: Progress = serde_json::from_str(&progress).unwrap_or_default();
            self.source_known = progress.source_known;
            self.delivery.restore(progress.sent);
            handler.restore(&progress.rows)?;
        }
        if self.checkpoints {
            self.record_pages(handler, &[]).await?;
        }
        Ok(parts)
    }

    /// Returns what to note with a checkpoint.
    pub(super) fn progress(&self, handler: &DataHandler) -> Result<String, Failure> {
        let progress = Progress {
            source_known: self.source_known,
            sent: self.delivery.acknowledged().clone(),
            rows: handler.notes(),
        };
        serde_json::to_string(&progress).map_err(|error| {
            Failure::new(
                crate::failure::FailureKind::General,
                "the run's notes cannot be written",
            )
            .because(error)
        })
    }
}
