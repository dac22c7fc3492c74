//! Runs of the past in SQLite.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{FromRow, Row as _, Sqlite, Transaction};

use super::text::{outcome, unlist};
use super::{storage, unsigned};
use crate::report::Mode;
use crate::state::error::StateError;
use crate::state::model::{PastRun, RunId};

/// Closed runs that are kept, by source.
const HISTORY: i64 = 20;

struct PastRow {
    id: i64,
    mode: String,
    started_at: i64,
    ended_at: Option<i64>,
    outcome: Option<String>,
    error: Option<String>,
    open: bool,
    resumes: i64,
    report: Option<String>,
}

impl FromRow<'_, SqliteRow> for PastRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            id: row.try_get("id")?,
            mode: row.try_get("mode")?,
            started_at: row.try_get("started_at")?,
            ended_at: row.try_get("ended_at")?,
            outcome: row.try_get("outcome")?,
            error: row.try_get("error")?,
            open: row.try_get("open")?,
            resumes: row.try_get("resumes")?,
            report: row.try_get("report")?,
        })
    }
}

/// Returns the last runs of a source.
pub(super) async fn history(
    connection: &mut SqliteConnection,
    source: &str,
    limit: u32,
) -> Result<Vec<PastRun>, StateError> {
    let rows: Vec<PastRow> = sqlx::query_as(
        "SELECT id, mode, started_at, ended_at, outcome, error, open, resumes, report FROM run \
         WHERE source = ? ORDER BY id DESC LIMIT ?",
    )
    .bind(source)
    .bind(i64::from(limit))
    .fetch_all(connection)
    .await
    .map_err(storage("read"))?;
    let past = |row: PastRow| PastRun {
        id: RunId(row.id),
        mode: match row.mode.as_str() {
            "incremental" => Mode::Incremental,
            _ => Mode::Full,
        },
        started_at: unsigned(row.started_at),
        ended_at: row.ended_at.map(unsigned),
        outcome: row.outcome.as_deref().map(outcome),
        error: unlist(row.error),
        open: row.open,
        resumes: u32::try_from(row.resumes).unwrap_or(u32::MAX),
        report: row.report,
    };
    Ok(rows.into_iter().map(past).collect())
}

/// Forgets old runs, but never the last full one, whose failed scopes may be asked for.
pub(super) async fn prune(
    transaction: &mut Transaction<'_, Sqlite>,
    source: &str,
) -> Result<(), StateError> {
    sqlx::query(
        "DELETE FROM run WHERE source = ?1 AND open = 0 AND id NOT IN ( \
             SELECT id FROM run WHERE source = ?1 AND open = 0 ORDER BY id DESC LIMIT ?2) \
         AND id <> ifnull((SELECT max(id) FROM run WHERE source = ?1 AND mode = 'full'), 0)",
    )
    .bind(source)
    .bind(HISTORY)
    .execute(&mut **transaction)
    .await
    .map_err(storage("written"))?;
    Ok(())
}
