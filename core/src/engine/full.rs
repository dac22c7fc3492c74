//! The full import.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::fetch::{self, Fetched};
use super::guard;
use super::importer::Importer;
use super::phase::Step;
use car_schema::wire::Features;

use crate::connector::{Connector, ModelState, Scope};
use crate::failure::{Effect, Failure, FailureKind};
use crate::handler::DataHandler;
use crate::progress::Event;
use crate::report::{Outcome, ScopeReport};

impl<C: Connector> Importer<C> {
    /// Imports everything; `present` becomes the save point.
    pub(super) async fn full(&mut self, present: Option<ModelState>) -> Result<Outcome, Failure> {
        // Everything that can fail without the service comes before the save point is cleared.
        let scopes = self.scopes().await?;
        self.clear_save_point().await?;
        self.open_session().await?;
        self.step(Step::SessionOpened)?;

        let mut handler = self.handler().await?;
        let read = self.read(&scopes, &mut handler).await;
        // Noted whatever came of it, but what stopped the reading decides the exit code.
        let noted = self.note_handler(&mut handler);
        let failures = read?;
        noted?;
        self.edges_through(&mut handler).await?;

        self.check_complete(&scopes, failures)?;
        self.check_empty(&handler)?;
        let features = match self.source_known {
            true => self.car.features().await?,
            // Nothing is there that could be retired.
            false => Features::default(),
        };
        self.keep_rejected(&handler, features).await?;
        let retired = self.check_deletions(features).await?;
        self.car.close_session(&self.options.source).await?;
        self.report.session_open = false;
        for (collection, rows) in retired {
            self.count_retired(&collection, rows);
        }
        self.step(Step::Settled)?;
        match present {
            Some(state) => self.save(&state).await?,
            None => self.step(Step::Saved)?,
        }
        Ok(Outcome::Complete)
    }

    /// Opens the session. It counts as open from the call on, unless the service says that it is
    /// not: whoever stops the run now has to be told.
    async fn open_session(&mut self) -> Result<(), Failure> {
        self.report.session_open = true;
        let opened = self.car.open_session(&self.options.source).await;
        if let Err(failure) = &opened
            && failure.effect() == Effect::NotApplied
        {
            self.report.session_open = false;
        }
        opened
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

    /// Reads all scopes and sends their vertices, until every one is acknowledged. Returns what
    /// failed, by position of the scope.
    async fn read(
        &mut self,
        scopes: &[Scope],
        handler: &mut DataHandler,
    ) -> Result<Vec<(usize, Failure)>, Failure> {
        let mut readers = fetch::read(
            &self.connector,
            scopes,
            self.options.concurrency,
            self.options.source_backoff,
            &self.reporter,
            &self.cancel,
        );
        let mut failures = Vec::new();
        let mut ended = 0_usize;
        while let Some(fetched) = readers.pages.recv().await {
            self.check_cancelled()?;
            match fetched {
                Fetched::Page { scope, records } => {
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
                        let (scope, error) = (report.name.clone(), report.error.clone());
                        self.reporter.report(&Event::ScopeFailed { scope, error });
                    }
                    failures.push((scope, failure));
                }
            }
        }
        self.check_cancelled()?;
        if ended < scopes.len() {
            return Err(Failure::new(
                FailureKind::General,
                "the connector stopped in the middle of a page",
            )
            .hint("this is a defect of the connector; its message is above"));
        }
        // With nothing read at all, the reason is the same for all scopes or the first one will do.
        if failures.len() == scopes.len()
            && let Some((scope, failure)) = failures.pop()
        {
            let name = scopes.get(scope).map_or("", |scope| scope.name.as_str());
            return Err(failure.wrap(format!("no scope could be read, not even `{name}`")));
        }
        self.vertices_through(handler).await?;
        Ok(failures)
    }

    /// Fails when a scope, or one that it depends on, was not read to its end.
    fn check_complete(
        &mut self,
        scopes: &[Scope],
        failures: Vec<(usize, Failure)>,
    ) -> Result<(), Failure> {
        for scope in scopes {
            let broken = scope.depends_on.iter().find(|name| {
                self.report
                    .scopes
                    .iter()
                    .any(|report| report.name == **name && !report.complete)
            });
            if let (Some(broken), Some(report)) = (
                broken.cloned(),
                self.report
                    .scopes
                    .iter_mut()
                    .find(|report| report.name == scope.name),
            ) {
                report.complete = false;
                if report.error.is_empty() {
                    report.error.push(format!(
                        "it depends on scope `{broken}`, which is incomplete"
                    ));
                }
            }
        }
        let total = scopes.len();
        let mut failures = failures.into_iter();
        let Some((first, failure)) = failures.next() else {
            return Ok(());
        };
        let name = scopes.get(first).map_or("", |scope| scope.name.as_str());
        let others: Vec<String> = failures
            .filter_map(|(scope, failure)| {
                let scope = scopes.get(scope)?;
                Some(format!(
                    "scope `{scope}` failed too: {}",
                    failure.chain().join(": ")
                ))
            })
            .collect();
        let failed = others.len().saturating_add(1);
        let mut partial = Failure::new(
            FailureKind::Partial,
            format!("{failed} of {total} scopes could not be read"),
        )
        .because(failure.wrap(format!("scope `{name}` failed")));
        for other in others {
            partial = partial.hint(other);
        }
        Err(partial)
    }

    /// Fails when the source came back empty though it was imported before.
    fn check_empty(&self, handler: &DataHandler) -> Result<(), Failure> {
        let (emitted, _) = handler.rejects();
        if emitted > 0 || !self.source_known || self.options.approve_deletions {
            return Ok(());
        }
        Err(Failure::new(
            FailureKind::Held,
            "the data source came back empty, so everything that it reported before would be retired",
        )
        .hint("if the source really is empty now, run again with `--approve-deletions`")
        .hint("if not, check what the credentials may see: an empty answer is often a missing permission"))
    }

    /// Keeps what the graph has of rejected rows: the source has them, so they are not gone.
    async fn keep_rejected(
        &mut self,
        handler: &DataHandler,
        features: Features,
    ) -> Result<(), Failure> {
        let (_, rejected) = handler.rejects();
        if rejected == 0 || !self.source_known || self.options.approve_deletions {
            return Ok(());
        }
        match handler.kept() {
            Some(rows) if features.keep_rows => {
                self.car.keep_rows(&self.options.source, rows).await
            }
            _ => Err(Failure::new(
                FailureKind::Partial,
                format!("nothing could be retired: {rejected} of the rows were rejected"),
            )
            .hint("the graph may have rejected rows from earlier imports, and they are not gone from the source")
            .hint(format!(
                "mend the rows in `{}`, or run again with `--approve-deletions`",
                self.options.quarantine.display()
            ))),
        }
    }

    /// Fails when closing the session would retire too much. Returns what it would retire; nothing
    /// from a service that does not tell.
    async fn check_deletions(
        &mut self,
        features: Features,
    ) -> Result<BTreeMap<String, u64>, Failure> {
        if !features.sweep_preview {
            return Ok(BTreeMap::new());
        }
        let preview = self.car.preview_sweep(&self.options.source).await?;
        let allowed = self.options.max_deletions;
        let excessive =
            guard::excessive(self.delivery.acknowledged(), &preview.would_retire, allowed);
        if excessive.is_empty() || self.options.approve_deletions {
            return Ok(preview.would_retire);
        }
        Err(guard::held(&excessive, allowed))
    }
}
