//! What the keeper is asked for, and what follows once it is written.

use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::sqlite::SqliteConnection;
use tokio::sync::oneshot;

use super::change::{Action, change};
use super::connectors::ConnectorWrite;
use super::finish::Finished;
use super::schedule::schedule;
use super::storage;
use crate::tasks::descriptor::TaskId;
use crate::tasks::engine::{Counts, Health, ScheduleEffect, Scheduled};
use crate::tasks::error::TaskError;
use crate::tasks::schedule::signed;
use crate::tasks::step::{Resolve, TaskSpec};

/// Most tasks in a store.
pub(super) const MOST_TASKS: i64 = 5_000_000;

/// Where an answer goes.
pub(super) type Reply<T> = oneshot::Sender<Result<T, TaskError>>;
/// Where the end of a run is told: why it failed, or nothing.
pub(super) type Waiter = oneshot::Sender<Option<String>>;

/// What the keeper is asked for.
pub(super) enum Command {
    Start {
        connector: Arc<str>,
        limit: usize,
        resolve: Arc<dyn Resolve>,
        reply: Reply<()>,
    },
    Halt {
        connector: Arc<str>,
        reply: Reply<()>,
    },
    Forget {
        connector: Arc<str>,
        reply: Reply<()>,
    },
    Schedule {
        connector: Arc<str>,
        task: Box<TaskSpec>,
        waiter: Option<Waiter>,
        reply: Reply<Scheduled>,
    },
    Act {
        action: Action,
        connector: Arc<str>,
        id: TaskId,
        reply: Reply<()>,
    },
    Connector {
        write: ConnectorWrite,
        reply: Reply<()>,
    },
    Finished(Box<Finished>),
    Close {
        reply: Reply<()>,
    },
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Command")
    }
}

/// What happens in memory once a transaction is committed.
#[derive(Default)]
pub(super) struct Effects {
    /// Connectors whose tasks may be due at another time than before.
    pub(super) touched: HashSet<Arc<str>>,
    /// Tasks whose steps are asked to end.
    pub(super) stop: Vec<i64>,
    /// Tasks whose run ended, and why it failed.
    pub(super) ended: Vec<(i64, Option<String>)>,
    pub(super) counts: Counts,
    pub(super) answers: Vec<Box<dyn FnOnce(Option<TaskError>) + Send>>,
    pub(super) waiters: Vec<(i64, u32, Waiter)>,
    pub(super) made: i64,
}

impl Effects {
    /// Notes that tasks of a connector changed.
    pub(super) fn touch(&mut self, connector: &str) {
        if !self.touched.contains(connector) {
            self.touched.insert(connector.into());
        }
    }

    /// Answers once it is known whether the transaction came through; an error at once.
    fn answer<T: Send + 'static>(&mut self, reply: Reply<T>, result: Result<T, TaskError>) {
        match result {
            Ok(value) => self.answers.push(Box::new(move |lost| {
                drop(reply.send(lost.map_or(Ok(value), Err)));
            })),
            Err(error) => drop(reply.send(Err(error))),
        }
    }
}

/// What others may see of the keeper.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<Health>);

impl Shared {
    pub(super) fn health(&self) -> Health {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn set(&self, change: impl FnOnce(&mut Health)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// Carries out one command. An error is one of the store; others go to whoever asked.
pub(super) async fn apply(
    connection: &mut SqliteConnection,
    effects: &mut Effects,
    command: Command,
    full: bool,
    now: i64,
) -> Result<(), TaskError> {
    match command {
        Command::Schedule {
            connector,
            task,
            waiter,
            reply,
        } => {
            if full {
                let error = TaskError::TooMuch(format!("the store has {MOST_TASKS} tasks"));
                effects.answer::<Scheduled>(reply, Err(error));
                return Ok(());
            }
            let result = schedule(connection, effects, &connector, None, &task, now).await;
            let (number, scheduled) = match result {
                Ok(done) => done,
                Err(error) => return settle(effects, reply, Err(error)),
            };
            effects.made = effects.made.saturating_add(1);
            if let Some(waiter) = waiter {
                let skip = u32::from(scheduled.effect == ScheduleEffect::Queued);
                match scheduled.effect {
                    ScheduleEffect::Ended => drop(waiter.send(None)),
                    _ => effects.waiters.push((number, skip, waiter)),
                }
            }
            settle(effects, reply, Ok(scheduled))
        }
        Command::Act {
            action,
            connector,
            id,
            reply,
        } => {
            let result = change(connection, effects, action, (&connector, &id), now).await;
            settle(effects, reply, result)
        }
        Command::Connector { write, reply } => {
            let result = write.apply(connection).await;
            settle(effects, reply, result)
        }
        Command::Forget { connector, reply } => {
            let result = sqlx::query("DELETE FROM task WHERE connector = ?")
                .bind(&*connector)
                .execute(connection)
                .await
                .map_err(storage("written"));
            if let Ok(done) = &result {
                let gone = signed(done.rows_affected());
                effects.made = effects.made.saturating_sub(gone);
            }
            settle(effects, reply, result.map(drop))
        }
        Command::Start { .. }
        | Command::Halt { .. }
        | Command::Finished(_)
        | Command::Close { .. } => Ok(()),
    }
}

/// Answers a command; hands on an error of the store.
fn settle<T: Send + 'static>(
    effects: &mut Effects,
    reply: Reply<T>,
    result: Result<T, TaskError>,
) -> Result<(), TaskError> {
    match result {
        Err(error @ TaskError::Store { .. }) => {
            let told = again(&error);
            effects.answer(reply, Err(told));
            Err(error)
        }
        result => {
            effects.answer(reply, result);
            Ok(())
        }
    }
}

/// Puts commands that were not reached among those that are told of the failure.
pub(super) fn refuse(commands: Vec<Command>, effects: &mut Effects) {
    for command in commands {
        match command {
            Command::Schedule { reply, .. } => effects.answers.push(Box::new(|lost| {
                drop(reply.send(Err(lost.unwrap_or(TaskError::Stopped))));
            })),
            Command::Start { reply, .. }
            | Command::Halt { reply, .. }
            | Command::Forget { reply, .. }
            | Command::Act { reply, .. }
            | Command::Connector { reply, .. }
            | Command::Close { reply } => effects.answers.push(Box::new(|lost| {
                drop(reply.send(Err(lost.unwrap_or(TaskError::Stopped))));
            })),
            Command::Finished(_) => {}
        }
    }
}

/// Makes the same error once more, for another reader.
pub(super) fn again(error: &TaskError) -> TaskError {
    match error {
        TaskError::Store {
            doing,
            full,
            source,
        } => TaskError::Store {
            doing,
            full: *full,
            source: source.to_string().into(),
        },
        _ => TaskError::Stopped,
    }
}
