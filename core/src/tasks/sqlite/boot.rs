//! What is done once at the start, and when the clock jumps.

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection as _, FromRow as _};

use super::rows::{self, TaskRow};
use super::storage;
use crate::state::Clock;
use crate::tasks::error::TaskError;
use crate::tasks::view::Status;

/// A clock that stands this much behind what the store has seen was set back. In milliseconds.
pub(super) const JUMP: i64 = 2000;

/// Puts right what the end of the process before left behind. Returns how many tasks there are.
pub(super) async fn boot(
    connection: &mut SqliteConnection,
    clock: &dyn Clock,
) -> Result<i64, TaskError> {
    let now = rows::now(clock);
    let mut transaction = connection
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(storage("written"))?;
    let (seen, tasks): (Option<i64>, i64) =
        sqlx::query_as("SELECT max(updated_at), count(*) FROM task")
            .fetch_one(&mut *transaction)
            .await
            .map_err(storage("read"))?;
    if let Some(seen) = seen.filter(|seen| seen.saturating_sub(JUMP) > now) {
        shift(&mut transaction, now.saturating_sub(seen)).await?;
        // Otherwise the same jump would be seen at the next start too.
        sqlx::query("UPDATE task SET updated_at = min(updated_at, ?)")
            .bind(now)
            .execute(&mut *transaction)
            .await
            .map_err(storage("written"))?;
    }
    put_back(&mut transaction, now).await?;
    catch_up(&mut transaction, now).await?;
    transaction.commit().await.map_err(storage("written"))?;
    Ok(tasks)
}

/// Puts steps back that were at work when the process ended. Whatever ends it again and again is
/// given more and more time, and then left alone.
async fn put_back(connection: &mut SqliteConnection, now: i64) -> Result<(), TaskError> {
    let rows = sqlx::query("SELECT * FROM task WHERE running = 1")
        .fetch_all(&mut *connection)
        .await
        .map_err(storage("read"))?;
    for row in &rows {
        let task = TaskRow::from_row(row).map_err(storage("read"))?;
        let crashes: u32 = sqlx::Row::try_get(row, "crashes").map_err(storage("read"))?;
        let crashes = crashes.saturating_add(1);
        let limit = task.policy.crashes;
        let gives_up = limit > 0 && crashes >= limit && task.status == Status::Active;
        let reason = gives_up.then(|| {
            format!("paused: the process ended {crashes} times in the middle of this step")
        });
        let due = match crashes {
            _ if gives_up || task.status != Status::Active => None,
            1 => Some(now),
            more => Some(now.saturating_add(task.policy.wait(more, &task.id))),
        };
        let status = if gives_up {
            Status::Paused
        } else {
            task.status
        };
        sqlx::query(
            "UPDATE task SET running = 0, crashes = ?, status = ?, due = ?, \
             reason = coalesce(?, reason), updated_at = ? WHERE number = ?",
        )
        .bind(if gives_up { 0 } else { crashes })
        .bind(status.as_str())
        .bind(due)
        .bind(reason)
        .bind(now)
        .bind(task.number)
        .execute(&mut *connection)
        .await
        .map_err(storage("written"))?;
    }
    Ok(())
}

/// Plans the runs that were missed while no process was there.
async fn catch_up(connection: &mut SqliteConnection, now: i64) -> Result<(), TaskError> {
    let tasks: Vec<TaskRow> = sqlx::query_as(
        "SELECT * FROM task WHERE recurring = 1 AND due < ? AND run_began IS NULL AND run > 0",
    )
    .bind(now)
    .fetch_all(&mut *connection)
    .await
    .map_err(storage("read"))?;
    for task in tasks {
        let Some(recurring) = task.schedule.recurring() else {
            continue;
        };
        let (tick, due) = recurring.after_absence(task.tick, now, &task.id);
        sqlx::query("UPDATE task SET tick = ?, due = ?, backlog = ? WHERE number = ?")
            .bind(tick)
            .bind(due)
            .bind(now)
            .bind(task.number)
            .execute(&mut *connection)
            .await
            .map_err(storage("written"))?;
    }
    Ok(())
}

/// Moves waits with a clock that has jumped by so many milliseconds, so that they stay as long
/// as they were. What is for a certain time stays where it is.
pub(super) async fn shift(connection: &mut SqliteConnection, by: i64) -> Result<(), TaskError> {
    sqlx::query(
        "UPDATE task SET due = due + ?1, tick = tick + ?1, backlog = backlog + ?1 \
                 WHERE due IS NOT NULL AND (absolute = 0 OR attempt > 0)",
    )
    .bind(by)
    .execute(connection)
    .await
    .map(drop)
    .map_err(storage("written"))
}
