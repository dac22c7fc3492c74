//! What an attempt at a step comes to, written in one transaction.

use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;

use super::command::Effects;
use super::record::{record_attempt, record_run, write_state};
use super::rows::TaskRow;
use super::schedule::{forget_awaited, schedule};
use super::storage;
use crate::failure::{Failure, FailureKind};
use crate::tasks::descriptor::TaskId;
use crate::tasks::engine::ScheduleEffect;
use crate::tasks::error::TaskError;
use crate::tasks::execute::Attempted;
use crate::tasks::schedule::{Schedule, millis, signed};
use crate::tasks::step::{LARGEST_STATE, MOST_CHILDREN, Next, Outcome};
use crate::tasks::view::{RunOutcome, Status};

/// Longest error text that is kept, in characters.
const LONGEST_ERROR: usize = 4000;

/// An attempt that ended.
#[derive(Debug)]
pub(super) struct Finished {
    pub(super) number: i64,
    pub(super) generation: i64,
    pub(super) connector: std::sync::Arc<str>,
    pub(super) began: i64,
    /// Whether the step was given children that it had waited for.
    pub(super) had_waited: bool,
    pub(super) attempted: Attempted,
}

/// Writes what came of an attempt.
pub(super) async fn finish(
    connection: &mut SqliteConnection,
    effects: &mut Effects,
    finished: &Finished,
    now: i64,
) -> Result<(), TaskError> {
    effects.touch(&finished.connector);
    let outcome = match &finished.attempted {
        Attempted::Ended(outcome) => outcome,
        Attempted::Failed(failure) => {
            return fail(connection, effects, finished, None, failure, false, now).await;
        }
        Attempted::Interrupted => return give_back(connection, finished, now).await,
    };
    let state = match checked_state(outcome) {
        Ok(state) => state,
        Err(failure) => {
            return fail(connection, effects, finished, None, &failure, false, now).await;
        }
    };
    if let Next::Fail(failure) = &outcome.next {
        return fail(
            connection,
            effects,
            finished,
            state.as_deref(),
            failure,
            true,
            now,
        )
        .await;
    }
    let plain = outcome.children.is_empty() && !finished.had_waited;
    if plain && matches!(outcome.next, Next::Again) {
        // The way that most steps take, in one statement.
        let done = sqlx::query(
            "UPDATE task SET state = coalesce(?, state), step = step + 1, attempt = 0, \
             crashes = 0, error = NULL, running = 0, due = ?, updated_at = ? \
             WHERE number = ? AND generation = ? AND status = 'ACTIVE'",
        )
        .bind(&state)
        .bind(now)
        .bind(now)
        .bind(finished.number)
        .bind(finished.generation)
        .execute(&mut *connection)
        .await
        .map_err(storage("written"))?;
        if done.rows_affected() == 1 {
            effects.counts.steps = effects.counts.steps.saturating_add(1);
            return Ok(());
        }
    }
    if plain {
        return advance(connection, effects, finished, outcome, state, now).await;
    }
    // All of the outcome or nothing of it: a child may turn out not to be possible.
    let mut part = connection.begin().await.map_err(storage("written"))?;
    match advance(&mut part, effects, finished, outcome, state, now).await {
        Ok(()) => part.commit().await.map_err(storage("written")),
        Err(error @ TaskError::Store { .. }) => Err(error),
        Err(error) => {
            part.rollback().await.map_err(storage("written"))?;
            let failure = Failure::from(error).wrap("the outcome of the step is not possible");
            fail(connection, effects, finished, None, &failure, true, now).await
        }
    }
}

/// Returns the state as it is to be stored; checks that the outcome is within bounds.
fn checked_state(outcome: &Outcome) -> Result<Option<String>, Failure> {
    let too_much = |text: String| {
        Failure::new(FailureKind::General, text)
            .hint("a step that has more to do does it in several steps")
    };
    if outcome.children.len() > MOST_CHILDREN {
        return Err(too_much(format!(
            "the step spawns {} children, and may spawn {MOST_CHILDREN}",
            outcome.children.len()
        )));
    }
    let state = outcome.state.as_ref().map(serde_json::Value::to_string);
    match state {
        Some(text) if text.len() > LARGEST_STATE => Err(too_much(format!(
            "the state of the task has {} bytes, and may have {LARGEST_STATE}",
            text.len()
        ))),
        state => Ok(state),
    }
}

/// Returns the row of an attempt whose outcome counts. Whatever else becomes of it, the step is
/// not at work any more.
async fn row_of(
    connection: &mut SqliteConnection,
    finished: &Finished,
) -> Result<Option<TaskRow>, TaskError> {
    let row = TaskRow::by_number(connection, finished.number).await?;
    match row {
        Some(mut row) if row.generation == finished.generation => {
            row.running = false;
            Ok(Some(row))
        }
        _ => {
            sqlx::query("UPDATE task SET running = 0 WHERE number = ?")
                .bind(finished.number)
                .execute(connection)
                .await
                .map_err(storage("written"))?;
            Ok(None)
        }
    }
}

/// Puts a step back that was stopped with the process: it is done again, and nothing counts.
async fn give_back(
    connection: &mut SqliteConnection,
    finished: &Finished,
    now: i64,
) -> Result<(), TaskError> {
    sqlx::query("UPDATE task SET running = 0, updated_at = ? WHERE number = ?")
        .bind(now)
        .bind(finished.number)
        .execute(connection)
        .await
        .map(drop)
        .map_err(storage("written"))
}

/// Writes an outcome: state, children, what comes next.
async fn advance(
    connection: &mut SqliteConnection,
    effects: &mut Effects,
    finished: &Finished,
    outcome: &Outcome,
    state: Option<String>,
    now: i64,
) -> Result<(), TaskError> {
    let Some(mut row) = row_of(connection, finished).await? else {
        return Ok(());
    };
    effects.counts.steps = effects.counts.steps.saturating_add(1);
    write_state(connection, row.number, state.as_deref()).await?;
    if finished.had_waited {
        forget_awaited(connection, &mut row).await?;
    }
    row.step = row.step.saturating_add(1);
    row.attempt = 0;
    row.error = None;
    let goes_on = !matches!(outcome.next, Next::Done);
    let waiting = spawn(connection, effects, &row, outcome, goes_on, now).await?;
    // Spawning may have touched this very row, and may not: nothing waits for itself.
    row.waiting = waiting;
    let paused = row.status == Status::Paused;
    let reason = if paused {
        reason(connection, row.number).await?
    } else {
        None
    };
    match &outcome.next {
        // Only failed runs lead to a pause.
        Next::Done => drop(end(connection, effects, &mut row, None, now).await?),
        Next::Again | Next::Fail(_) => row.due = Some(now),
        Next::After(wait) => {
            row.due = Some(now.saturating_add(signed(millis(*wait))));
        }
    }
    if paused || waiting > 0 {
        row.due = None;
    }
    row.write(connection, now, reason.as_deref()).await
}

async fn reason(
    connection: &mut SqliteConnection,
    number: i64,
) -> Result<Option<String>, TaskError> {
    sqlx::query_scalar("SELECT reason FROM task WHERE number = ?")
        .bind(number)
        .fetch_one(connection)
        .await
        .map_err(storage("read"))
}

/// Schedules the children; returns how many of them the task has to wait for.
async fn spawn(
    connection: &mut SqliteConnection,
    effects: &mut Effects,
    row: &TaskRow,
    outcome: &Outcome,
    goes_on: bool,
    now: i64,
) -> Result<i64, TaskError> {
    let parent = TaskId::from_text(row.id.as_str());
    let mut waiting: i64 = 0;
    for child in &outcome.children {
        if child.descriptor.id(&row.connector) == parent {
            return Err(TaskError::WaitsForItself(row.name.clone()));
        }
        let (number, scheduled) = schedule(
            connection,
            effects,
            &row.connector,
            Some(&parent),
            child,
            now,
        )
        .await?;
        if !goes_on || child.schedule != Schedule::NowAndWait {
            continue;
        }
        if waits_for(connection, number, row.number).await? {
            return Err(TaskError::WaitsForItself(row.name.clone()));
        }
        let ended = scheduled.effect == ScheduleEffect::Ended;
        sqlx::query(
            "INSERT OR REPLACE INTO awaited (parent, child, ended, error) \
             VALUES (?, ?, ?, CASE WHEN ? THEN (SELECT error FROM task WHERE number = ?) END)",
        )
        .bind(row.number)
        .bind(number)
        .bind(ended)
        .bind(ended)
        .bind(number)
        .execute(&mut *connection)
        .await
        .map_err(storage("written"))?;
        waiting = waiting.saturating_add((!ended).into());
    }
    Ok(waiting)
}

/// Returns whether a task waits for another one, directly or through others.
async fn waits_for(
    connection: &mut SqliteConnection,
    waiter: i64,
    other: i64,
) -> Result<bool, TaskError> {
    sqlx::query_scalar(
        "WITH RECURSIVE chain (number) AS (SELECT ?1 UNION SELECT awaited.child FROM awaited \
         JOIN chain ON awaited.parent = chain.number WHERE awaited.ended = 0) \
         SELECT EXISTS (SELECT 1 FROM chain WHERE number = ?2)",
    )
    .bind(waiter)
    .bind(other)
    .fetch_one(connection)
    .await
    .map_err(storage("read"))
}

/// Writes a failed attempt, and what follows from it.
async fn fail(
    connection: &mut SqliteConnection,
    effects: &mut Effects,
    finished: &Finished,
    state: Option<&str>,
    failure: &Failure,
    for_good: bool,
    now: i64,
) -> Result<(), TaskError> {
    let Some(mut row) = row_of(connection, finished).await? else {
        return Ok(());
    };
    write_state(connection, row.number, state).await?;
    let text = error_text(failure);
    row.attempt = row.attempt.saturating_add(1);
    row.run_attempts = row.run_attempts.saturating_add(1);
    effects.counts.failed_attempts = effects.counts.failed_attempts.saturating_add(1);
    let wait = if for_good {
        None
    } else {
        row.policy.next_wait(failure, row.attempt, &row.id)
    };
    record_attempt(connection, &row, finished.began, now, &text, wait).await?;
    row.error = Some(text);
    let mut reason = None;
    match wait {
        Some(wait) if row.status == Status::Active => row.due = Some(now.saturating_add(wait)),
        Some(_) => row.due = None,
        None => {
            if finished.had_waited {
                forget_awaited(connection, &mut row).await?;
            }
            let error = row.error.clone();
            reason = end(connection, effects, &mut row, error.as_deref(), now).await?;
        }
    }
    if row.status == Status::Paused && reason.is_none() {
        reason = self::reason(connection, row.number).await?;
        row.due = None;
    }
    row.write(connection, now, reason.as_deref()).await
}

/// Ends the run of a task and plans the next one, if there is one. Returns why the task is
/// paused now, if it is. The row is not written.
async fn end(
    connection: &mut SqliteConnection,
    effects: &mut Effects,
    row: &mut TaskRow,
    error: Option<&str>,
    now: i64,
) -> Result<Option<String>, TaskError> {
    let (outcome, count) = match error {
        None => (RunOutcome::Done, &mut effects.counts.done_runs),
        Some(_) => (RunOutcome::Failed, &mut effects.counts.failed_runs),
    };
    *count = count.saturating_add(1);
    record_run(connection, row, outcome, now, error).await?;
    row.failed_runs = match error {
        None => 0,
        Some(_) => row.failed_runs.saturating_add(1),
    };
    row.run_began = None;
    (row.step, row.attempt, row.run_attempts) = (0, 0, 0);
    tell(connection, effects, row, error, now).await?;
    if std::mem::take(&mut row.rerun) {
        row.tick = now;
        row.due = Some(now);
        return Ok(None);
    }
    let Some(recurring) = row.schedule.recurring() else {
        if row.status == Status::Active || error.is_none() {
            row.status = if error.is_none() {
                Status::Terminated
            } else {
                Status::Failed
            };
        }
        row.due = None;
        return Ok(None);
    };
    let (tick, due) = recurring.after_run(row.tick, row.backlog, now, &row.id);
    (row.tick, row.due) = (tick, Some(due));
    let limit = i64::from(row.policy.pause_after);
    if limit > 0 && row.failed_runs >= limit && row.status == Status::Active {
        row.status = Status::Paused;
        row.due = None;
        return Ok(Some(format!(
            "paused after {limit} failed runs in a row; resume it once the cause is mended"
        )));
    }
    Ok(None)
}

/// Tells everybody who waits for the end of a run.
pub(super) async fn tell(
    connection: &mut SqliteConnection,
    effects: &mut Effects,
    row: &TaskRow,
    error: Option<&str>,
    now: i64,
) -> Result<(), TaskError> {
    effects.ended.push((row.number, error.map(str::to_owned)));
    let parents: Vec<i64> = sqlx::query_scalar(
        "UPDATE awaited SET ended = 1, error = ? WHERE child = ? AND ended = 0 RETURNING parent",
    )
    .bind(error)
    .bind(row.number)
    .fetch_all(&mut *connection)
    .await
    .map_err(storage("written"))?;
    for parent in parents {
        sqlx::query(
            "UPDATE task SET due = CASE WHEN waiting <= 1 AND status = 'ACTIVE' THEN ? ELSE due END, \
             waiting = max(waiting - 1, 0) WHERE number = ?",
        )
        .bind(now)
        .bind(parent)
        .execute(&mut *connection)
        .await
        .map_err(storage("written"))?;
    }
    Ok(())
}

/// Writes a failure with its causes in one line of bounded length.
fn error_text(failure: &Failure) -> String {
    failure
        .chain()
        .join(": ")
        .chars()
        .take(LONGEST_ERROR)
        .collect()
}
