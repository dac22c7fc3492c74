//! The keeper: the only one that writes. See the module above for why.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use sqlx::Connection as _;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::command::{Command, Effects, MOST_TASKS, Reply, Shared, Waiter, again, apply, refuse};
use super::finish::{Finished, finish};
use super::pick::{Picked, next_due, pick};
use super::{SqliteOptions, boot, rows, storage};
use crate::failure::Failure;
use crate::state::Moment;
use crate::tasks::descriptor::TaskDescriptor;
use crate::tasks::engine::Counts;
use crate::tasks::error::TaskError;
use crate::tasks::execute::{Attempted, attempt};
use crate::tasks::schedule::signed;
use crate::tasks::step::{Resolve, Step};

/// Most commands in one transaction.
const MOST_COMMANDS: usize = 512;
/// First and longest wait before what could not be written is tried again.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LONGEST_RETRY: Duration = Duration::from_secs(15);
/// How long the end waits for a store that cannot be written.
const CLOSING: Duration = Duration::from_secs(5);

/// A connector whose tasks may run.
struct Working {
    limit: usize,
    resolve: Option<Arc<dyn Resolve>>,
    running: usize,
    next_due: Option<i64>,
    halting: Vec<Reply<()>>,
}

struct Running {
    connector: Arc<str>,
    stop: CancellationToken,
}

/// The only one that writes.
pub(super) struct Keeper {
    connection: SqliteConnection,
    _lock: File,
    options: SqliteOptions,
    commands: mpsc::WeakSender<Command>,
    inbox: mpsc::Receiver<Command>,
    shared: Arc<Shared>,
    connectors: HashMap<Arc<str>, Working>,
    running: HashMap<i64, Running>,
    waiters: HashMap<i64, Vec<(u32, Waiter)>>,
    unwritten: Vec<Finished>,
    tasks: i64,
    counts: Counts,
    last: Moment,
    retry: Option<(Instant, Duration)>,
    closing: Option<(Reply<()>, Instant)>,
}

impl Keeper {
    pub(super) fn new(
        connection: SqliteConnection,
        lock: File,
        options: SqliteOptions,
        (commands, inbox): (mpsc::WeakSender<Command>, mpsc::Receiver<Command>),
        shared: Arc<Shared>,
        tasks: i64,
    ) -> Self {
        Self {
            connection,
            _lock: lock,
            last: options.clock.now(),
            options,
            commands,
            inbox,
            shared,
            connectors: HashMap::new(),
            running: HashMap::new(),
            waiters: HashMap::new(),
            unwritten: Vec::new(),
            tasks,
            counts: Counts::default(),
            retry: None,
            closing: None,
        }
    }

    /// Works until it is closed, or until nobody is left who could ask for anything.
    pub(super) async fn work(mut self) {
        let mut batch = Vec::new();
        loop {
            let wake = self.wake();
            let received = tokio::select! {
                received = self.inbox.recv_many(&mut batch, MOST_COMMANDS) => received,
                () = tokio::time::sleep(wake) => usize::MAX,
            };
            if received == 0 {
                // Dropped without being closed, as by a kill: nothing more is written.
                for running in self.running.values() {
                    running.stop.cancel();
                }
                return;
            }
            self.turn(&mut batch).await;
            if self.is_closed() {
                break;
            }
        }
        let closed = self.connection.close().await.map_err(storage("closed"));
        if let Some((reply, _)) = self.closing {
            drop(reply.send(closed));
        }
    }

    fn is_closed(&self) -> bool {
        let Some((_, since)) = &self.closing else {
            return false;
        };
        self.running.is_empty() && (self.unwritten.is_empty() || since.elapsed() > CLOSING)
    }

    /// Returns the time until something may have to be done.
    fn wake(&self) -> Duration {
        if let Some((at, _)) = self.retry {
            return at.saturating_duration_since(Instant::now());
        }
        let now = rows::now(&*self.options.clock);
        let due = self
            .connectors
            .values()
            .filter(|connector| connector.free() > 0)
            .filter_map(|connector| connector.next_due)
            .min()
            .map_or(u64::MAX, |due| {
                due.saturating_sub(now).max(0).unsigned_abs()
            });
        Duration::from_millis(due).min(self.options.look)
    }

    /// Carries out everything that came, in one transaction, and starts what is due.
    async fn turn(&mut self, batch: &mut Vec<Command>) {
        let mut rest = Vec::new();
        for command in batch.drain(..) {
            match command {
                Command::Finished(finished) => {
                    self.ended(&finished);
                    self.unwritten.push(*finished);
                }
                Command::Start {
                    connector,
                    limit,
                    resolve,
                    reply,
                } => self.start(connector, limit, resolve, reply),
                Command::Halt { connector, reply } => self.halt(&connector, reply),
                Command::Close { reply } => {
                    self.closing = Some((reply, Instant::now()));
                    for running in self.running.values() {
                        running.stop.cancel();
                    }
                }
                other => rest.push(other),
            }
        }
        let moment = self.options.clock.now();
        let jumped = jump(&self.last, &moment);
        self.last = moment;
        let mut effects = Effects::default();
        let written = self.write(rest, jumped, &mut effects).await;
        match written {
            Ok(picked) => {
                self.unwritten.clear();
                self.retry = None;
                self.carry_out(effects, picked);
                self.shared.set(|health| health.trouble = None);
            }
            Err(error) => self.lost(effects, &error),
        }
    }

    /// Notes that a step is not at work any more.
    fn ended(&mut self, finished: &Finished) {
        if self.running.remove(&finished.number).is_none() {
            return;
        }
        if let Some(connector) = self.connectors.get_mut(&finished.connector) {
            connector.running = connector.running.saturating_sub(1);
        }
        self.shared.set(|health| {
            if let Some(running) = health.running.get_mut(&*finished.connector) {
                *running = running.saturating_sub(1);
            }
        });
    }

    fn start(
        &mut self,
        connector: Arc<str>,
        limit: usize,
        resolve: Arc<dyn Resolve>,
        reply: Reply<()>,
    ) {
        if self.closing.is_some() {
            drop(reply.send(Err(TaskError::Stopped)));
            return;
        }
        let running = &self.running;
        let working = self
            .connectors
            .entry(Arc::clone(&connector))
            .or_insert_with(|| Working {
                limit,
                resolve: None,
                running: running
                    .values()
                    .filter(|running| running.connector == connector)
                    .count(),
                next_due: None,
                halting: Vec::new(),
            });
        working.limit = limit;
        working.resolve = Some(resolve);
        // A look at the store follows in this turn.
        working.next_due = Some(i64::MIN);
        drop(reply.send(Ok(())));
    }

    fn halt(&mut self, connector: &Arc<str>, reply: Reply<()>) {
        for running in self.running.values() {
            if running.connector == *connector {
                running.stop.cancel();
            }
        }
        match self.connectors.get_mut(connector) {
            Some(working) => {
                working.resolve = None;
                working.halting.push(reply);
            }
            None => drop(reply.send(Ok(()))),
        }
    }

    /// Writes, picks and commits. Nothing is changed in memory, but for `effects`.
    async fn write(
        &mut self,
        commands: Vec<Command>,
        jumped: i64,
        effects: &mut Effects,
    ) -> Result<Vec<(Arc<str>, Vec<Picked>, Option<i64>)>, TaskError> {
        let now = rows::now(&*self.options.clock);
        let due: Vec<Arc<str>> = self
            .connectors
            .iter()
            .filter(|(_, working)| working.next_due.is_some_and(|due| due <= now))
            .map(|(name, _)| Arc::clone(name))
            .collect();
        let idle = commands.is_empty() && self.unwritten.is_empty();
        if idle && jumped == 0 && due.is_empty() {
            return Ok(Vec::new());
        }
        effects.touched.extend(due);
        let mut transaction = match self.connection.begin_with("BEGIN IMMEDIATE").await {
            Ok(transaction) => transaction,
            Err(error) => {
                refuse(commands, effects);
                return Err(storage("written")(error));
            }
        };
        if jumped != 0 {
            boot::shift(&mut transaction, jumped).await?;
            effects.touched.extend(self.connectors.keys().cloned());
        }
        for finished in &self.unwritten {
            finish(&mut transaction, effects, finished, now).await?;
        }
        let mut commands = commands.into_iter();
        let mut failed = None;
        for command in commands.by_ref() {
            let full = self.tasks.saturating_add(effects.made) >= MOST_TASKS;
            if let Err(error) = apply(&mut transaction, effects, command, full, now).await {
                failed = Some(error);
                break;
            }
        }
        if let Some(error) = failed {
            refuse(commands.collect(), effects);
            return Err(error);
        }
        let mut picked = Vec::new();
        if self.closing.is_none() {
            for name in &effects.touched {
                let Some(working) = self.connectors.get(name).filter(|w| w.resolve.is_some())
                else {
                    continue;
                };
                let free = working.free();
                let tasks = match free {
                    0 => Vec::new(),
                    free => pick(&mut transaction, name, free, now).await?,
                };
                // With no worker left there is no hurry: the next end is the next look.
                let next = match tasks.len() < free {
                    true => next_due(&mut transaction, name).await?,
                    false => Some(now),
                };
                picked.push((Arc::clone(name), tasks, next));
            }
        }
        transaction.commit().await.map_err(storage("written"))?;
        effects.counts.commits = effects.counts.commits.saturating_add(1);
        Ok(picked)
    }

    /// Does in memory what was committed.
    fn carry_out(&mut self, effects: Effects, picked: Vec<(Arc<str>, Vec<Picked>, Option<i64>)>) {
        self.tasks = self.tasks.saturating_add(effects.made);
        let done = &mut self.counts;
        for (count, more) in [
            (&mut done.steps, effects.counts.steps),
            (&mut done.failed_attempts, effects.counts.failed_attempts),
            (&mut done.failed_runs, effects.counts.failed_runs),
            (&mut done.done_runs, effects.counts.done_runs),
            (&mut done.commits, effects.counts.commits),
        ] {
            *count = count.saturating_add(more);
        }
        for number in effects.stop {
            if let Some(running) = self.running.get(&number) {
                running.stop.cancel();
            }
        }
        for (number, error) in effects.ended {
            self.tell(number, error.as_deref());
        }
        for (number, skip, waiter) in effects.waiters {
            self.waiters.entry(number).or_default().push((skip, waiter));
        }
        for answer in effects.answers {
            answer(None);
        }
        for (name, tasks, next) in picked {
            if let Some(working) = self.connectors.get_mut(&name) {
                working.next_due = next;
            }
            for task in tasks {
                self.spawn(&name, task);
            }
        }
        for (name, working) in &mut self.connectors {
            if working.resolve.is_none() && working.running == 0 {
                for reply in working.halting.drain(..) {
                    drop(reply.send(Ok(())));
                }
            }
            let running = u64::try_from(working.running).unwrap_or(u64::MAX);
            self.shared.set(|health| {
                health.running.insert(name.to_string(), running);
            });
        }
        self.connectors
            .retain(|_, working| working.resolve.is_some() || working.running > 0);
        let counts = self.counts;
        self.shared.set(|health| health.done = counts);
    }

    /// Tells those who wait for the end of a run.
    fn tell(&mut self, number: i64, error: Option<&str>) {
        let Some(waiters) = self.waiters.remove(&number) else {
            return;
        };
        for (skip, waiter) in waiters {
            match skip.checked_sub(1) {
                Some(left) => self.waiters.entry(number).or_default().push((left, waiter)),
                None => drop(waiter.send(error.map(str::to_owned))),
            }
        }
    }

    /// Starts a step.
    fn spawn(&mut self, connector: &Arc<str>, task: Picked) {
        let Some(working) = self.connectors.get_mut(connector) else {
            return;
        };
        let (Some(resolve), Some(commands)) = (working.resolve.clone(), self.commands.upgrade())
        else {
            return;
        };
        working.running = working.running.saturating_add(1);
        let stop = CancellationToken::new();
        self.running.insert(
            task.number,
            Running {
                connector: Arc::clone(connector),
                stop: stop.clone(),
            },
        );
        let connector = Arc::clone(connector);
        let began = rows::now(&*self.options.clock);
        let commands = commands.downgrade();
        tokio::spawn(async move {
            let had_waited = !task.waited.is_empty();
            let (number, generation) = (task.number, task.generation);
            let policy = task.policy.clone();
            let attempted = match step(&connector, task) {
                Ok(step) => attempt(resolve, step, &policy, &stop).await,
                Err(failure) => Attempted::Failed(failure),
            };
            let finished = Finished {
                number,
                generation,
                connector,
                began,
                had_waited,
                attempted,
            };
            // Nobody is there any more when the engine was dropped.
            if let Some(commands) = commands.upgrade() {
                drop(commands.send(Command::Finished(Box::new(finished))).await);
            }
        });
    }

    /// Tells everybody that a transaction did not come through. What ended is kept and written
    /// later.
    fn lost(&mut self, effects: Effects, error: &TaskError) {
        for answer in effects.answers {
            answer(Some(again(error)));
        }
        let wait = self
            .retry
            .map_or(FIRST_RETRY, |(_, wait)| (wait * 2).min(LONGEST_RETRY));
        self.retry = Instant::now().checked_add(wait).map(|at| (at, wait));
        // Looked at again whatever was due, since nothing was picked.
        for working in self.connectors.values_mut() {
            working.next_due = Some(i64::MIN);
        }
        let text = Failure::from(again(error)).chain().join(": ");
        tracing::warn!(error = %text, "tasks cannot go on; trying again");
        self.shared.set(|health| health.trouble = Some(text));
    }
}

impl Working {
    fn free(&self) -> usize {
        match self.resolve {
            Some(_) => self.limit.saturating_sub(self.running),
            None => 0,
        }
    }
}

/// Makes the input of a step.
fn step(connector: &Arc<str>, task: Picked) -> Result<Step, Failure> {
    Ok(Step {
        connector: Arc::clone(connector),
        task: task.id,
        descriptor: TaskDescriptor::parse(&task.descriptor)?,
        run: task.run,
        number: task.step.saturating_add(1),
        attempt: task.attempt.saturating_add(1),
        waited: task.waited,
        cancel: CancellationToken::new(),
        state: task.state,
    })
}

/// Returns by how many milliseconds the clock on the wall jumped, 0 when it did not.
fn jump(last: &Moment, now: &Moment) -> i64 {
    let (Some(then), Some(boot)) = (&last.boot, &now.boot) else {
        return 0;
    };
    if then.id != boot.id {
        return 0;
    }
    let wall = signed(now.unix_ms).saturating_sub(signed(last.unix_ms));
    let passed = signed(boot.uptime_ms).saturating_sub(signed(then.uptime_ms));
    let jumped = wall.saturating_sub(passed);
    if jumped.abs() >= boot::JUMP {
        jumped
    } else {
        0
    }
}

/// Counts of tasks by connector and status.
pub(super) type TaskCounts = BTreeMap<String, BTreeMap<crate::tasks::view::Status, u64>>;
