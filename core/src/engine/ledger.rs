//! The run's side of the run state: one source's lease, and the run that is recorded under it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::State;
use crate::connector::About;
use crate::failure::{Failure, FailureKind};
use crate::report::{Outcome, RunReport};
use crate::state::{
    Advance, Checkpoint, EdgeLog, Ending, Fingerprint, Holder, Keeper, Lease, Run, RunId, Start,
    StateStore, open_run,
};

/// How long recording the end of a run may take: it is not worth more when a signal came.
const ENDING: Duration = Duration::from_secs(1);

/// The lease of a source and what is recorded under it.
pub(super) struct Ledger {
    store: Arc<dyn StateStore>,
    keeper: Keeper,
    fingerprint: Fingerprint,
    run: Option<RunId>,
}

impl Ledger {
    /// Takes the lease of a source.
    pub(super) async fn acquire(
        state: &State,
        source: &str,
        about: &About,
    ) -> Result<Self, Failure> {
        let store = Arc::clone(&state.store);
        let lease = store
            .acquire(source, &Holder::this_process(), Lease::TTL)
            .await?;
        let extension = about.extension.as_ref();
        Ok(Self {
            keeper: Keeper::start(Arc::clone(&store) as _, lease),
            store,
            fingerprint: Fingerprint {
                connector: about.name.to_owned(),
                // What the framework makes of a page may change with its version, too.
                version: format!("{} on {}", about.version, env!("CARGO_PKG_VERSION")),
                settings: state.settings.clone(),
                extension: extension.map(|extension| extension.version.clone()),
            },
            run: None,
        })
    }

    /// Returns the token that is cancelled when another run has taken over.
    pub(super) fn lost(&self) -> CancellationToken {
        self.keeper.lost().clone()
    }

    /// Returns why the lease is lost.
    pub(super) fn why_lost(&self) -> Failure {
        match self.keeper.why() {
            Some(error) => error.into(),
            None => Failure::new(
                FailureKind::General,
                "the lease of the source could not be renewed in time",
            )
            .hint("this run was stopped before it could disturb another one"),
        }
    }

    /// Begins a run that keeps no edges, or goes on with one.
    pub(super) async fn begin(&mut self, start: &Start) -> Result<Run, Failure> {
        let lease = self.keeper.lease();
        let run = self.store.begin(lease, &self.fingerprint, start).await?;
        self.run = Some(run.id);
        Ok(run)
    }

    /// Begins a run, or goes on with one; with the log of its edges.
    pub(super) async fn open(&mut self, start: &Start) -> Result<(Run, EdgeLog), Failure> {
        let lease = self.keeper.lease();
        let (run, log) = open_run(&*self.store, lease, &self.fingerprint, start).await?;
        self.run = Some(run.id);
        Ok((run, log))
    }

    /// Records the session that the run's pages are sent in.
    pub(super) async fn session(&self, session: Option<&str>) -> Result<(), Failure> {
        let Some(run) = self.run else { return Ok(()) };
        let lease = self.keeper.lease();
        Ok(self.store.open_session(lease, run, session).await?)
    }

    /// Records pages that are read and acknowledged.
    pub(super) async fn checkpoint(
        &self,
        advances: &[Advance],
        edge_log_len: u64,
        progress: &str,
    ) -> Result<(), Failure> {
        let Some(run) = self.run else { return Ok(()) };
        let checkpoint = Checkpoint {
            advances,
            edge_log_len,
            progress: Some(progress),
        };
        let lease = self.keeper.lease();
        Ok(self.store.checkpoint(lease, run, &checkpoint).await?)
    }

    /// Records why a scope failed.
    pub(super) async fn fail_scope(&self, scope: &str, error: &[String]) -> Result<(), Failure> {
        let Some(run) = self.run else { return Ok(()) };
        let lease = self.keeper.lease();
        Ok(self.store.fail_scope(lease, run, scope, error).await?)
    }

    /// Records that the session is about to be closed: before it is, so that no later run takes
    /// a session for its own that this one closed.
    pub(super) async fn seal(&self) -> Result<(), Failure> {
        let Some(run) = self.run else { return Ok(()) };
        Ok(self.store.seal(self.keeper.lease(), run).await?)
    }

    /// Closes the run that was begun: another one begins in its place.
    pub(super) async fn give_up(&mut self, reason: String) -> Result<(), Failure> {
        let Some(run) = self.run.take() else {
            return Ok(());
        };
        let mut ending = Ending::closed(Outcome::Failed);
        ending.error = vec![reason];
        Ok(self.store.finish(self.keeper.lease(), run, &ending).await?)
    }

    /// Records how the run ended, and gives the lease back.
    ///
    /// What fails here changes nothing for the graph: the next run finds the last checkpoint.
    pub(super) async fn end(
        self,
        report: &RunReport,
        document: &Value,
        failure: Option<&Failure>,
        settled: Option<BTreeSet<String>>,
    ) {
        if self.keeper.lost().is_cancelled() {
            return;
        }
        let mut ending = Ending::closed(report.outcome);
        if let Some(failure) = failure {
            ending.error = failure.chain();
            ending.resumable = resumable(failure.kind());
        }
        ending.settled = settled;
        ending.report = Some(document.to_string());
        let end = async {
            if let Some(run) = self.run {
                self.store.finish(self.keeper.lease(), run, &ending).await?;
            }
            self.keeper.release().await?;
            self.store.close().await
        };
        match timeout(ENDING, end).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(
                error = Failure::from(error).chain().join(": "),
                "the end of the run could not be recorded"
            ),
            Err(_) => tracing::warn!("the end of the run could not be recorded in time"),
        }
    }
}

/// Returns whether a run that failed so may go on where it stopped. One whose data the service
/// or a guard refused would meet the same data again.
#[deny(clippy::wildcard_enum_match_arm)]
const fn resumable(kind: FailureKind) -> bool {
    match kind {
        FailureKind::General
        | FailureKind::CarUnreachable
        | FailureKind::CarAuthentication
        | FailureKind::CarThrottled
        | FailureKind::CarUnavailable
        | FailureKind::Interrupted
        | FailureKind::Partial
        | FailureKind::Source
        | FailureKind::SourceUnavailable
        | FailureKind::SourceAuthentication
        | FailureKind::SourceForbidden
        | FailureKind::SourceInvalidParameter => true,
        FailureKind::InvalidParameter
        | FailureKind::CarRejected
        | FailureKind::CarUnexpected
        | FailureKind::Held
        | FailureKind::Unrecoverable
        | FailureKind::SourceData
        | FailureKind::PlatformUnavailable
        | FailureKind::PlatformRejected
        | FailureKind::PlatformUnexpected
        | FailureKind::RowsLost => false,
    }
}
