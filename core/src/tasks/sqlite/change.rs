//! What people do to tasks: retry, pause, resume, stop.

use sqlx::sqlite::SqliteConnection;

use super::command::Effects;
use super::rows::TaskRow;
use super::schedule::{begin_anew, end_run, forget_awaited};
use crate::tasks::descriptor::TaskId;
use crate::tasks::error::TaskError;
use crate::tasks::view::Status;

/// What to do to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Retry,
    Pause,
    Resume,
    Stop,
}

impl Action {
    const fn done(self) -> &'static str {
        match self {
            Self::Retry => "retried",
            Self::Pause => "paused",
            Self::Resume => "resumed",
            Self::Stop => "stopped",
        }
    }
}

/// Does it.
pub(super) async fn change(
    connection: &mut SqliteConnection,
    effects: &mut Effects,
    action: Action,
    (connector, id): (&str, &TaskId),
    now: i64,
) -> Result<(), TaskError> {
    let found = TaskRow::by_id(connection, id).await?;
    let Some(mut row) = found.filter(|row| row.connector == connector) else {
        return Err(TaskError::NoTask {
            connector: connector.to_owned(),
            task: id.clone(),
        });
    };
    effects.touch(connector);
    match (action, row.status) {
        (Action::Retry, Status::Failed | Status::Stopped | Status::Terminated) => {
            begin_anew(connection, &mut row, now, now).await
        }
        (Action::Retry, Status::Active) => {
            if row.running || row.waiting > 0 {
                return Ok(());
            }
            if row.run_began.is_none() {
                row.tick = now;
            }
            row.due = Some(now);
            row.write(connection, now, None).await
        }
        (Action::Pause, Status::Active) => {
            row.status = Status::Paused;
            row.due = None;
            row.write(connection, now, Some("somebody paused it")).await
        }
        (Action::Pause, Status::Paused) => Ok(()),
        (Action::Resume, Status::Paused) => {
            row.status = Status::Active;
            row.failed_runs = 0;
            // What was to run once at a time that is still to come waits for it.
            let once = row.run_began.is_none() && row.schedule.recurring().is_none();
            let due = if once { row.tick.max(now) } else { now };
            if row.run_began.is_none() {
                row.tick = due;
            }
            row.due = (row.waiting == 0).then_some(due);
            row.write(connection, now, None).await
        }
        (Action::Stop, Status::Active | Status::Paused) => {
            end_run(connection, effects, &mut row, now).await?;
            row.status = Status::Stopped;
            row.generation = row.generation.saturating_add(1);
            row.due = None;
            row.rerun = false;
            (row.step, row.attempt) = (0, 0);
            forget_awaited(connection, &mut row).await?;
            row.write(connection, now, Some("somebody stopped it"))
                .await
        }
        (action, status) => Err(TaskError::NotNow {
            status: status.as_str(),
            action: action.done(),
        }),
    }
}
