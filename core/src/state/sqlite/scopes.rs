//! Scopes in SQLite: where each one stands.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{FromRow, Row as _, Sqlite, Transaction};

use super::text::{list, unlist};
use super::{signed, storage, unsigned};
use crate::connector::Cursor;
use crate::state::error::StateError;
use crate::state::model::{Advance, Position, RunId, ScopeState, To};

/// Moves a scope on, if it stands where the advance starts.
pub(super) async fn advance(
    transaction: &mut Transaction<'_, Sqlite>,
    run: RunId,
    advance: &Advance,
) -> Result<(), StateError> {
    let (cursor, complete) = match &advance.to {
        To::Next(cursor) => (Some(cursor.0.as_str()), false),
        To::End => (None, true),
    };
    // The row may not be there yet for the first page only.
    let statement = match &advance.from {
        None => {
            "INSERT INTO scope (run, name, cursor, complete, pages, rows) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6) \
             ON CONFLICT DO UPDATE SET cursor = ?3, complete = ?4, pages = pages + ?5, \
                                       rows = rows + ?6, error = NULL \
             WHERE complete = 0 AND cursor IS ?7"
        }
        Some(_) => {
            "UPDATE scope SET cursor = ?3, complete = ?4, pages = pages + ?5, rows = rows + ?6, \
                              error = NULL \
             WHERE run = ?1 AND name = ?2 AND complete = 0 AND cursor IS ?7"
        }
    };
    let done = sqlx::query(statement)
        .bind(run.0)
        .bind(&advance.scope)
        .bind(cursor)
        .bind(complete)
        .bind(signed(advance.pages))
        .bind(signed(advance.rows))
        .bind(advance.from.as_ref().map(|cursor| cursor.0.as_str()))
        .execute(&mut **transaction)
        .await
        .map_err(storage("written"))?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    let from = advance.from.clone().map_or(Position::Start, Position::At);
    Err(refused(transaction, run, &advance.scope, from).await?)
}

/// Notes why a scope failed.
pub(super) async fn fail_scope(
    transaction: &mut Transaction<'_, Sqlite>,
    run: RunId,
    scope: &str,
    error: &[String],
) -> Result<(), StateError> {
    let done = sqlx::query(
        "INSERT INTO scope (run, name, complete, pages, rows, error) VALUES (?1, ?2, 0, 0, 0, ?3) \
         ON CONFLICT DO UPDATE SET error = ?3 WHERE complete = 0",
    )
    .bind(run.0)
    .bind(scope)
    .bind(list(error).unwrap_or_else(|| "[]".to_owned()))
    .execute(&mut **transaction)
    .await
    .map_err(storage("written"))?;
    if done.rows_affected() == 1 {
        return Ok(());
    }
    Err(refused(transaction, run, scope, Position::End).await?)
}

async fn refused(
    transaction: &mut Transaction<'_, Sqlite>,
    run: RunId,
    scope: &str,
    from: Position,
) -> Result<StateError, StateError> {
    let row: Option<ScopeRow> = sqlx::query_as(
        "SELECT name, cursor, complete, pages, rows, error, settled FROM scope WHERE run = ? AND name = ?",
    )
    .bind(run.0)
    .bind(scope)
    .fetch_optional(&mut **transaction)
    .await
    .map_err(storage("read"))?;
    Ok(StateError::Refused {
        scope: scope.to_owned(),
        stored: row.map_or(Position::Start, |row| ScopeState::from(row).position()),
        from,
    })
}

struct ScopeRow {
    name: String,
    cursor: Option<String>,
    complete: bool,
    pages: i64,
    rows: i64,
    error: Option<String>,
    settled: bool,
}

impl FromRow<'_, SqliteRow> for ScopeRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            name: row.try_get("name")?,
            cursor: row.try_get("cursor")?,
            complete: row.try_get("complete")?,
            pages: row.try_get("pages")?,
            rows: row.try_get("rows")?,
            error: row.try_get("error")?,
            settled: row.try_get("settled")?,
        })
    }
}

impl From<ScopeRow> for ScopeState {
    fn from(row: ScopeRow) -> Self {
        Self {
            name: row.name,
            cursor: row.cursor.map(Cursor),
            pages: unsigned(row.pages),
            rows: unsigned(row.rows),
            complete: row.complete,
            settled: row.settled,
            error: unlist(row.error),
        }
    }
}

/// Returns the scopes of a run.
pub(super) async fn scopes(
    connection: &mut SqliteConnection,
    run: RunId,
) -> Result<Vec<ScopeState>, StateError> {
    let rows: Vec<ScopeRow> = sqlx::query_as(
        "SELECT name, cursor, complete, pages, rows, error, settled FROM scope WHERE run = ? ORDER BY name",
    )
    .bind(run.0)
    .fetch_all(connection)
    .await
    .map_err(storage("read"))?;
    Ok(rows.into_iter().map(ScopeState::from).collect())
}

/// Returns the failed scopes of the last full import.
pub(super) async fn failed_scopes(
    connection: &mut SqliteConnection,
    source: &str,
) -> Result<Vec<ScopeState>, StateError> {
    let rows: Vec<ScopeRow> = sqlx::query_as(
        "SELECT name, cursor, complete, pages, rows, error, settled FROM scope \
         WHERE run = (SELECT max(id) FROM run WHERE source = ? AND mode = 'full') \
           AND error IS NOT NULL \
         ORDER BY name",
    )
    .bind(source)
    .fetch_all(connection)
    .await
    .map_err(storage("read"))?;
    Ok(rows.into_iter().map(ScopeState::from).collect())
}
