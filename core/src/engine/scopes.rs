//! What is retired at the end of a full import: only what belongs to scopes that were read whole.

use std::collections::{BTreeMap, BTreeSet};

use car_schema::wire::{Features, SessionPatch};

use super::guard;
use super::importer::Importer;
use crate::connector::{Connector, Scope};
use crate::failure::{Failure, FailureKind};
use crate::handler::DataHandler;
use crate::report::ScopeReport;

impl<C: Connector> Importer<C> {
    /// Retires what is gone; a failure of kind `Partial` when some scopes were not read whole.
    ///
    /// Where the service knows scopes, what is gone from the others is retired before that
    /// failure; elsewhere the session stays open.
    pub(super) async fn settle(
        &mut self,
        scopes: &[Scope],
        failures: Vec<(usize, Failure)>,
        handler: &mut DataHandler,
    ) -> Result<(), Failure> {
        carry(scopes, &mut self.report.scopes);
        let partial = partial(scopes, failures);
        // Nothing is there that could be retired.
        let features = match self.source_known {
            true => self.features().await?,
            false => Features::default(),
        };
        let by_scope = features.scopes && features.sweep_preview;
        let Some(partial) = partial else {
            if self.settled_before.is_empty() {
                return self.close(handler, features, None).await;
            }
            let declared = self.declared(&BTreeSet::new());
            return self.close(handler, features, Some(declared)).await;
        };
        let (emitted, _) = handler.rejects();
        if !by_scope || emitted == 0 {
            return Err(partial);
        }
        let known = self.car.preview_sweep(&self.options.source).await?.scopes;
        let declared = self.declared(&known);
        if declared.is_empty() {
            return Err(partial);
        }
        match self.close(handler, features, Some(declared.clone())).await {
            Ok(()) => {
                self.settled = Some(declared);
                Err(partial.hint(
                    "what is gone from the other scopes was retired; `--retry-failed` reads only those that failed",
                ))
            }
            Err(failure) => Err(failure.hint(partial.chain().join(": "))),
        }
    }

    /// Returns the scopes of which everything was reported in this session, and those that the
    /// source no longer has.
    fn declared(&self, known: &BTreeSet<String>) -> BTreeSet<String> {
        let reports = &self.report.scopes;
        let whole = reports
            .iter()
            .filter(|scope| scope.complete && !self.settled_before.contains(&scope.name))
            .map(|scope| scope.name.clone());
        let gone = known
            .iter()
            .filter(|name| !reports.iter().any(|scope| scope.name == **name))
            .cloned();
        whole.chain(gone).collect()
    }

    /// Closes the session, once nothing speaks against what that retires.
    async fn close(
        &mut self,
        handler: &mut DataHandler,
        features: Features,
        declared: Option<BTreeSet<String>>,
    ) -> Result<(), Failure> {
        self.check_empty(handler, features).await?;
        self.keep_rejected(handler, features).await?;
        if let Some(scopes) = declared {
            let patch = SessionPatch {
                complete_scopes: Some(scopes),
                ..SessionPatch::default()
            };
            self.car.keep_rows(&self.options.source, &patch).await?;
        }
        let retired = self.check_deletions(features).await?;
        if let Some(ledger) = &self.ledger {
            ledger.seal().await?;
        }
        self.car.close_session(&self.options.source).await?;
        self.report.session_open = false;
        for (collection, rows) in retired {
            self.count_retired(&collection, rows);
        }
        Ok(())
    }

    /// Fails when the source came back empty though the graph has something of it.
    async fn check_empty(&self, handler: &DataHandler, features: Features) -> Result<(), Failure> {
        let (emitted, _) = handler.rejects();
        if emitted > 0 || !self.source_known || self.options.approve_deletions {
            return Ok(());
        }
        if features.sweep_preview {
            // A source is known from its first run on, also when that brought nothing.
            let preview = self.car.preview_sweep(&self.options.source).await?;
            if preview.would_retire.is_empty() {
                return Ok(());
            }
        }
        Err(guard::empty())
    }

    /// Lets the service keep the rejected rows that it was not told of yet.
    pub(super) async fn keep_names(&mut self, handler: &mut DataHandler) -> Result<(), Failure> {
        let keeps = self.features.is_some_and(|features| features.keep_rows);
        if !keeps || !self.source_known || self.options.approve_deletions {
            return Ok(());
        }
        let rows = handler.take_kept();
        if rows == SessionPatch::default() {
            return Ok(());
        }
        self.car.keep_rows(&self.options.source, &rows).await
    }

    /// Keeps what the graph has of rejected rows: the source has them, so they are not gone.
    async fn keep_rejected(
        &mut self,
        handler: &mut DataHandler,
        features: Features,
    ) -> Result<(), Failure> {
        let (_, rejected) = handler.rejects();
        if rejected == 0 || !self.source_known || self.options.approve_deletions {
            return Ok(());
        }
        if features.keep_rows && !handler.has_nameless_rejects() {
            return self.keep_names(handler).await;
        }
        Err(Failure::new(
            FailureKind::Partial,
            format!("nothing could be retired: {rejected} of the rows were rejected"),
        )
        .hint("the graph may have rejected rows from earlier imports, and they are not gone from the source")
        .hint(format!(
            "mend the rows in `{}`, or run again with `--approve-deletions`",
            self.options.quarantine.display()
        )))
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

/// Carries incompleteness along: a scope is as incomplete as those that it depends on.
fn carry(scopes: &[Scope], reports: &mut [ScopeReport]) {
    loop {
        let whole: BTreeSet<String> = reports
            .iter()
            .filter(|report| report.complete)
            .map(|report| report.name.clone())
            .collect();
        let mut changed = false;
        for (scope, report) in scopes.iter().zip(reports.iter_mut()) {
            let is_listed = |name: &&String| scopes.iter().any(|other| other.name == **name);
            let broken = scope
                .depends_on
                .iter()
                .filter(is_listed)
                .find(|name| !whole.contains(*name));
            if let (true, Some(broken)) = (report.complete, broken) {
                report.complete = false;
                changed = true;
                report.error.push(format!(
                    "it depends on scope `{broken}`, which is incomplete"
                ));
            }
        }
        if !changed {
            return;
        }
    }
}

/// Makes the failure that lists the scopes that could not be read.
fn partial(scopes: &[Scope], failures: Vec<(usize, Failure)>) -> Option<Failure> {
    let total = scopes.len();
    let mut failures = failures.into_iter();
    let (first, failure) = failures.next()?;
    let name = scopes.get(first).map_or("", |scope| scope.name.as_str());
    let mut others = Vec::new();
    let mut what_to_do: Vec<String> = failure.hints().map(str::to_owned).collect();
    for (scope, failure) in failures {
        let Some(scope) = scopes.get(scope) else {
            continue;
        };
        let chain = failure.chain().join(": ");
        others.push(format!("scope `{scope}` failed too: {chain}"));
        // Most scopes fail for the same reason.
        for hint in failure.hints() {
            if !what_to_do.iter().any(|known| known == hint) {
                what_to_do.push(hint.to_owned());
            }
        }
    }
    let failed = others.len().saturating_add(1);
    let mut partial = Failure::new(
        FailureKind::Partial,
        format!("{failed} of {total} scopes could not be read"),
    )
    .because(failure.wrap(format!("scope `{name}` failed")));
    for hint in what_to_do.into_iter().chain(others) {
        partial = partial.hint(hint);
    }
    Some(partial)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn incompleteness_is_carried_along_a_chain_in_any_order() {
        let scopes = [
            Scope::new("c").depends_on("b"),
            Scope::new("b").depends_on("a"),
            Scope::new("a"),
            Scope::new("d").depends_on("not listed"),
        ];
        let mut reports = scopes.clone().map(|scope| ScopeReport {
            complete: scope.name != "a",
            name: scope.name,
            ..ScopeReport::default()
        });
        carry(&scopes, &mut reports);
        let whole: Vec<&str> = reports
            .iter()
            .filter(|report| report.complete)
            .map(|report| report.name.as_str())
            .collect();
        assert_eq!(whole, ["d"]);
        assert!(reports.iter().all(|report| report.error.len() <= 1));
    }
}
