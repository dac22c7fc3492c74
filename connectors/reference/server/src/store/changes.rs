//! States and deltas, read from the change log.
//!
//! A state is named `INSTANCE-SEQUENCE`: the random id of the database file and the number of its
//! last change. A delta between two states is the net effect per object, looked up from the log's
//! rows between them; its cost follows the number of those rows, not the size of the model.

use axum::http::StatusCode;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::{Store, read, sql};
use crate::error::ApiError;
use crate::model::{COLLECTIONS, Collection};

/// Part of the change log: after `low`, up to and including `high`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    /// Where the delta starts; decides what is net.
    pub(crate) from: i64,
    pub(crate) low: i64,
    pub(crate) high: i64,
}

/// Number of the last change; 0 before the first.
pub(crate) async fn last(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    sqlx::query("SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'changes'")
        .fetch_one(connection)
        .await?
        .try_get(0)
}

/// Number of the last change that the log no longer holds.
async fn pruned_up_to(connection: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let oldest: Option<i64> = sqlx::query("SELECT min(seq) FROM changes")
        .fetch_one(&mut *connection)
        .await?
        .try_get(0)?;
    match oldest {
        Some(seq) => Ok(seq - 1),
        None => last(connection).await,
    }
}

impl Store {
    /// Name of the state after change `seq`.
    pub(crate) fn state_name(&self, seq: i64) -> String {
        format!("{}-{seq}", self.instance)
    }

    /// Name of the present state.
    pub(crate) async fn state(&self) -> Result<String, ApiError> {
        let mut connection = self.readers.acquire().await?;
        Ok(self.state_name(last(&mut connection).await?))
    }

    fn sequence(&self, parameter: &str, state: &str) -> Result<i64, ApiError> {
        let malformed = || {
            ApiError::bad(
                "bad_state",
                format!("`{parameter}` is not a state id; take one from /model_state_id/"),
            )
        };
        let (instance, seq) = state.rsplit_once('-').ok_or_else(malformed)?;
        let digits = !seq.is_empty() && seq.bytes().all(|b| b.is_ascii_digit());
        let hex = instance.len() == 32 && instance.bytes().all(|b| b.is_ascii_hexdigit());
        if !digits || !hex {
            return Err(malformed());
        }
        let seq = seq.parse().map_err(|_| malformed())?;
        if instance != self.instance {
            return Err(ApiError::new(
                StatusCode::CONFLICT,
                "foreign_state",
                format!("`{parameter}` names a state of another database; do a full import"),
            ));
        }
        Ok(seq)
    }

    /// Checks the two states of a delta and returns their numbers. `to` defaults to the present.
    pub(crate) async fn delta_range(
        &self,
        connection: &mut SqliteConnection,
        from: &str,
        to: Option<&str>,
    ) -> Result<(i64, i64), ApiError> {
        let now = last(connection).await?;
        let low = self.sequence("from", from)?;
        let high = to.map_or(Ok(now), |to| self.sequence("to", to))?;
        for (name, seq) in [("from", low), ("to", high)] {
            if seq > now {
                return Err(ApiError::new(
                    StatusCode::CONFLICT,
                    "future_state",
                    format!(
                        "`{name}` names a state that this database has not reached; it may have \
                         been restored from a copy; do a full import"
                    ),
                ));
            }
        }
        if low > high {
            return Err(ApiError::bad(
                "from_after_to",
                "`from` names a later state than `to`",
            ));
        }
        if low < high && low < pruned_up_to(connection).await? {
            return Err(ApiError::new(
                StatusCode::GONE,
                "state_too_old",
                "the changes since `from` are no longer kept; do a full import",
            ));
        }
        Ok((low, high))
    }
}

/// The collections that have a change in the window.
pub(crate) async fn touched(
    connection: &mut SqliteConnection,
    window: Window,
) -> Result<Vec<&'static Collection>, ApiError> {
    let rows = sqlx::query("SELECT DISTINCT collection FROM changes WHERE seq > ?1 AND seq <= ?2")
        .bind(window.low)
        .bind(window.high)
        .fetch_all(connection)
        .await?;
    let mut names = Vec::with_capacity(rows.len());
    for row in rows {
        names.push(row.try_get::<String, _>(0)?);
    }
    Ok(COLLECTIONS
        .iter()
        .filter(|c| names.iter().any(|n| n == c.name))
        .collect())
}

/// Which list of a delta is read.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// Objects that exist now and changed in the window.
    Updates,
    /// Objects that existed at the start and do not now.
    Deletions,
    /// Links of the relation at this position that existed at the start and do not now, though
    /// both ends do.
    RemovedLinks(usize),
}

/// Reads one list for one window: JSON objects with commas between them.
pub(crate) async fn part(
    connection: &mut SqliteConnection,
    collection: &Collection,
    part: Part,
    base: &str,
    window: Window,
) -> Result<Option<String>, ApiError> {
    let statements: &'static sql::CollectionSql = read::statements(collection)?;
    let statement = match part {
        Part::Updates => Some(&statements.updates),
        Part::Deletions => Some(&statements.deletions),
        Part::RemovedLinks(at) => statements.relations.get(at).map(|r| &r.removed),
    };
    let Some(statement) = statement else {
        return Ok(None);
    };
    let row = sqlx::query(statement.as_str())
        .bind(base)
        .bind(window.low)
        .bind(window.high)
        .bind(window.from)
        .fetch_one(connection)
        .await?;
    Ok(row.try_get(0)?)
}
