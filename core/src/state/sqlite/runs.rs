//! Runs in SQLite: beginning, resuming, ending.

use std::collections::BTreeSet;
use std::time::Duration;

use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _, Sqlite, Transaction};

use super::history::prune;
use super::scopes::scopes;
use super::text::{list, outcome_text};
use super::{SqliteStore, begin, lease, signed, storage, unsigned};
use crate::connector::ModelState;
use crate::report::{Mode, Outcome};
use crate::state::StateStore as _;
use crate::state::error::StateError;
use crate::state::lease::Lease;
use crate::state::model::{Begun, Checkpoint, Ending, Fingerprint, Run, RunId, Start};

/// What comes between the name of the state and the number of a run in the name of an edge log.
pub(super) const EDGES: &str = "-edges-";

/// The run of a source that is open.
struct OpenRun {
    id: i64,
    mode: String,
    connector: String,
    version: String,
    settings: String,
    extension: Option<String>,
    started_at: i64,
    report_key: String,
    present_state: Option<String>,
    edge_log_len: i64,
    edges_from: i64,
    resumes: i64,
    session: Option<String>,
    swept: bool,
    sealed: bool,
    outcome: Option<String>,
    progress: Option<String>,
}

impl FromRow<'_, SqliteRow> for OpenRun {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            mode: row.try_get("mode")?,
            connector: row.try_get("connector")?,
            version: row.try_get("version")?,
            settings: row.try_get("settings")?,
            extension: row.try_get("extension")?,
            started_at: row.try_get("started_at")?,
            report_key: row.try_get("report_key")?,
            present_state: row.try_get("present_state")?,
            edge_log_len: row.try_get("edge_log_len")?,
            edges_from: row.try_get("edges_from")?,
            session: row.try_get("session")?,
            swept: row.try_get("swept")?,
            sealed: row.try_get("sealed")?,
            outcome: row.try_get("outcome")?,
            progress: row.try_get("progress")?,
            resumes: row.try_get("resumes")?,
        })
    }
}

impl OpenRun {
    /// Says why it cannot be resumed, as a clause.
    fn obstacle(&self, fingerprint: &Fingerprint, start: &Start) -> Option<String> {
        let age = Duration::from_millis(start.now.saturating_sub(unsigned(self.started_at)));
        if start.mode == Mode::Incremental {
            Some("an incremental import comes after it".to_owned())
        } else if self.mode != Mode::Full.as_str() {
            Some("it is an incremental import".to_owned())
        } else if self.sealed {
            Some("it stopped while its session was being closed".to_owned())
        } else if self.outcome.as_deref() == Some(outcome_text(Outcome::Partial)) && !start.retry {
            Some("it ended, though with scopes that could not be read".to_owned())
        } else if age > start.resume_within {
            let hours = |time: Duration| time.as_secs() / 3600;
            Some(format!(
                "it began {} hours ago, and is not resumed after {}",
                hours(age),
                hours(start.resume_within)
            ))
        } else if !self.swept && self.session != start.session {
            Some("its session at the CAR service is no longer the one that is open".to_owned())
        } else {
            fingerprint.difference(&Fingerprint {
                connector: self.connector.clone(),
                version: self.version.clone(),
                settings: self.settings.clone(),
                extension: self.extension.clone(),
            })
        }
    }
}

impl SqliteStore {
    pub(super) async fn begin_run(
        &self,
        lease: &Lease,
        fingerprint: &Fingerprint,
        start: &Start,
    ) -> Result<Run, StateError> {
        let doing = "written";
        let mut connection = self.connection().await?;
        let mut transaction = begin(&mut connection, doing).await?;
        let now = self.now();
        lease::hold(&mut transaction, lease, &now).await?;
        let open: Option<OpenRun> = sqlx::query_as(
            "SELECT id, mode, connector, version, settings, extension, started_at, report_key, \
                    present_state, edge_log_len, edges_from, resumes, session, swept, sealed, \
                    outcome, progress \
             FROM run WHERE source = ? AND open = 1",
        )
        .bind(lease.source())
        .fetch_optional(&mut *transaction)
        .await
        .map_err(storage(doing))?;
        let obstacle = match &open {
            None => Some("the last one is complete, or there was none".to_owned()),
            Some(open) => open.obstacle(fingerprint, start),
        };
        if let (true, Some(reason)) = (start.retry, obstacle) {
            return Err(StateError::NothingToRetry { reason });
        }
        let run = match open {
            None => insert(&mut transaction, lease.source(), fingerprint, start).await?,
            Some(open) => match open.obstacle(fingerprint, start) {
                None => resume(&mut transaction, open).await?,
                Some(reason) => {
                    let mut ending = Ending::closed(Outcome::Failed);
                    ending.error = vec![format!("given up because {reason}")];
                    let id = RunId(open.id);
                    end(&mut transaction, id, &ending, now.unix_ms).await?;
                    let mut run =
                        insert(&mut transaction, lease.source(), fingerprint, start).await?;
                    run.begun = Begun::StartedAnew { reason };
                    run
                }
            },
        };
        prune(&mut transaction, lease.source()).await?;
        let logs = Logs::of(&mut transaction).await?;
        transaction.commit().await.map_err(storage(doing))?;
        self.sweep(&logs);
        Ok(run)
    }

    pub(super) async fn finish_run(
        &self,
        lease: &Lease,
        run: RunId,
        ending: &Ending,
    ) -> Result<(), StateError> {
        let doing = "written";
        let mut connection = self.connection().await?;
        let mut transaction = begin(&mut connection, doing).await?;
        let now = self.now();
        lease::hold(&mut transaction, lease, &now).await?;
        check_open(&mut transaction, lease.source(), run).await?;
        end(&mut transaction, run, ending, now.unix_ms).await?;
        prune(&mut transaction, lease.source()).await?;
        let logs = Logs::of(&mut transaction).await?;
        transaction.commit().await.map_err(storage(doing))?;
        self.sweep(&logs);
        Ok(())
    }

    /// Removes the edge logs of runs that are not open, those that a crash left among them.
    fn sweep(&self, logs: &Logs) {
        let prefix = self.beside(EDGES);
        let Some(prefix) = prefix.file_name().and_then(|name| name.to_str()) else {
            return;
        };
        let folder = match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => std::path::Path::new("."),
        };
        let Ok(files) = std::fs::read_dir(folder) else {
            return;
        };
        for file in files.flatten() {
            let run = file
                .file_name()
                .to_str()
                .and_then(|name| name.strip_prefix(prefix))
                .and_then(|number| number.parse().ok());
            if let Some(run) = run
                && logs.is_over(run)
                && let Err(error) = std::fs::remove_file(self.edge_log_path(RunId(run)))
            {
                tracing::warn!(run, %error, "the edge log of a run that is over stays");
            }
        }
    }
}

/// Which runs may have an edge log.
struct Logs {
    open: BTreeSet<i64>,
    /// Runs above are newer than what we know.
    last: i64,
}

impl Logs {
    async fn of(transaction: &mut Transaction<'_, Sqlite>) -> Result<Self, StateError> {
        let open: Vec<i64> = sqlx::query_scalar("SELECT id FROM run WHERE open = 1")
            .fetch_all(&mut **transaction)
            .await
            .map_err(storage("read"))?;
        let last: Option<i64> =
            sqlx::query_scalar("SELECT seq FROM sqlite_sequence WHERE name = 'run'")
                .fetch_optional(&mut **transaction)
                .await
                .map_err(storage("read"))?;
        Ok(Self {
            open: open.into_iter().collect(),
            last: last.unwrap_or_default(),
        })
    }

    fn is_over(&self, run: i64) -> bool {
        run <= self.last && !self.open.contains(&run)
    }
}

async fn insert(
    transaction: &mut Transaction<'_, Sqlite>,
    source: &str,
    fingerprint: &Fingerprint,
    start: &Start,
) -> Result<Run, StateError> {
    let done = sqlx::query(
        "INSERT INTO run (source, open, mode, connector, version, settings, extension, \
                          started_at, report_key, present_state, edge_log_len, resumes) \
         VALUES (?, 1, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)",
    )
    .bind(source)
    .bind(start.mode.as_str())
    .bind(&fingerprint.connector)
    .bind(&fingerprint.version)
    .bind(&fingerprint.settings)
    .bind(&fingerprint.extension)
    .bind(signed(start.now))
    .bind(&start.report_key)
    .bind(start.present_state.as_ref().map(|state| &state.0))
    .execute(&mut **transaction)
    .await
    .map_err(storage("written"))?;
    Ok(Run {
        id: RunId(done.last_insert_rowid()),
        begun: Begun::New,
        started_at: start.now,
        report_key: start.report_key.clone(),
        present_state: start.present_state.clone(),
        scopes: Vec::new(),
        edge_log_len: 0,
        edges_from: 0,
        session: None,
        progress: None,
    })
}

async fn resume(
    transaction: &mut Transaction<'_, Sqlite>,
    open: OpenRun,
) -> Result<Run, StateError> {
    let resumes = open.resumes.saturating_add(1);
    sqlx::query(
        "UPDATE run SET resumes = ?, ended_at = NULL, outcome = NULL, error = NULL, report = NULL \
         WHERE id = ?",
    )
    .bind(resumes)
    .bind(open.id)
    .execute(&mut **transaction)
    .await
    .map_err(storage("written"))?;
    Ok(Run {
        id: RunId(open.id),
        begun: Begun::Resumed {
            times: u32::try_from(resumes).unwrap_or(u32::MAX),
        },
        started_at: unsigned(open.started_at),
        report_key: open.report_key,
        present_state: open.present_state.map(ModelState),
        scopes: scopes(transaction, RunId(open.id)).await?,
        edge_log_len: unsigned(open.edge_log_len),
        edges_from: unsigned(open.edges_from),
        session: open.session.filter(|_| !open.swept),
        progress: open.progress,
    })
}

async fn end(
    transaction: &mut Transaction<'_, Sqlite>,
    run: RunId,
    ending: &Ending,
    now: u64,
) -> Result<(), StateError> {
    sqlx::query(
        "UPDATE run SET open = (? AND mode = 'full'), ended_at = ?, outcome = ?, error = ?, \
                        report = ? \
         WHERE id = ?",
    )
    .bind(ending.resumable)
    .bind(signed(now))
    .bind(outcome_text(ending.outcome))
    .bind(list(&ending.error))
    .bind(&ending.report)
    .bind(run.0)
    .execute(&mut **transaction)
    .await
    .map_err(storage("written"))?;
    match &ending.settled {
        Some(settled) => settle(transaction, run, settled).await,
        None => Ok(()),
    }
}

/// Notes that the session of a run was closed for some of its scopes; the others begin anew.
async fn settle(
    transaction: &mut Transaction<'_, Sqlite>,
    run: RunId,
    settled: &BTreeSet<String>,
) -> Result<(), StateError> {
    let names = serde_json::Value::from_iter(settled.iter().map(String::as_str)).to_string();
    for statement in [
        "UPDATE run SET swept = 1, sealed = 0, session = NULL, edges_from = edge_log_len \
         WHERE id = ?1 AND ?2 IS NOT NULL",
        "UPDATE scope SET settled = 1 \
         WHERE run = ?1 AND name IN (SELECT value FROM json_each(?2))",
        "UPDATE scope SET cursor = NULL, complete = 0, pages = 0, rows = 0 \
         WHERE run = ?1 AND settled = 0 AND ?2 IS NOT NULL",
    ] {
        sqlx::query(statement)
            .bind(run.0)
            .bind(&names)
            .execute(&mut **transaction)
            .await
            .map_err(storage("written"))?;
    }
    Ok(())
}

/// Fails when a run is not open, or of another source.
pub(super) async fn check_open(
    transaction: &mut Transaction<'_, Sqlite>,
    source: &str,
    run: RunId,
) -> Result<(), StateError> {
    open_log_len(transaction, source, run).await.map(drop)
}

/// Records the length of the edge log, and the engine's notes.
pub(super) async fn note(
    transaction: &mut Transaction<'_, Sqlite>,
    source: &str,
    run: RunId,
    checkpoint: &Checkpoint<'_>,
) -> Result<(), StateError> {
    let len = checkpoint.edge_log_len;
    let stored = open_log_len(transaction, source, run).await?;
    if len < stored {
        return Err(StateError::EdgeLogShrank { stored, given: len });
    }
    sqlx::query("UPDATE run SET edge_log_len = ?, progress = ifnull(?, progress) WHERE id = ?")
        .bind(signed(len))
        .bind(checkpoint.progress)
        .bind(run.0)
        .execute(&mut **transaction)
        .await
        .map_err(storage("written"))?;
    Ok(())
}

async fn open_log_len(
    transaction: &mut Transaction<'_, Sqlite>,
    source: &str,
    run: RunId,
) -> Result<u64, StateError> {
    let len: Option<i64> =
        sqlx::query_scalar("SELECT edge_log_len FROM run WHERE id = ? AND source = ? AND open = 1")
            .bind(run.0)
            .bind(source)
            .fetch_optional(&mut **transaction)
            .await
            .map_err(storage("read"))?;
    len.map(unsigned).ok_or(StateError::RunNotOpen { run })
}
