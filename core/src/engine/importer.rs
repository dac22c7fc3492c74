//! One run: its state, its phases, its beginning and its end.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use car_schema::wire::Features;
use car_schema::{Model, Report};
use tokio_util::sync::CancellationToken;

use super::changed::{ChangedOnly, Sieve};
use super::choose::{Situation, choose};
use super::delivery::Delivery;
use super::ledger::Ledger;
use super::phase::{Phase, Step};
use super::save_point::SavePoint;
use super::{Options, about};
use crate::car::{CarClient, DatabaseState};
use crate::connector::{About, Connector, ModelState};
use crate::failure::{Failure, FailureKind};
use crate::handler::{self, Awaited, DataHandler, Header, Validator};
use crate::layer::or_cancelled;
use crate::progress::{Event, Reporter};
use crate::report::{Mode, Outcome, RunReport};

/// One run.
pub(super) struct Importer<C> {
    pub(super) connector: Arc<C>,
    pub(super) about: About,
    pub(super) options: Options,
    pub(super) car: CarClient,
    pub(super) reporter: Arc<dyn Reporter>,
    pub(super) cancel: CancellationToken,
    pub(super) delivery: Delivery,
    pub(super) report: RunReport,
    /// Whether the service knew the source before this run.
    pub(super) source_known: bool,
    /// What the service can do beyond the old protocol, once it was asked.
    pub(super) features: Option<Features>,
    /// What is recorded of the run, when there is a state to record it in.
    pub(super) ledger: Option<Ledger>,
    /// Whether pages are recorded as they are acknowledged.
    pub(super) checkpoints: bool,
    /// The scopes that an earlier session of the run settled.
    pub(super) settled_before: BTreeSet<String>,
    /// The scopes that were settled, when others were not.
    pub(super) settled: Option<BTreeSet<String>>,
    /// What the rows are reported under.
    pub(super) header: Report,
    pub(super) phase: Phase,
    pub(super) phase_began: Instant,
    pub(super) began: Instant,
}

impl<C: Connector> Importer<C> {
    pub(super) fn new(
        connector: Arc<C>,
        options: Options,
        car: CarClient,
        reporter: Arc<dyn Reporter>,
        cancel: CancellationToken,
    ) -> Self {
        let about = C::about();
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let started_at = u64::try_from(now.as_millis()).unwrap_or(u64::MAX);
        let header = about::report(&about, started_at);
        let report = RunReport {
            report: started_at.to_string(),
            ..RunReport::begun(&about, &options.source, started_at)
        };
        Self {
            delivery: Delivery::new(car.clone(), Arc::clone(&reporter), options.sends),
            connector,
            about,
            options,
            car,
            reporter,
            cancel,
            report,
            source_known: false,
            features: None,
            ledger: None,
            checkpoints: false,
            settled_before: BTreeSet::new(),
            settled: None,
            header,
            phase: Phase::Opening,
            phase_began: Instant::now(),
            began: Instant::now(),
        }
    }

    /// Takes the lease of the source, where there is a state; returns the token that is cancelled
    /// when it is lost.
    pub(super) async fn acquire(&mut self) -> Result<CancellationToken, Failure> {
        about::check_source(&self.options.source)?;
        let Some(state) = &self.options.state else {
            if self.options.retry_failed {
                return Err(Failure::new(
                    FailureKind::InvalidParameter,
                    "`--retry-failed` needs the state of the last run",
                )
                .hint("`--state FILE` (`CAR_STATE`) names the file that the last run wrote"));
            }
            return Ok(CancellationToken::new());
        };
        let ledger = Ledger::acquire(state, &self.options.source, &self.about).await?;
        let lost = ledger.lost();
        self.ledger = Some(ledger);
        Ok(lost)
    }

    /// Gives up everything at once, because another run has taken over.
    pub(super) fn take_over(&mut self) -> Failure {
        self.delivery.forget();
        match &self.ledger {
            Some(ledger) => ledger.why_lost(),
            None => Failure::new(FailureKind::General, "another run has taken over"),
        }
    }

    /// Carries out the run.
    pub(super) async fn import(&mut self) -> Result<Outcome, Failure> {
        self.reporter.report(&Event::Phase(self.phase));
        about::bring_extension(&self.car, self.about.extension.as_ref()).await?;
        let database = self.car.prepare_database().await?;
        let source = self.car.source(&self.options.source).await?;
        self.source_known = source.known;
        self.features().await?;
        let save_point = source.save_point.as_deref().map(SavePoint::read);
        let since = save_point
            .as_ref()
            .map(|save_point| save_point.state.clone());
        self.report.save_point.clone_from(&since);
        if database == DatabaseState::Created {
            // The graph is empty: whatever happens next, no later run may start from there.
            self.clear_save_point().await?;
        }
        let present = self.present_state().await?;
        let (mode, why) = choose(&Situation {
            // What failed is part of a full import.
            forced: self.options.force_full || self.options.retry_failed,
            incremental: self.about.incremental,
            database,
            save_point: since.as_deref(),
            present: present.as_ref().map(|state| state.0.as_str()),
        });
        self.decided(mode, why.to_owned());
        self.step(Step::Chosen(mode))?;
        match (mode, save_point, present) {
            (Mode::Incremental, Some(since), Some(until)) => self.incremental(since, until).await,
            (_, _, present) => self.full(present).await,
        }
    }

    /// Clears the save point, if there is one.
    pub(super) async fn clear_save_point(&mut self) -> Result<(), Failure> {
        if self.report.save_point.is_some() {
            self.car.set_save_point(&self.options.source, None).await?;
            self.report.save_point = None;
        }
        Ok(())
    }

    /// Records a step and enters the next phase, unless the run was asked to stop.
    pub(super) fn step(&mut self, step: Step) -> Result<(), Failure> {
        let next = self.phase.after(step).map_err(|error| {
            Failure::new(FailureKind::General, "the engine is out of step").because(error)
        })?;
        self.note_phase_time();
        self.phase = next;
        self.reporter.report(&Event::Phase(next));
        match next {
            // What is settled is worth its save point, which takes one call.
            Phase::Saving | Phase::Done => Ok(()),
            _ => self.check_cancelled(),
        }
    }

    /// Records the mode of the run.
    pub(super) fn decided(&mut self, mode: Mode, why: String) {
        self.reporter.report(&Event::Decided {
            mode,
            why: why.clone(),
        });
        self.report.mode = Some(mode);
        self.report.why = why;
    }

    /// Fails when the run was asked to stop.
    pub(super) fn check_cancelled(&self) -> Result<(), Failure> {
        if self.cancel.is_cancelled() {
            return Err(Failure::new(
                FailureKind::Interrupted,
                "stopped by a signal",
            ));
        }
        Ok(())
    }

    /// Returns what the service can do beyond the old protocol.
    pub(super) async fn features(&mut self) -> Result<Features, Failure> {
        match self.features {
            Some(features) => Ok(features),
            None => Ok(*self.features.insert(self.car.features().await?)),
        }
    }

    /// Makes the source and the report known, and a handler for the rows.
    pub(super) async fn handler(&mut self) -> Result<DataHandler, Failure> {
        let validator = Validator::compile(&self.car.import_schema().await?)?;
        let source = about::source(&self.about, &self.options.source);
        let mut header = Header::new(&source, &self.header)?;
        let features = self.car.features().await?;
        if features.content_hashes {
            header.say_once();
            let known = self.source_known && self.report.mode == Some(Mode::Full);
            if match self.options.changed_only {
                ChangedOnly::Auto => known,
                ChangedOnly::Never => false,
                ChangedOnly::Always => true,
            } {
                self.delivery.only_changed(Sieve::new(self.model()?));
            }
        }
        self.delivery.send_header(header.empty_envelope()).await?;
        self.delivery.barrier(&self.cancel).await?;
        let options = handler::Options {
            rows_per_batch: self.options.page_rows,
            memory_budget: self.options.memory_budget,
            spill_folder: self.options.spill_folder.clone(),
            keep_spill: self.options.keep_spill,
            quarantine: self.options.quarantine.clone(),
            deltas: self.report.mode == Some(Mode::Incremental),
            scopes: self.report.mode == Some(Mode::Full)
                && self.features.is_some_and(|features| features.scopes),
        };
        Ok(DataHandler::new(header, self.model()?, validator, options))
    }

    /// Returns the core model with what this connector adds.
    pub(super) fn model(&self) -> Result<Model, Failure> {
        about::model(&self.about)
    }

    /// Sends what the handler gives out, until every vertex that was taken is acknowledged.
    pub(super) async fn vertices_through(
        &mut self,
        handler: &mut DataHandler,
    ) -> Result<(), Failure> {
        for batches in [DataHandler::flush, DataHandler::take_repeated] {
            self.send_all(batches(handler)).await?;
            self.delivery.barrier(&self.cancel).await?;
        }
        Ok(())
    }

    /// Sends the edges that the handler put aside, until every one is acknowledged.
    async fn send_edges(&mut self, handler: &mut DataHandler) -> Result<(), Failure> {
        handler.start_edges()?;
        while handler.has_edges() {
            while let Some(batch) = handler.next_edges()? {
                self.check_cancelled()?;
                self.delivery.send(batch).await?;
            }
            self.vertices_through(handler).await?;
        }
        self.note_handler(handler)
    }

    /// Goes on from vertices that are acknowledged to edges that are.
    pub(super) async fn edges_through(&mut self, handler: &mut DataHandler) -> Result<(), Failure> {
        self.check_rejects(handler)?;
        self.step(Step::VerticesAcknowledged)?;
        let sent = self.send_edges(handler).await;
        // Noted whatever came of it, but what stopped the sending decides the exit code.
        let noted = self.note_handler(handler);
        sent?;
        noted?;
        self.step(Step::EdgesAcknowledged)
    }

    /// Writes the save point, the last step of a run.
    pub(super) async fn save(
        &mut self,
        state: &ModelState,
        awaited: Awaited,
    ) -> Result<(), Failure> {
        let waiting = awaited.len();
        let save_point = SavePoint {
            state: state.0.clone(),
            awaited,
        };
        match save_point.write() {
            Some(text) => {
                self.car
                    .set_save_point(&self.options.source, Some(&text))
                    .await?;
                self.report.save_point = Some(save_point.state);
            }
            None => tracing::warn!(
                vertices = waiting,
                "the save point stays as it is, because edges wait for too many rejected vertices; \
                 mend the rows in the quarantine"
            ),
        }
        self.step(Step::Saved)
    }

    pub(super) async fn send_all(
        &mut self,
        batches: Vec<crate::handler::Batch>,
    ) -> Result<(), Failure> {
        for batch in batches {
            self.delivery.send(batch).await?;
        }
        Ok(())
    }

    /// Fails when more rows were rejected than the user allows.
    fn check_rejects(&self, handler: &DataHandler) -> Result<(), Failure> {
        let (emitted, rejected) = handler.rejects();
        if self.options.max_rejects.allows(rejected, emitted) {
            return Ok(());
        }
        Err(Failure::new(
            FailureKind::SourceData,
            format!("{rejected} of {emitted} rows are not what the model asks for"),
        )
        .with("allowed", self.options.max_rejects)
        .hint(format!(
            "the rows and the reasons are in `{}`",
            self.options.quarantine.display()
        ))
        .hint("`--max-rejects` sets the share, or the number, with which a run may go on"))
    }

    /// Copies the handler's counts into the report.
    pub(super) fn note_handler(&mut self, handler: &mut DataHandler) -> Result<(), Failure> {
        for (collection, counts) in handler.counts() {
            let known = self.report.collections.entry(collection).or_default();
            let retired = known.retired;
            *known = counts;
            known.retired = retired;
        }
        self.report.spilled_bytes = handler.spilled();
        self.report.quarantine = handler
            .quarantine()?
            .path()
            .map(|path| path.display().to_string());
        Ok(())
    }

    async fn present_state(&mut self) -> Result<Option<ModelState>, Failure> {
        let connector = Arc::clone(&self.connector);
        let Some(incremental) = connector.incremental_import() else {
            return Ok(None);
        };
        self.ask_source("model state", || incremental.model_state())
            .await
    }

    /// Asks the source, and again as its failures and the options say.
    pub(super) async fn ask_source<T, F>(
        &mut self,
        what: &str,
        mut attempt: impl FnMut() -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let cancel = self.cancel.clone();
        let attempt = || or_cancelled(&cancel, attempt());
        let reporter = Arc::clone(&self.reporter);
        let (mut retries, mut waited) = (0_u64, 0_u64);
        let result = self
            .options
            .source_backoff
            .retry(&self.cancel, attempt, |wait| {
                retries = retries.saturating_add(1);
                waited =
                    waited.saturating_add(wait.wait.as_millis().try_into().unwrap_or(u64::MAX));
                reporter.report(&Event::Waiting {
                    call: what.to_owned(),
                    attempt: wait.attempt,
                    wait: wait.wait,
                    error: wait.failure.chain(),
                });
            })
            .await;
        self.report.source_retries = self.report.source_retries.saturating_add(retries);
        self.report.waited_ms = self.report.waited_ms.saturating_add(waited);
        result.map_err(|failure| failure.wrap(format!("reading the source's {what} failed")))
    }
}
