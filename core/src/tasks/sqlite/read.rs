//! Reading: tasks as they can be seen.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{FromRow, Row as _};

use super::keeper::TaskCounts;
use super::rows::{from_json, status};
use super::storage;
use crate::tasks::descriptor::{TaskDescriptor, TaskId};
use crate::tasks::error::TaskError;
use crate::tasks::view::{
    Activity, AttemptView, Listing, RunOutcome, RunView, Status, TaskHistory, TaskPage, TaskView,
};

/// Tasks in a page when nobody says how many.
const USUAL_PAGE: u32 = 50;
/// Most tasks in a page.
const LARGEST_PAGE: u32 = 1000;

struct Seen {
    number: i64,
    view: TaskView,
}

impl FromRow<'_, SqliteRow> for Seen {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        let count = |column: &str| row.try_get(column).map(i64::unsigned_abs);
        let text = |column: &str| row.try_get::<String, _>(column);
        let parent: Option<String> = row.try_get("parent")?;
        let state: Option<&str> = row.try_get("state")?;
        let descriptor = TaskDescriptor::parse(row.try_get("descriptor")?);
        let status = status(row.try_get("status")?);
        let view = TaskView {
            id: TaskId::from_text(text("id")?),
            connector: text("connector")?,
            parent: parent.map(TaskId::from_text),
            name: text("name")?,
            descriptor: descriptor.map_err(|error| sqlx::Error::Decode(error.into()))?,
            schedule: from_json(row.try_get("schedule")?),
            status,
            activity: activity(row, status)?,
            state: state.and_then(|text| serde_json::from_str(text).ok()),
            error: row.try_get("error")?,
            reason: row.try_get("reason")?,
            runs: count("run")?,
            failed_runs: count("failed_runs")?,
            attempts: row.try_get("attempt")?,
            next: row.try_get("due")?,
            created_at: row.try_get("created_at")?,
            updated_at: row.try_get("updated_at")?,
        };
        Ok(Self {
            number: row.try_get("number")?,
            view,
        })
    }
}

/// Says what a task is doing; whether it is due is seen [later](Seen::at).
fn activity(row: &SqliteRow, status: Status) -> sqlx::Result<Activity> {
    let running: bool = row.try_get("running")?;
    let waiting: i64 = row.try_get("waiting")?;
    let attempt: u32 = row.try_get("attempt")?;
    let due: Option<i64> = row.try_get("due")?;
    Ok(match (status, due) {
        _ if running => Activity::Running,
        (Status::Active, _) if waiting > 0 => Activity::Children,
        (Status::Active, Some(_)) if attempt > 0 => Activity::Retrying,
        (Status::Active, Some(_)) => Activity::Waiting,
        _ => Activity::None,
    })
}

impl Seen {
    fn at(mut self, now: i64) -> TaskView {
        if self.view.activity == Activity::Waiting && self.view.next.is_some_and(|due| due <= now) {
            self.view.activity = Activity::Due;
        }
        self.view
    }
}

/// Returns a task.
pub(super) async fn task(
    connection: &mut SqliteConnection,
    connector: &str,
    id: &TaskId,
    now: i64,
) -> Result<TaskView, TaskError> {
    one(connection, connector, id)
        .await
        .map(|seen| seen.at(now))
}

async fn one(
    connection: &mut SqliteConnection,
    connector: &str,
    id: &TaskId,
) -> Result<Seen, TaskError> {
    sqlx::query_as("SELECT * FROM task WHERE id = ? AND connector = ?")
        .bind(id.as_str())
        .bind(connector)
        .fetch_optional(connection)
        .await
        .map_err(storage("read"))?
        .ok_or_else(|| TaskError::NoTask {
            connector: connector.to_owned(),
            task: id.clone(),
        })
}

/// Returns a task with its past.
pub(super) async fn history(
    connection: &mut SqliteConnection,
    connector: &str,
    id: &TaskId,
    now: i64,
) -> Result<TaskHistory, TaskError> {
    let seen = one(connection, connector, id).await?;
    let runs = sqlx::query("SELECT * FROM run WHERE task = ? ORDER BY run DESC")
        .bind(seen.number)
        .fetch_all(&mut *connection)
        .await
        .map_err(storage("read"))?;
    let runs: sqlx::Result<Vec<RunView>> = runs.iter().map(run).collect();
    let attempts = sqlx::query(
        "SELECT * FROM attempt WHERE task = ? ORDER BY run DESC, number DESC LIMIT 200",
    )
    .bind(seen.number)
    .fetch_all(connection)
    .await
    .map_err(storage("read"))?;
    let attempts: sqlx::Result<Vec<AttemptView>> = attempts.iter().map(attempt).collect();
    Ok(TaskHistory {
        task: seen.at(now),
        runs: runs.map_err(storage("read"))?,
        attempts: attempts.map_err(storage("read"))?,
    })
}

fn run(row: &SqliteRow) -> sqlx::Result<RunView> {
    let count = |column: &str| row.try_get(column).map(i64::unsigned_abs);
    Ok(RunView {
        run: count("run")?,
        began_at: row.try_get("began")?,
        ended_at: row.try_get("ended")?,
        outcome: match row.try_get("outcome")? {
            "done" => RunOutcome::Done,
            "stopped" => RunOutcome::Stopped,
            _ => RunOutcome::Failed,
        },
        steps: count("steps")?,
        failed_attempts: count("attempts")?,
        error: row.try_get("error")?,
    })
}

fn attempt(row: &SqliteRow) -> sqlx::Result<AttemptView> {
    let count = |column: &str| row.try_get(column).map(i64::unsigned_abs);
    Ok(AttemptView {
        run: count("run")?,
        step: count("step")?,
        attempt: row.try_get("attempt")?,
        began_at: row.try_get("began")?,
        ended_at: row.try_get("ended")?,
        error: row.try_get("error")?,
        wait: row.try_get("wait")?,
    })
}

/// Lists tasks, the latest made first. Each listing goes along an index.
pub(super) async fn tasks(
    connection: &mut SqliteConnection,
    connector: &str,
    listing: &Listing,
    now: i64,
) -> Result<TaskPage, TaskError> {
    let limit = listing.limit.unwrap_or(USUAL_PAGE).clamp(1, LARGEST_PAGE);
    let before: i64 = match &listing.after {
        None => i64::MAX,
        // A mark that is none leads to an empty page.
        Some(mark) => mark.parse().unwrap_or_default(),
    };
    let parent = listing.parent.as_ref().map(TaskId::as_str);
    let status = listing.status.map(Status::as_str);
    let query = match (parent, status) {
        (Some(parent), _) => sqlx::query_as(
            "SELECT * FROM task WHERE parent = ?1 AND connector = ?2 AND number < ?3 \
             AND (?4 IS NULL OR status = ?4) ORDER BY number DESC LIMIT ?5",
        )
        .bind(parent)
        .bind(connector)
        .bind(before)
        .bind(status),
        (None, Some(status)) => sqlx::query_as(
            "SELECT * FROM task WHERE status = ?1 AND connector = ?2 AND number < ?3 \
             AND (?4 = 0 OR parent IS NULL) ORDER BY number DESC LIMIT ?5",
        )
        .bind(status)
        .bind(connector)
        .bind(before)
        .bind(listing.roots),
        (None, None) => sqlx::query_as(
            "SELECT * FROM task WHERE connector = ?1 AND number < ?2 \
             AND (?3 = 0 OR parent IS NULL) ORDER BY number DESC LIMIT ?4",
        )
        .bind(connector)
        .bind(before)
        .bind(listing.roots),
    };
    let seen: Vec<Seen> = query
        .bind(i64::from(limit) + 1)
        .fetch_all(connection)
        .await
        .map_err(storage("read"))?;
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = seen.len() > wanted;
    let next = seen
        .get(wanted.saturating_sub(1))
        .filter(|_| more)
        .map(|last| last.number.to_string());
    let tasks = seen.into_iter().take(wanted).map(|seen| seen.at(now));
    Ok(TaskPage {
        tasks: tasks.collect(),
        next,
    })
}

/// Counts tasks by connector and status.
pub(super) async fn counts(connection: &mut SqliteConnection) -> Result<TaskCounts, TaskError> {
    let rows: Vec<(String, String, i64)> =
        sqlx::query_as("SELECT connector, status, count(*) FROM task GROUP BY connector, status")
            .fetch_all(connection)
            .await
            .map_err(storage("read"))?;
    let mut counts = TaskCounts::new();
    for (connector, word, count) in rows {
        counts
            .entry(connector)
            .or_default()
            .insert(status(&word), count.unsigned_abs());
    }
    Ok(counts)
}
