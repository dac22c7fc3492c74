//! The import engine: order, paging, retries, save points and deletion.
//!
//! A run opens the service, decides between full and incremental, sends vertices as pages come,
//! waits until all are acknowledged, sends edges, waits again, retires what is gone and writes the
//! save point. [`phase`] holds the legal order; the other modules carry out one part each.

mod about;
mod changed;
mod checkpoint;
mod choose;
mod delivery;
mod ending;
mod fetch;
mod full;
mod guard;
mod importer;
mod incremental;
#[cfg(feature = "tasks")]
mod ingest;
mod ledger;
pub mod phase;
mod plan;
mod retire;
mod rows;
mod save_point;
mod scopes;
mod session;
mod whole;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

#[cfg(feature = "tasks")]
pub(crate) use about::{bring_extension, check_source};
pub use changed::ChangedOnly;
pub use choose::{Situation, choose};
pub use guard::excessive;
#[cfg(feature = "tasks")]
pub(crate) use ingest::Batch;
#[cfg(feature = "tasks")]
pub use ingest::Ingested;
pub use phase::Phase;
pub use plan::{Cost, Plan, PlanOptions, Planned, PlannedRows, Samples, UpdatedRow, apply, plan};

use crate::car::CarClient;
use crate::config::Limit;
use crate::connector::Connector;
use crate::failure::{Failure, FailureKind};
use crate::layer::Backoff;
use crate::progress::Reporter;
use crate::report::RunReport;
use crate::secret::Redactor;
use crate::state::StateStore;
use importer::Importer;

/// How long a run may take to end after it was asked to.
const GRACE: Duration = Duration::from_secs(8);

/// How a run works.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name of the source in the graph.
    pub source: String,
    /// Whether to import everything even if changes would do.
    pub force_full: bool,
    /// Scopes that are read side by side.
    pub concurrency: usize,
    /// Batches that are sent side by side.
    pub sends: usize,
    /// Most rows in a batch.
    pub page_rows: usize,
    /// Bytes of edges to hold in memory before they go to disk.
    pub memory_budget: usize,
    /// Folder for edges above the budget; the system's temporary one by default.
    pub spill_folder: Option<PathBuf>,
    /// Whether the file with the edges stays after the run.
    pub keep_spill: bool,
    /// Rejected rows with which a run may go on.
    pub max_rejects: Limit,
    /// Largest share of a collection that a full import may retire, from 0 to 1.
    pub max_deletions: f64,
    /// Whether deletions that the guard would stop are let through.
    pub approve_deletions: bool,
    /// Whether rows that the service has as they are stay away.
    pub changed_only: ChangedOnly,
    /// File for rejected rows.
    pub quarantine: PathBuf,
    /// When to read from the source again.
    pub source_backoff: Backoff,
    /// Where a run leaves what a later one needs to go on; `None` for nowhere.
    pub state: Option<State>,
    /// What takes secrets out of the report before others get it.
    pub redactor: Arc<Redactor>,
    /// Whether to read only the scopes that failed, or were not finished, in the last run.
    pub retry_failed: bool,
}

/// Where a run leaves what a later one needs to go on.
#[derive(Debug, Clone)]
pub struct State {
    /// The store.
    pub store: Arc<dyn StateStore>,
    /// Hash of the settings that decide what is read, by
    /// [`Fingerprint::hash_settings`](crate::state::Fingerprint::hash_settings).
    pub settings: String,
}

impl Options {
    /// Makes options with the usual values.
    #[must_use]
    pub fn new(source: impl Into<String>) -> Self {
        let source = source.into();
        let safe: String = source
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
            .collect();
        Self {
            quarantine: PathBuf::from(format!("quarantine-{safe}.jsonl")),
            source,
            force_full: false,
            concurrency: 4,
            sends: 2,
            page_rows: 2000,
            memory_budget: 32 * 1024 * 1024,
            spill_folder: None,
            keep_spill: false,
            max_rejects: Limit::Share(0.05),
            max_deletions: 0.3,
            approve_deletions: false,
            changed_only: ChangedOnly::Auto,
            source_backoff: Backoff::default(),
            state: None,
            redactor: Arc::default(),
            retry_failed: false,
        }
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Run {
    /// What it did.
    pub report: RunReport,
    /// Why it did not do all that it was asked to.
    pub failure: Option<Failure>,
}

/// Runs one import.
///
/// Ends within ten seconds once `cancel` is cancelled. Whatever the end, the graph is such that
/// another run brings it right.
pub async fn run<C: Connector>(
    connector: Arc<C>,
    options: Options,
    car: CarClient,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
) -> Run {
    let mut importer = Importer::new(connector, options, car, reporter, cancel.clone());
    let lost = match importer.acquire().await {
        Ok(lost) => lost,
        Err(failure) => return importer.finish(Err(failure)).await,
    };
    let overdue = async {
        cancel.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    let result = tokio::select! {
        result = importer.import() => result,
        () = lost.cancelled() => Err(importer.take_over()),
        () = overdue => Err(Failure::new(FailureKind::Interrupted, "stopped in the middle of a call")),
    };
    importer.finish(result).await
}
