//! The full import.

use std::sync::Arc;

use super::checkpoint::{CAREFUL, Next, Pending};
use super::fetch::{self, Fetched, Pace, Part};
use super::importer::Importer;
use super::phase::Step;
use crate::connector::{Connector, ModelState, Scope};
use crate::failure::{Failure, FailureKind};
use crate::handler::DataHandler;
use crate::progress::Event;
use crate::report::{Outcome, ScopeReport};

impl<C: Connector> Importer<C> {
    /// Imports everything; `present` becomes the save point.
    pub(super) async fn full(&mut self, present: Option<ModelState>) -> Result<Outcome, Failure> {
        // Everything that can fail without the service comes before the save point is cleared.
        let scopes = self.scopes().await?;
        let opened = self.open_full(present).await?;
        let present = opened.present.clone();
        self.step(Step::SessionOpened)?;

        let mut handler = self.handler().await?;
        let parts = self.restore(opened, &scopes, &mut handler).await?;
        let read = self.read(&scopes, parts, &mut handler).await;
        // Noted whatever came of it, but what stopped the reading decides the exit code.
        let noted = self.note_handler(&mut handler);
        let failures = read?;
        noted?;
        self.edges_through(&mut handler).await?;

        self.settle(&scopes, failures, &mut handler).await?;
        self.step(Step::Settled)?;
        match present {
            Some(state) => {
                let kept = self.source_known || self.report.resumed > 0;
                self.save(&state, handler.awaited_after_full(kept)).await?;
            }
            None => self.step(Step::Saved)?,
        }
        Ok(Outcome::Complete)
    }

    async fn scopes(&mut self) -> Result<Vec<Scope>, Failure> {
        let connector = Arc::clone(&self.connector);
        let scopes = self
            .ask_source("scopes", || connector.full_import().scopes())
            .await?;
        let mut names: Vec<&str> = scopes.iter().map(|scope| scope.name.as_str()).collect();
        names.sort_unstable();
        if let Some([name, _]) = names.windows(2).find(|pair| pair.first() == pair.last()) {
            return Err(
                Failure::new(FailureKind::General, "the connector lists a scope twice")
                    .with("scope", name),
            );
        }
        self.reporter.report(&Event::Scopes(
            scopes.iter().map(|scope| scope.name.clone()).collect(),
        ));
        self.report.scopes = scopes
            .iter()
            .map(|scope| ScopeReport {
                name: scope.name.clone(),
                ..ScopeReport::default()
            })
            .collect();
        Ok(scopes)
    }

    /// Reads what is left of the scopes and sends its vertices, until every one is acknowledged.
    /// Returns what failed, by position of the scope.
    async fn read(
        &mut self,
        scopes: &[Scope],
        parts: Vec<Part>,
        handler: &mut DataHandler,
    ) -> Result<Vec<(usize, Failure)>, Failure> {
        let begun = parts.len();
        let pace = Pace {
            concurrency: self.options.concurrency,
            backoff: self.options.source_backoff,
            careful: match self.checkpoints && self.report.resumed > 0 {
                true => CAREFUL,
                false => 0,
            },
        };
        let mut readers = fetch::read(&self.connector, parts, pace, &self.reporter, &self.cancel);
        let mut pending = Pending::new();
        let mut failures = Vec::new();
        let mut ended = 0_usize;
        loop {
            let fetched = match pending.next(&mut readers.pages).await {
                Next::Fetched(fetched) => *fetched,
                Next::Checkpoint => {
                    self.checkpoint(handler, &mut pending).await?;
                    continue;
                }
                Next::End => break,
            };
            if let Err(stopped) = self.check_cancelled() {
                self.last_checkpoint(handler, pending).await;
                return Err(stopped);
            }
            match fetched {
                Fetched::Page {
                    scope,
                    records,
                    from,
                    to,
                    done,
                } => {
                    let name = scopes.get(scope).map_or("", |scope| scope.name.as_str());
                    let rows = records.len() as u64;
                    self.report.pages = self.report.pages.saturating_add(1);
                    if let Some(report) = self.report.scopes.get_mut(scope) {
                        report.pages = report.pages.saturating_add(1);
                        report.rows = report.rows.saturating_add(rows);
                    }
                    let batches = handler.take(name, &records)?;
                    self.reporter.report(&Event::Page {
                        scope: name.to_owned(),
                        rows,
                    });
                    self.send_all(batches).await?;
                    if handler.needs_barrier() {
                        self.vertices_through(handler).await?;
                    }
                    if self.checkpoints {
                        pending.add((scope, name), from, to, rows);
                    }
                    if let Some(done) = done {
                        pending.wait(done);
                    }
                }
                Fetched::Retried { waited_ms } => {
                    self.report.source_retries = self.report.source_retries.saturating_add(1);
                    self.report.waited_ms = self.report.waited_ms.saturating_add(waited_ms);
                }
                Fetched::Done { scope } => {
                    ended = ended.saturating_add(1);
                    if let Some(report) = self.report.scopes.get_mut(scope) {
                        report.complete = true;
                        let scope = report.name.clone();
                        self.reporter.report(&Event::ScopeDone { scope });
                    }
                }
                Fetched::Failed { scope, failure } => {
                    ended = ended.saturating_add(1);
                    if let Some(report) = self.report.scopes.get_mut(scope) {
                        report.error = failure.chain();
                        report.hints = failure.hints().map(str::to_owned).collect();
                        let (scope, error) = (report.name.clone(), report.error.clone());
                        self.reporter.report(&Event::ScopeFailed { scope, error });
                    }
                    failures.push((scope, failure));
                }
            }
        }
        self.check_cancelled()?;
        if ended < begun {
            return Err(Failure::new(
                FailureKind::General,
                "the connector stopped in the middle of a page",
            )
            .hint("this is a defect of the connector; its message is above"));
        }
        self.checkpoint(handler, &mut pending).await?;
        self.record_failures(&failures).await?;
        // With nothing read at all, the reason is the same for all scopes or the first one will do.
        if failures.len() == scopes.len()
            && let Some((scope, failure)) = failures.pop()
        {
            let name = scopes.get(scope).map_or("", |scope| scope.name.as_str());
            return Err(failure.wrap(format!("no scope could be read, not even `{name}`")));
        }
        Ok(failures)
    }

    async fn record_failures(&self, failures: &[(usize, Failure)]) -> Result<(), Failure> {
        let Some(ledger) = &self.ledger else {
            return Ok(());
        };
        for (scope, _) in failures {
            if let Some(report) = self.report.scopes.get(*scope) {
                ledger.fail_scope(&report.name, &report.error).await?;
            }
        }
        Ok(())
    }
}
