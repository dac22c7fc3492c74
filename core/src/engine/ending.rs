//! The end of a run: what it says, what it leaves behind, and what the report tells.

use std::time::Instant;

use serde_json::Value;

use super::importer::Importer;
use super::phase::Phase;
use crate::car::CallStats;
use crate::connector::Connector;
use crate::engine::Run;
use crate::exit;
use crate::failure::{Failure, FailureKind};
use crate::report::{Outcome, RunReport};
use crate::secret::Redactor;

impl<C: Connector> Importer<C> {
    /// Ends the run: clears the save point where it must not be used, and completes the report.
    pub(super) async fn finish(mut self, result: Result<Outcome, Failure>) -> Run {
        self.note_phase_time();
        let failure = match result {
            Ok(outcome) => {
                self.report.outcome = outcome;
                self.report.exit_code = exit::SUCCESS;
                None
            }
            Err(error) => {
                let failure = self.clear_saved_state(self.explain(error)).await;
                self.report.fail(&failure);
                Some(failure)
            }
        };
        for (collection, rows) in self.delivery.acknowledged() {
            let skipped = self.delivery.skipped().get(collection).copied();
            let counts = self.report.collections.entry(collection.clone());
            let counts = counts.or_default();
            counts.skipped = skipped.unwrap_or_default();
            counts.sent = rows.saturating_sub(counts.skipped);
        }
        note_calls(&mut self.report, self.car.stats());
        self.report.duration_ms = milliseconds(self.began);
        let document = document(&self.report, &self.options.redactor);
        if let Some(ledger) = self.ledger.take() {
            let settled = self.settled.take();
            ledger
                .end(&self.report, &document, failure.as_ref(), settled)
                .await;
        }
        let takes_reports = self.features.is_some_and(|features| features.run_reports);
        if takes_reports && !self.cancel.is_cancelled() {
            self.car.report_run(&self.options.source, &document).await;
        }
        Run {
            report: self.report,
            failure,
        }
    }

    /// Says where the run stopped and what that means for the graph.
    fn explain(&self, failure: Failure) -> Failure {
        let failure = match (failure.kind(), self.phase) {
            (FailureKind::Partial | FailureKind::Held, _) | (_, Phase::Opening) => failure,
            (_, phase) => failure.wrap(format!("import stopped in phase {}", phase.as_str())),
        };
        if self.report.session_open {
            let source = &self.options.source;
            return failure.hint(match self.phase {
                Phase::Settling => format!(
                    "the full-import session of `{source}` may be open still; the next run settles it"
                ),
                _ => format!(
                    "nothing was retired: the full-import session of `{source}` is still open, and the next run settles it"
                ),
            });
        }
        match &self.report.save_point {
            Some(state) if !exit::clears_saved_state(failure.kind()) => failure.hint(format!(
                "the save point stays; the next run starts from `{state}`"
            )),
            _ => failure,
        }
    }

    /// Clears the save point after a failure that leaves a gap. The failure stays the same
    /// whatever comes of it: it decides the exit code.
    async fn clear_saved_state(&mut self, failure: Failure) -> Failure {
        if !exit::clears_saved_state(failure.kind()) || self.report.save_point.is_none() {
            return failure;
        }
        match self.car.set_save_point(&self.options.source, None).await {
            Ok(()) => {
                self.report.save_point = None;
                failure.hint("the save point is cleared; the next run is a full import")
            }
            Err(error) => failure.hint(format!(
                "the save point could not be cleared ({}); run with `--full` next",
                error.chain().join(": ")
            )),
        }
    }

    /// Adds the time since the last call to the present phase.
    pub(super) fn note_phase_time(&mut self) {
        let time = self
            .report
            .phases
            .entry(self.phase.as_str().to_owned())
            .or_default();
        *time = time.saturating_add(milliseconds(self.phase_began));
        self.phase_began = Instant::now();
    }
}

/// Returns a report as others get it: without secrets.
pub(super) fn document(report: &RunReport, redactor: &Redactor) -> Value {
    let mut document = serde_json::to_value(report).unwrap_or_default();
    redactor.redact_json(&mut document);
    document
}

/// Completes a report with what the calls cost.
pub(super) fn note_calls(report: &mut RunReport, stats: &CallStats) {
    report.calls = stats.calls();
    report.retries = stats.retries();
    report.bytes_sent = stats.bytes_sent();
    report.waited_ms = report.waited_ms.saturating_add(stats.waited_ms());
    report.peak_memory_bytes = peak_memory();
}

pub(super) fn milliseconds(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// Returns the largest resident memory of this process so far, where the system tells.
fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}
