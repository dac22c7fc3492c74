//! What is kept of a task's past, and its state.

use sqlx::sqlite::SqliteConnection;

use super::rows::TaskRow;
use super::storage;
use crate::tasks::error::TaskError;
use crate::tasks::view::RunOutcome;

/// Runs of a task that are kept.
const KEPT_RUNS: i64 = 50;
/// Failed attempts of a run that are kept.
const KEPT_ATTEMPTS: i64 = 50;
/// Replaces the state, where there is a new one.
pub(super) async fn write_state(
    connection: &mut SqliteConnection,
    number: i64,
    state: Option<&str>,
) -> Result<(), TaskError> {
    let Some(state) = state else { return Ok(()) };
    sqlx::query("UPDATE task SET state = ? WHERE number = ?")
        .bind(state)
        .bind(number)
        .execute(connection)
        .await
        .map(drop)
        .map_err(storage("written"))
}

/// Records a run that has ended, and forgets the oldest.
pub(super) async fn record_run(
    connection: &mut SqliteConnection,
    row: &TaskRow,
    outcome: RunOutcome,
    now: i64,
    error: Option<&str>,
) -> Result<(), TaskError> {
    sqlx::query(
        "INSERT OR REPLACE INTO run (task, run, began, ended, outcome, steps, attempts, error) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(row.number)
    .bind(row.run)
    .bind(row.run_began.unwrap_or(now))
    .bind(now)
    .bind(outcome.as_str())
    .bind(row.step)
    .bind(row.run_attempts)
    .bind(error)
    .execute(&mut *connection)
    .await
    .map_err(storage("written"))?;
    if row.run <= KEPT_RUNS {
        return Ok(());
    }
    for forget in [
        "DELETE FROM run WHERE task = ? AND run <= ?",
        "DELETE FROM attempt WHERE task = ? AND run <= ?",
    ] {
        sqlx::query(forget)
            .bind(row.number)
            .bind(row.run.saturating_sub(KEPT_RUNS))
            .execute(&mut *connection)
            .await
            .map_err(storage("written"))?;
    }
    Ok(())
}

/// Records an attempt that failed, and forgets the oldest.
pub(super) async fn record_attempt(
    connection: &mut SqliteConnection,
    row: &TaskRow,
    began: i64,
    now: i64,
    error: &str,
    wait: Option<i64>,
) -> Result<(), TaskError> {
    sqlx::query(
        "INSERT OR REPLACE INTO attempt (task, run, number, step, attempt, began, ended, error, \
         wait) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(row.number)
    .bind(row.run)
    .bind(row.run_attempts)
    .bind(row.step.saturating_add(1))
    .bind(row.attempt)
    .bind(began)
    .bind(now)
    .bind(error)
    .bind(wait)
    .execute(&mut *connection)
    .await
    .map_err(storage("written"))?;
    if row.run_attempts <= KEPT_ATTEMPTS {
        return Ok(());
    }
    sqlx::query("DELETE FROM attempt WHERE task = ? AND run = ? AND number <= ?")
        .bind(row.number)
        .bind(row.run)
        .bind(row.run_attempts.saturating_sub(KEPT_ATTEMPTS))
        .execute(connection)
        .await
        .map(drop)
        .map_err(storage("written"))
}
