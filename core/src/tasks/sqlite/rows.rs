//! A task as it is stored.

use serde::Serialize;
use serde::de::DeserializeOwned;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{FromRow, Row as _};

use super::storage;
use crate::state::Clock;
use crate::tasks::descriptor::TaskId;
use crate::tasks::error::TaskError;
use crate::tasks::policy::Policy;
use crate::tasks::schedule::{Schedule, signed};
use crate::tasks::view::Status;

/// What is needed to change a task.
#[derive(Debug, Clone)]
pub(super) struct TaskRow {
    pub(super) number: i64,
    pub(super) id: String,
    pub(super) connector: String,
    pub(super) name: String,
    pub(super) schedule: Schedule,
    pub(super) policy: Policy,
    pub(super) status: Status,
    pub(super) generation: i64,
    pub(super) due: Option<i64>,
    pub(super) tick: i64,
    pub(super) backlog: i64,
    pub(super) running: bool,
    pub(super) rerun: bool,
    pub(super) waiting: i64,
    pub(super) run: i64,
    pub(super) run_began: Option<i64>,
    pub(super) step: i64,
    pub(super) attempt: u32,
    pub(super) run_attempts: i64,
    pub(super) failed_runs: i64,
    pub(super) error: Option<String>,
}

impl FromRow<'_, SqliteRow> for TaskRow {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            number: row.try_get("number")?,
            id: row.try_get("id")?,
            connector: row.try_get("connector")?,
            name: row.try_get("name")?,
            schedule: from_json(row.try_get("schedule")?),
            policy: from_json(row.try_get("policy")?),
            status: status(row.try_get("status")?),
            generation: row.try_get("generation")?,
            due: row.try_get("due")?,
            tick: row.try_get("tick")?,
            backlog: row.try_get("backlog")?,
            running: row.try_get("running")?,
            rerun: row.try_get("rerun")?,
            waiting: row.try_get("waiting")?,
            run: row.try_get("run")?,
            run_began: row.try_get("run_began")?,
            step: row.try_get("step")?,
            attempt: row.try_get("attempt")?,
            run_attempts: row.try_get("run_attempts")?,
            failed_runs: row.try_get("failed_runs")?,
            error: row.try_get("error")?,
        })
    }
}

impl TaskRow {
    /// Finds a task by its number.
    pub(super) async fn by_number(
        connection: &mut SqliteConnection,
        number: i64,
    ) -> Result<Option<Self>, TaskError> {
        sqlx::query_as("SELECT * FROM task WHERE number = ?")
            .bind(number)
            .fetch_optional(connection)
            .await
            .map_err(storage("read"))
    }

    /// Finds a task by its id.
    pub(super) async fn by_id(
        connection: &mut SqliteConnection,
        id: &TaskId,
    ) -> Result<Option<Self>, TaskError> {
        sqlx::query_as("SELECT * FROM task WHERE id = ?")
            .bind(id.as_str())
            .fetch_optional(connection)
            .await
            .map_err(storage("read"))
    }

    /// Returns whether it runs, waits to, or is paused.
    pub(super) const fn is_open(&self) -> bool {
        matches!(self.status, Status::Active | Status::Paused)
    }

    /// Writes what may have changed. Columns that belong to the descriptor stay, and so does
    /// the state.
    pub(super) async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: i64,
        reason: Option<&str>,
    ) -> Result<(), TaskError> {
        sqlx::query(
            "UPDATE task SET name = ?, schedule = ?, absolute = ?, recurring = ?, policy = ?, \
             status = ?, generation = ?, due = ?, tick = ?, backlog = ?, running = ?, rerun = ?, \
             waiting = ?, run = ?, run_began = ?, step = ?, attempt = ?, run_attempts = ?, \
             crashes = 0, failed_runs = ?, error = ?, reason = ?, updated_at = ? \
             WHERE number = ?",
        )
        .bind(&self.name)
        .bind(to_json(&self.schedule))
        .bind(self.schedule.is_absolute())
        .bind(self.schedule.recurring().is_some())
        .bind(to_json(&self.policy))
        .bind(self.status.as_str())
        .bind(self.generation)
        .bind(self.due)
        .bind(self.tick)
        .bind(self.backlog)
        .bind(self.running)
        .bind(self.rerun)
        .bind(self.waiting)
        .bind(self.run)
        .bind(self.run_began)
        .bind(self.step)
        .bind(self.attempt)
        .bind(self.run_attempts)
        .bind(self.failed_runs)
        .bind(&self.error)
        .bind(reason)
        .bind(now)
        .bind(self.number)
        .execute(connection)
        .await
        .map(drop)
        .map_err(storage("written"))
    }
}

/// Reads the word for a status. A word of a newer version never gets here.
pub(super) fn status(word: &str) -> Status {
    Status::from_word(word).unwrap_or(Status::Failed)
}

/// Writes what always is JSON.
pub(super) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Reads what [`to_json`] wrote.
pub(super) fn from_json<T: DeserializeOwned + Default>(text: &str) -> T {
    serde_json::from_str(text).unwrap_or_default()
}

/// Returns the time in milliseconds since 1970.
pub(super) fn now(clock: &dyn Clock) -> i64 {
    signed(clock.now().unix_ms)
}
