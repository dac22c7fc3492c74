//! A task as a machine: what happens to it goes in, what is to be done comes out. It knows no
//! clock and no server, so that a workflow which is told the same does the same again.

mod change;
mod finish;
mod wait;

pub(crate) use finish::Finished;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use car_core::tasks::{
    Activity, AttemptView, Policy, RunOutcome, RunView, Schedule, Status, TaskDescriptor,
    TaskHistory, TaskId, TaskSpec, TaskView, Waited,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::message::{Begin, Brood, RunEnd, Seen, StepInput, Waiter, Ways};

/// Runs, and failed attempts, that are kept.
const KEPT: usize = 50;
/// Longest error text that is kept of the past, in characters; histories have a bounded size.
const KEPT_ERROR: usize = 500;
/// Longest error text of the task itself.
const LONGEST_ERROR: usize = 4000;
/// Spawning steps that are remembered, so that none spawns twice.
const KEPT_KEYS: usize = 16;
/// A wake that comes so many milliseconds late says that no process was there.
const ABSENCE: i64 = 60_000;

/// A task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) ways: Ways,
    pub(crate) connector: String,
    pub(crate) id: TaskId,
    parent: Option<TaskId>,
    name: String,
    descriptor: TaskDescriptor,
    schedule: Schedule,
    policy: Policy,
    pub(crate) status: Status,
    state: Option<Value>,
    /// Grows with each start and stop: fences off older steps.
    generation: u64,
    due: Option<i64>,
    tick: i64,
    backlog: i64,
    /// Whether no process was there until now.
    away: bool,
    /// The generation of the step that is with the server.
    step_of: Option<u64>,
    withdrawn: bool,
    rerun: bool,
    run: u64,
    run_began: Option<i64>,
    step: u64,
    attempt: u32,
    run_attempts: u64,
    crashes: u32,
    failed_runs: u64,
    error: Option<String>,
    reason: Option<String>,
    created_at: i64,
    updated_at: i64,
    /// Milliseconds by which tests are ahead of the server.
    pub(crate) ahead: i64,
    runs: VecDeque<RunView>,
    attempts: VecDeque<AttemptView>,
    awaited: Vec<Awaited>,
    wait: u64,
    waiters: Vec<Waiter>,
    keys: VecDeque<String>,
    effects: VecDeque<Effect>,
    /// Grows with each change.
    pub(crate) version: u64,
}

/// A child that the next step waits for.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Awaited {
    child: TaskId,
    descriptor: TaskDescriptor,
    ended: bool,
    error: Option<String>,
}

/// What is to be done outside of the task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Effect {
    /// Schedules children.
    Spawn(Brood),
    /// Tells one that waits that the run has ended.
    Tell {
        waiter: Waiter,
        error: Option<String>,
    },
    /// Asks a child that is waited for whether the chain leads back to one of its own.
    Probe { child: TaskId, chain: Vec<TaskId> },
}

/// What comes next.
#[derive(Debug)]
pub(crate) enum Move {
    /// A step is to be done.
    Step(Box<StepInput>),
    /// Nothing until then, or until something happens.
    Wait(Option<i64>),
}

impl Machine {
    pub(crate) fn new(begin: Begin, now: i64) -> Self {
        let spec = begin.task.into_parts();
        let tick = spec.schedule.first(now);
        Self {
            ways: begin.ways,
            id: spec.descriptor.id(&begin.connector),
            connector: begin.connector,
            parent: begin.parent,
            name: spec.name,
            descriptor: spec.descriptor,
            schedule: spec.schedule,
            policy: spec.policy,
            status: Status::Active,
            state: None,
            generation: 1,
            due: Some(tick),
            tick,
            backlog: 0,
            away: false,
            step_of: None,
            withdrawn: false,
            rerun: false,
            run: 0,
            run_began: None,
            step: 0,
            attempt: 0,
            run_attempts: 0,
            crashes: 0,
            failed_runs: 0,
            error: None,
            reason: None,
            created_at: now,
            updated_at: now,
            ahead: 0,
            runs: VecDeque::new(),
            attempts: VecDeque::new(),
            awaited: Vec::new(),
            wait: 0,
            waiters: begin.waiter.into_iter().collect(),
            keys: begin.key.into_iter().collect(),
            effects: VecDeque::new(),
            version: 0,
        }
    }

    /// Says what comes next; a step that it names is with the server from then on.
    pub(crate) fn next(&mut self, now: i64) -> Move {
        let away = std::mem::take(&mut self.away);
        if self.step_of.is_some() || self.status != Status::Active || self.waiting() {
            return Move::Wait(None);
        }
        let Some(due) = self.due else {
            return Move::Wait(None);
        };
        if due <= now {
            self.catch_up(due, away, now);
        }
        match self.due {
            Some(due) if due <= now => Move::Step(Box::new(self.begin_step(now))),
            due => Move::Wait(due),
        }
    }

    /// Plans the runs that were missed while no process was there.
    fn catch_up(&mut self, due: i64, away: bool, now: i64) {
        let between_runs = self.run_began.is_none() && self.run > 0;
        let late = away || now.saturating_sub(due) > ABSENCE;
        let Some(recurring) = self.schedule.recurring() else {
            return;
        };
        if between_runs && late {
            let (tick, due) = recurring.after_absence(self.tick, now, self.id.as_str());
            (self.tick, self.due, self.backlog) = (tick, Some(due), now);
        }
    }

    fn begin_step(&mut self, now: i64) -> StepInput {
        if self.run_began.is_none() {
            self.run = self.run.saturating_add(1);
            self.run_began = Some(now);
        }
        self.step_of = Some(self.generation);
        self.withdrawn = false;
        let waited = self.awaited.iter().map(|awaited| Waited {
            descriptor: awaited.descriptor.clone(),
            error: awaited.error.clone(),
        });
        StepInput {
            connector: self.connector.clone(),
            task: self.id.clone(),
            descriptor: self.descriptor.clone(),
            state: self.state.clone(),
            policy: self.policy.clone(),
            run: self.run,
            number: self.step.saturating_add(1),
            attempt: self.attempt.saturating_add(1),
            waited: waited.collect(),
            generation: self.generation,
        }
    }

    /// Returns whether the step that is with the server is to end.
    pub(crate) fn wants_end(&self) -> bool {
        self.withdrawn || self.step_of.is_some_and(|of| of != self.generation)
    }

    /// Takes what is to be done outside.
    pub(crate) fn take_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    pub(crate) fn has_effects(&self) -> bool {
        !self.effects.is_empty()
    }

    /// Returns whether it runs, waits to, or is paused.
    const fn is_open(&self) -> bool {
        matches!(self.status, Status::Active | Status::Paused)
    }

    fn touch(&mut self, now: i64) {
        self.updated_at = self.updated_at.max(now);
        self.version = self.version.saturating_add(1);
    }

    /// Moves the time of the task ahead of the server's.
    pub(crate) fn move_ahead(&mut self, by: i64, away: bool) {
        self.ahead = by;
        self.away = away;
        self.version = self.version.saturating_add(1);
    }

    pub(crate) fn seen(&self) -> Seen {
        let mut view = TaskView::new(
            self.connector.as_str(),
            self.descriptor.clone(),
            self.schedule.clone(),
            self.created_at,
        );
        view.parent.clone_from(&self.parent);
        view.name.clone_from(&self.name);
        view.status = self.status;
        view.activity = self.activity();
        view.state.clone_from(&self.state);
        view.error.clone_from(&self.error);
        view.reason.clone_from(&self.reason);
        view.runs = self.run;
        view.failed_runs = self.failed_runs;
        view.attempts = self.attempt;
        view.next = self.due;
        view.updated_at = self.updated_at;
        Seen {
            view,
            step: self.step_of.is_some(),
        }
    }

    /// Says what the task is doing; whether its step was begun is for the server to say.
    fn activity(&self) -> Activity {
        match (self.status, self.due) {
            _ if self.step_of.is_some() => Activity::Running,
            (Status::Active, _) if self.waiting() => Activity::Children,
            (Status::Active, Some(_)) if self.attempt > 0 => Activity::Retrying,
            (Status::Active, Some(_)) => Activity::Waiting,
            _ => Activity::None,
        }
    }

    pub(crate) fn history(&self) -> TaskHistory {
        TaskHistory {
            task: self.seen().view,
            runs: self.runs.iter().cloned().collect(),
            attempts: self.attempts.iter().cloned().collect(),
        }
    }

    /// Returns how a run ended.
    pub(crate) fn run_end(&self, run: u64) -> RunEnd {
        let stopped = || RunEnd::Failed("it was stopped".to_owned());
        if let Some(ended) = self.runs.iter().find(|ended| ended.run == run) {
            return match ended.outcome {
                RunOutcome::Done => RunEnd::Done,
                RunOutcome::Stopped => stopped(),
                RunOutcome::Failed => RunEnd::Failed(ended.error.clone().unwrap_or_default()),
            };
        }
        let forgotten = run < self.run;
        match self.status {
            Status::Active | Status::Paused if !forgotten => RunEnd::NotYet,
            Status::Terminated => RunEnd::Done,
            Status::Failed => RunEnd::Failed(self.error.clone().unwrap_or_default()),
            Status::Active | Status::Paused | Status::Stopped => stopped(),
        }
    }

    /// Keeps what a task is, as it is given now.
    fn take_over(&mut self, spec: TaskSpec) {
        let spec = spec.into_parts();
        self.schedule = spec.schedule;
        self.policy = spec.policy;
        self.name = spec.name;
    }
}

/// Cuts a text to so many characters.
fn cut(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}
