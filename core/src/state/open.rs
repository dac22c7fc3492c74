//! Begins a run together with its edge log.

use super::edge_log::EdgeLog;
use super::error::StateError;
use super::lease::Lease;
use super::model::{Begun, Ending, Fingerprint, Run, Start};
use super::{RunId, StateStore};
use crate::report::Outcome;

/// Begins or resumes a full import, and opens its edge log.
///
/// A run whose edge log is gone, damaged or still written by a process that lost its lease is
/// given up and starts anew; [`Begun::StartedAnew`] says why.
///
/// # Errors
///
/// Those of [`StateStore::begin`], and [`StateError::EdgeLog`] when the disk is to blame.
pub async fn open_run(
    store: &dyn StateStore,
    lease: &Lease,
    fingerprint: &Fingerprint,
    start: &Start,
) -> Result<(Run, EdgeLog), StateError> {
    let run = store.begin(lease, fingerprint, start).await?;
    match open_log(store, run.id, run.edge_log_len).await {
        Ok(log) => Ok((run, log)),
        Err(StateError::EdgeLog(error)) if run.resumed() && error.starts_anew() => {
            let reason = error.to_string();
            let mut ending = Ending::closed(Outcome::Failed);
            ending.error = vec![reason.clone()];
            store.finish(lease, run.id, &ending).await?;
            let mut run = store.begin(lease, fingerprint, start).await?;
            run.begun = Begun::StartedAnew { reason };
            let log = open_log(store, run.id, 0).await?;
            Ok((run, log))
        }
        Err(error) => Err(error),
    }
}

async fn open_log(store: &dyn StateStore, run: RunId, len: u64) -> Result<EdgeLog, StateError> {
    let path = store.edge_log_path(run);
    let log = tokio::task::spawn_blocking(move || EdgeLog::open(&path, run, len)).await;
    match log {
        Ok(log) => Ok(log?),
        Err(error) => Err(StateError::Storage {
            doing: "opened",
            full: false,
            source: Box::new(error),
        }),
    }
}
