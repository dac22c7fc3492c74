//! What a run leaves behind so that another one can go on: the lease of a source, runs with the
//! place where each scope stands, and the edges that wait for the vertices.
//!
//! A run [acquires](Leases::acquire) the lease of its source, [begins](StateStore::begin),
//! [advances](StateStore::advance) its scopes as pages are acknowledged, and
//! [finishes](StateStore::finish). Killed anywhere in between, the next run of the same
//! [fingerprint](Fingerprint) gets the same run again and fetches only what is missing.
//!
//! The order that keeps this true, for each page or group of pages:
//!
//! 1. vertices of the page are acknowledged by the CAR service;
//! 2. edges of the page are in the [edge log](EdgeLog), which is [synced](EdgeLog::sync);
//! 3. the scope is advanced, with the length of the edge log.
//!
//! A crash between two steps repeats the page: rows are idempotent, and edges behind the
//! checkpointed length are cut off.
//!
//! # Two runs at once
//!
//! A lease has a number, its fence, which grows each time the lease changes hands. Every write
//! carries it, and is refused as [`StateError::Zombie`] once there is a higher one: a process
//! that stood still for longer than its lease cannot harm the run that took over. A lease is
//! taken over when it is not renewed for its time to live, or at once when the kernel says that
//! the holder is dead. [`Keeper`] renews it.
//!
//! Runs of one source that name different states do not know of each other.
//!
//! # Example
//!
//! ```no_run
//! use std::path::Path;
//! use std::sync::Arc;
//!
//! use car_core::Failure;
//! use car_core::connector::Cursor;
//! use car_core::report::{Mode, Outcome};
//! use car_core::state::{
//!     Advance, Ending, Fingerprint, Holder, Keeper, Lease, Leases, SqliteStore, Start, StateStore,
//!     To, open_run,
//! };
//!
//! # async fn import(fingerprint: Fingerprint, now: u64) -> Result<(), Failure> {
//! let store = Arc::new(SqliteStore::open(Path::new("state.db")).await?);
//! let lease = store.acquire("my-source", &Holder::this_process(), Lease::TTL).await?;
//! let keeper = Keeper::start(Arc::clone(&store) as _, lease);
//! let lease = keeper.lease();
//!
//! let start = Start::new(Mode::Full, now, None);
//! let (run, mut edges) = open_run(&*store, lease, &fingerprint, &start).await?;
//! // Rows carry `run.report_key`; `run.scopes` say where to go on. For each page, once its
//! // vertices are acknowledged:
//! let len = edges.append([/* the edges of the page */])?;
//! edges.sync().await?;
//! let page = Advance {
//!     scope: "assets".to_owned(),
//!     from: None,
//!     to: To::Next(Cursor("2".to_owned())),
//!     pages: 1,
//!     rows: 500,
//! };
//! store.advance(lease, run.id, &[page], len).await?;
//! // When all scopes are through: send what `edges.read()` gives, settle, and
//! store.finish(lease, run.id, &Ending::closed(Outcome::Complete)).await?;
//! keeper.release().await?;
//! # Ok(())
//! # }
//! ```

mod clock;
mod edge_log;
mod error;
mod keeper;
mod lease;
mod model;
mod open;
mod sqlite;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

pub use clock::{Boot, Clock, Moment, SystemClock};
pub use edge_log::{EdgeLog, EdgeLogError, EdgeLogReader, Entry};
pub use error::{HeldBy, Problem, StateError};
pub use keeper::Keeper;
#[cfg(feature = "saga")]
pub(crate) use lease::Expiry;
pub use lease::{Holder, Lease};
pub use model::{
    Advance, Begun, Checkpoint, Ending, Fingerprint, PastRun, Position, Run, RunId, ScopeState,
    Start, To,
};
pub use open::open_run;
pub use sqlite::SqliteStore;
#[cfg(any(feature = "tasks", feature = "saga"))]
pub(crate) use sqlite::file;

/// Gives out leases.
#[async_trait]
pub trait Leases: Send + Sync + fmt::Debug {
    /// Takes the lease of a source, if no living run has it.
    ///
    /// # Behaviour
    ///
    /// - Of any number of calls at the same time, one gets the lease.
    /// - The fence is higher than any that was ever given out for the source.
    ///
    /// # Errors
    ///
    /// [`StateError::Held`] when another run has it.
    async fn acquire(
        &self,
        source: &str,
        holder: &Holder,
        ttl: Duration,
    ) -> Result<Lease, StateError>;

    /// Makes the lease last for its time to live from now on. Every other write does so too.
    ///
    /// A lease that ran out without being taken over comes alive again.
    ///
    /// # Errors
    ///
    /// [`StateError::Zombie`] when it is lost.
    async fn renew(&self, lease: &Lease) -> Result<(), StateError>;

    /// Gives the lease back, so that the next run need not wait.
    ///
    /// # Errors
    ///
    /// [`StateError::Zombie`] when it was lost before.
    async fn release(&self, lease: &Lease) -> Result<(), StateError>;
}

/// Keeps runs.
///
/// # Behaviour
///
/// - A call is durable when it returns, and all or nothing.
/// - Every call with a lease fails with [`StateError::Zombie`] when the lease is lost, and with
///   [`StateError::RunNotOpen`] when the run is closed or of another source.
#[async_trait]
pub trait StateStore: Leases {
    /// Resumes the source's unfinished full import, or begins a new run.
    ///
    /// An unfinished run that cannot be resumed is closed, and its edge log goes; the answer
    /// says why ([`Begun::StartedAnew`]).
    ///
    /// # Errors
    ///
    /// [`StateError::NothingToRetry`] when there is no run to resume and the start asks for one.
    async fn begin(
        &self,
        lease: &Lease,
        fingerprint: &Fingerprint,
        start: &Start,
    ) -> Result<Run, StateError>;

    /// Records that pages are read and acknowledged, all of them or none.
    ///
    /// `edge_log_len` is the length of the edge log with the edges of these pages, 0 when there
    /// is no edge log.
    ///
    /// # Errors
    ///
    /// [`StateError::Refused`] when an advance does not start where its scope stands, the
    /// advances before it in the list counted; [`StateError::EdgeLogShrank`].
    async fn advance(
        &self,
        lease: &Lease,
        run: RunId,
        advances: &[Advance],
        edge_log_len: u64,
    ) -> Result<(), StateError> {
        let checkpoint = Checkpoint {
            advances,
            edge_log_len,
            progress: None,
        };
        self.checkpoint(lease, run, &checkpoint).await
    }

    /// [Advances](StateStore::advance) scopes, and notes what else the run wants to know.
    ///
    /// # Errors
    ///
    /// As [`StateStore::advance`].
    async fn checkpoint(
        &self,
        lease: &Lease,
        run: RunId,
        checkpoint: &Checkpoint<'_>,
    ) -> Result<(), StateError>;

    /// Records the session at the CAR service that the run's pages are sent in, before the first
    /// of them is.
    async fn open_session(
        &self,
        lease: &Lease,
        run: RunId,
        session: Option<&str>,
    ) -> Result<(), StateError>;

    /// Records that the run's session is about to be closed. From then on the run is not
    /// resumed, unless it ends with scopes that were not settled: nobody could tell whether the
    /// session that it finds is its own.
    async fn seal(&self, lease: &Lease, run: RunId) -> Result<(), StateError>;

    /// Records that a scope failed, with the chain of errors, outermost first. It stays where it
    /// stands; the next advance clears the errors.
    ///
    /// # Errors
    ///
    /// [`StateError::Refused`] when the scope is complete.
    async fn fail_scope(
        &self,
        lease: &Lease,
        run: RunId,
        scope: &str,
        error: &[String],
    ) -> Result<(), StateError>;

    /// Records how a run ended, and prunes the history.
    async fn finish(&self, lease: &Lease, run: RunId, ending: &Ending) -> Result<(), StateError>;

    /// Returns the scopes that failed in the source's last full import, open or closed.
    async fn failed_scopes(&self, source: &str) -> Result<Vec<ScopeState>, StateError>;

    /// Returns the scopes of a run in the order of their names; none for a run that is not known.
    async fn scopes(&self, run: RunId) -> Result<Vec<ScopeState>, StateError>;

    /// Returns the last runs of a source, the latest first. Needs no lease.
    async fn history(&self, source: &str, limit: u32) -> Result<Vec<PastRun>, StateError>;

    /// Names the file for the edge log of a run. It is removed when the run is closed.
    fn edge_log_path(&self, run: RunId) -> PathBuf;

    /// Ends work with the state; the last call.
    async fn close(&self) -> Result<(), StateError>;
}
