//! Scheduling: what becomes of a new task, and of one that is known.

use sqlx::sqlite::SqliteConnection;

use super::command::Effects;
use super::finish;
use super::record::record_run;
use super::rows::{TaskRow, to_json};
use super::storage;
use crate::tasks::descriptor::TaskId;
use crate::tasks::engine::{ScheduleEffect, Scheduled};
use crate::tasks::error::TaskError;
use crate::tasks::schedule::Restart;
use crate::tasks::step::TaskSpec;
use crate::tasks::view::{RunOutcome, Status};

/// Schedules a task; returns its number too.
pub(super) async fn schedule(
    connection: &mut SqliteConnection,
    effects: &mut Effects,
    connector: &str,
    parent: Option<&TaskId>,
    spec: &TaskSpec,
    now: i64,
) -> Result<(i64, Scheduled), TaskError> {
    let id = spec.descriptor.id(connector);
    let (number, effect) = match TaskRow::by_id(connection, &id).await? {
        None => {
            let number = insert(connection, connector, parent, &id, spec, now).await?;
            (number, ScheduleEffect::Started)
        }
        Some(row) => {
            let number = row.number;
            (number, again(connection, effects, row, spec, now).await?)
        }
    };
    effects.touch(connector);
    Ok((number, Scheduled { id, effect }))
}

async fn insert(
    connection: &mut SqliteConnection,
    connector: &str,
    parent: Option<&TaskId>,
    id: &TaskId,
    spec: &TaskSpec,
    now: i64,
) -> Result<i64, TaskError> {
    let tick = spec.schedule.first(now);
    sqlx::query_scalar(
        "INSERT INTO task (id, connector, parent, name, descriptor, schedule, absolute, \
         recurring, policy, status, generation, due, tick, backlog, running, rerun, waiting, run, \
         step, attempt, run_attempts, crashes, failed_runs, created_at, updated_at) \
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'ACTIVE', 1, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ?, ?) \
         RETURNING number",
    )
    .bind(id.as_str())
    .bind(connector)
    .bind(parent.map(TaskId::as_str))
    .bind(&spec.name)
    .bind(spec.descriptor.as_str())
    .bind(to_json(&spec.schedule))
    .bind(spec.schedule.is_absolute())
    .bind(spec.schedule.recurring().is_some())
    .bind(to_json(&spec.policy))
    .bind(tick)
    .bind(tick)
    .bind(now)
    .bind(now)
    .fetch_one(connection)
    .await
    .map_err(storage("written"))
}

/// Schedules a task that is known.
async fn again(
    connection: &mut SqliteConnection,
    effects: &mut Effects,
    mut row: TaskRow,
    spec: &TaskSpec,
    now: i64,
) -> Result<ScheduleEffect, TaskError> {
    if spec.restart == Restart::Never {
        return Ok(if row.is_open() {
            ScheduleEffect::Active
        } else {
            ScheduleEffect::Ended
        });
    }
    let rescheduled = row.schedule != spec.schedule;
    let unchanged = !rescheduled && row.policy == spec.policy && row.name == spec.name;
    row.schedule = spec.schedule.clone();
    row.policy = spec.policy.clone();
    row.name.clone_from(&spec.name);
    if !row.is_open() {
        begin_anew(connection, &mut row, row_first(spec, now), now).await?;
        return Ok(ScheduleEffect::Started);
    }
    let between_runs = row.run_began.is_none();
    let effect = match spec.restart {
        Restart::StopAndRestart => {
            end_run(connection, effects, &mut row, now).await?;
            begin_anew(connection, &mut row, row_first(spec, now), now).await?;
            return Ok(ScheduleEffect::Restarted);
        }
        Restart::Always if row.status == Status::Active && !between_runs => {
            row.rerun = true;
            ScheduleEffect::Queued
        }
        Restart::Always if row.status == Status::Active => {
            row.tick = row_first(spec, now);
            row.due = Some(row.tick);
            ScheduleEffect::Started
        }
        _ if unchanged => return Ok(ScheduleEffect::Active),
        _ => {
            if rescheduled && between_runs && row.status == Status::Active {
                // A shorter period counts from now on, and does not bring a run at once.
                let next = match row.schedule.recurring() {
                    Some(recurring) => recurring.after_run(now, 0, now, &row.id),
                    None => (row_first(spec, now), row_first(spec, now)),
                };
                (row.tick, row.due) = (next.0, Some(next.1));
            }
            ScheduleEffect::Active
        }
    };
    let reason = reason_of(connection, row.number).await?;
    write_keeping_crashes(connection, &row, now, reason.as_deref()).await?;
    Ok(effect)
}

fn row_first(spec: &TaskSpec, now: i64) -> i64 {
    spec.schedule.first(now)
}

async fn reason_of(
    connection: &mut SqliteConnection,
    number: i64,
) -> Result<Option<String>, TaskError> {
    sqlx::query_scalar("SELECT reason FROM task WHERE number = ?")
        .bind(number)
        .fetch_one(connection)
        .await
        .map_err(storage("read"))
}

/// Writes a row whose step may be at work.
async fn write_keeping_crashes(
    connection: &mut SqliteConnection,
    row: &TaskRow,
    now: i64,
    reason: Option<&str>,
) -> Result<(), TaskError> {
    let crashes: i64 = sqlx::query_scalar("SELECT crashes FROM task WHERE number = ?")
        .bind(row.number)
        .fetch_one(&mut *connection)
        .await
        .map_err(storage("read"))?;
    row.write(connection, now, reason).await?;
    sqlx::query("UPDATE task SET crashes = ? WHERE number = ? AND crashes <> ?")
        .bind(crashes)
        .bind(row.number)
        .bind(crashes)
        .execute(connection)
        .await
        .map(drop)
        .map_err(storage("written"))
}

/// Lets a task begin a new run at a time. A step that is at work is fenced off by the generation;
/// the run begins once it has ended.
pub(super) async fn begin_anew(
    connection: &mut SqliteConnection,
    row: &mut TaskRow,
    due: i64,
    now: i64,
) -> Result<(), TaskError> {
    row.status = Status::Active;
    row.generation = row.generation.saturating_add(1);
    row.tick = due;
    row.due = Some(due);
    row.backlog = 0;
    row.rerun = false;
    row.run_began = None;
    (row.step, row.attempt, row.run_attempts, row.failed_runs) = (0, 0, 0, 0);
    row.error = None;
    forget_awaited(connection, row).await?;
    row.write(connection, now, None).await
}

/// Ends the run that is under way, if there is one: its step is asked to stop, and whatever
/// comes of it does not count. The row is not written.
pub(super) async fn end_run(
    connection: &mut SqliteConnection,
    effects: &mut Effects,
    row: &mut TaskRow,
    now: i64,
) -> Result<(), TaskError> {
    if row.running {
        effects.stop.push(row.number);
    }
    if row.run_began.is_some() {
        record_run(connection, row, RunOutcome::Stopped, now, None).await?;
        row.run_began = None;
    }
    finish::tell(connection, effects, row, Some("it was stopped"), now).await
}

/// Forgets the children that a task waits for.
pub(super) async fn forget_awaited(
    connection: &mut SqliteConnection,
    row: &mut TaskRow,
) -> Result<(), TaskError> {
    row.waiting = 0;
    sqlx::query("DELETE FROM awaited WHERE parent = ?")
        .bind(row.number)
        .execute(connection)
        .await
        .map(drop)
        .map_err(storage("written"))
}
