//! The run state in an SQLite file.
//!
//! One connection per process writes; the write-ahead log is synced with every commit. Beside
//! the file stand `FILE-edges-N` with the edges of run N, and `FILE-lease-…` which is locked as
//! long as the holder of a lease lives.
//!
//! A lock of the kernel is the proof that a holder is dead: it goes when the process ends,
//! however it ends, and works across containers that share the folder. It counts only between
//! processes under the same kernel, since a shared folder may keep locks to each machine.

pub(crate) mod file;
mod history;
mod lease;
mod runs;
mod scopes;
mod text;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, Sqlite, Transaction};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use super::clock::{Clock, Moment, SystemClock};
use super::error::StateError;
use super::lease::{Holder, Lease};
use super::model::{Checkpoint, Ending, Fingerprint, PastRun, Run, RunId, ScopeState, Start};
use super::{Leases, StateStore};
use file::{Layout, primary_code};

/// Layout of the file.
const LAYOUT: Layout = Layout {
    version: 2,
    // "CARS".
    application: 0x4341_5253,
    tables: include_str!("sqlite/layout.sql"),
    steps: &[include_str!("sqlite/layout-2.sql")],
};

/// The run state in a file.
#[derive(Debug)]
pub struct SqliteStore {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    /// `None` once it is closed.
    connection: Mutex<Option<SqliteConnection>>,
}

impl SqliteStore {
    /// Opens a file, and makes it, private to its owner, where there is none.
    ///
    /// # Errors
    ///
    /// [`StateError::Unusable`].
    pub async fn open(path: &Path) -> Result<Self, StateError> {
        Self::open_with(path, Arc::new(SystemClock::new())).await
    }

    /// Opens a file, with another clock to judge leases by.
    ///
    /// # Errors
    ///
    /// As [`SqliteStore::open`].
    pub async fn open_with(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StateError> {
        let connection =
            file::open(path, &LAYOUT)
                .await
                .map_err(|unusable| StateError::Unusable {
                    path: path.to_owned(),
                    problem: unusable.problem,
                    source: unusable.source,
                })?;
        Ok(Self {
            path: path.to_owned(),
            clock,
            connection: Mutex::new(Some(connection)),
        })
    }

    /// Waits for the connection.
    async fn connection(&self) -> Result<MappedMutexGuard<'_, SqliteConnection>, StateError> {
        MutexGuard::try_map(self.connection.lock().await, Option::as_mut).map_err(|_| {
            StateError::Storage {
                doing: "used after it was closed",
                full: false,
                source: "the connection is closed".into(),
            }
        })
    }

    /// Names a file beside the state's own.
    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = OsString::from(self.path.file_name().unwrap_or_default());
        name.push(suffix);
        self.path.with_file_name(name)
    }
}

#[async_trait]
impl Leases for SqliteStore {
    async fn acquire(
        &self,
        source: &str,
        holder: &Holder,
        ttl: Duration,
    ) -> Result<Lease, StateError> {
        self.take_lease(source, holder, ttl).await
    }

    async fn renew(&self, lease: &Lease) -> Result<(), StateError> {
        let doing = "written";
        let mut connection = self.connection().await?;
        let mut transaction = begin(&mut connection, doing).await?;
        lease::hold(&mut transaction, lease, &self.now()).await?;
        transaction.commit().await.map_err(storage(doing))
    }

    async fn release(&self, lease: &Lease) -> Result<(), StateError> {
        self.give_back(lease).await
    }
}

#[async_trait]
impl StateStore for SqliteStore {
    async fn begin(
        &self,
        lease: &Lease,
        fingerprint: &Fingerprint,
        start: &Start,
    ) -> Result<Run, StateError> {
        self.begin_run(lease, fingerprint, start).await
    }

    async fn checkpoint(
        &self,
        lease: &Lease,
        run: RunId,
        checkpoint: &Checkpoint<'_>,
    ) -> Result<(), StateError> {
        let doing = "written";
        let mut connection = self.connection().await?;
        let mut transaction = begin(&mut connection, doing).await?;
        lease::hold(&mut transaction, lease, &self.now()).await?;
        runs::note(&mut transaction, lease.source(), run, checkpoint).await?;
        for advance in checkpoint.advances {
            scopes::advance(&mut transaction, run, advance).await?;
        }
        transaction.commit().await.map_err(storage(doing))
    }

    async fn fail_scope(
        &self,
        lease: &Lease,
        run: RunId,
        scope: &str,
        error: &[String],
    ) -> Result<(), StateError> {
        let doing = "written";
        let mut connection = self.connection().await?;
        let mut transaction = begin(&mut connection, doing).await?;
        lease::hold(&mut transaction, lease, &self.now()).await?;
        runs::check_open(&mut transaction, lease.source(), run).await?;
        scopes::fail_scope(&mut transaction, run, scope, error).await?;
        transaction.commit().await.map_err(storage(doing))
    }

    async fn open_session(
        &self,
        lease: &Lease,
        run: RunId,
        session: Option<&str>,
    ) -> Result<(), StateError> {
        let doing = "written";
        let mut connection = self.connection().await?;
        let mut transaction = begin(&mut connection, doing).await?;
        lease::hold(&mut transaction, lease, &self.now()).await?;
        runs::check_open(&mut transaction, lease.source(), run).await?;
        sqlx::query("UPDATE run SET session = ?, swept = 0, sealed = 0 WHERE id = ?")
            .bind(session)
            .bind(run.0)
            .execute(&mut *transaction)
            .await
            .map_err(storage(doing))?;
        transaction.commit().await.map_err(storage(doing))
    }

    async fn seal(&self, lease: &Lease, run: RunId) -> Result<(), StateError> {
        let doing = "written";
        let mut connection = self.connection().await?;
        let mut transaction = begin(&mut connection, doing).await?;
        lease::hold(&mut transaction, lease, &self.now()).await?;
        runs::check_open(&mut transaction, lease.source(), run).await?;
        sqlx::query("UPDATE run SET sealed = 1 WHERE id = ?")
            .bind(run.0)
            .execute(&mut *transaction)
            .await
            .map_err(storage(doing))?;
        transaction.commit().await.map_err(storage(doing))
    }

    async fn finish(&self, lease: &Lease, run: RunId, ending: &Ending) -> Result<(), StateError> {
        self.finish_run(lease, run, ending).await
    }

    async fn failed_scopes(&self, source: &str) -> Result<Vec<ScopeState>, StateError> {
        let mut connection = self.connection().await?;
        scopes::failed_scopes(&mut connection, source).await
    }

    async fn scopes(&self, run: RunId) -> Result<Vec<ScopeState>, StateError> {
        let mut connection = self.connection().await?;
        scopes::scopes(&mut connection, run).await
    }

    async fn history(&self, source: &str, limit: u32) -> Result<Vec<PastRun>, StateError> {
        let mut connection = self.connection().await?;
        history::history(&mut connection, source, limit).await
    }

    fn edge_log_path(&self, run: RunId) -> PathBuf {
        self.beside(&format!("{}{run}", runs::EDGES))
    }

    async fn close(&self) -> Result<(), StateError> {
        match self.connection.lock().await.take() {
            Some(connection) => connection.close().await.map_err(storage("closed")),
            None => Ok(()),
        }
    }
}

impl SqliteStore {
    fn now(&self) -> Moment {
        self.clock.now()
    }
}

/// Begins to write: from here on no other process does.
async fn begin<'a>(
    connection: &'a mut SqliteConnection,
    doing: &'static str,
) -> Result<Transaction<'a, Sqlite>, StateError> {
    connection
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(storage(doing))
}

/// Says what failed, as "the run state cannot be …".
fn storage(doing: &'static str) -> impl Fn(sqlx::Error) -> StateError + Copy {
    move |error| StateError::Storage {
        doing,
        full: primary_code(&error) == Some(13),
        source: Box::new(error),
    }
}

/// Numbers are signed in SQLite; ours do not come near the limit.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// What was [`signed`].
fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::{Effect, Failure};

    #[tokio::test]
    async fn a_full_disk_is_called_that() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteStore::open(&folder.path().join("state.db"))
            .await
            .unwrap();
        let mut connection = store.connection().await.unwrap();
        // What the database answers when the disk is full, without filling one.
        let error = sqlx::raw_sql("PRAGMA max_page_count = 1; CREATE TABLE filler (x);")
            .execute(&mut *connection)
            .await
            .map_err(storage("written"))
            .unwrap_err();
        let failure = Failure::from(error);
        assert_eq!(
            failure.to_string(),
            "the run state cannot be written: the disk is full"
        );
        assert_eq!(failure.effect(), Effect::Unknown);
        assert!(failure.hints().any(|hint| hint.contains("`--state`")));
    }

    #[tokio::test]
    async fn commits_are_synced_to_a_write_ahead_log() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        // The second one finds the file there.
        for _ in 0..2 {
            let store = SqliteStore::open(&path).await.unwrap();
            let mut connection = store.connection().await.unwrap();
            let mode: String = sqlx::query_scalar("PRAGMA journal_mode")
                .fetch_one(&mut *connection)
                .await
                .unwrap();
            let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous")
                .fetch_one(&mut *connection)
                .await
                .unwrap();
            assert_eq!((mode.as_str(), synchronous), ("wal", 2));
        }
    }
}
