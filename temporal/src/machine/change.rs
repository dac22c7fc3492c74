//! Scheduling a task that is known, and what people do to one.

use car_core::tasks::{Restart, RunOutcome, ScheduleEffect, Status, TaskSpec};

use super::{Effect, KEPT_KEYS, Machine};
use crate::message::{Acted, Action, Again, Spawned, Waiter};

impl Machine {
    /// Schedules it once more.
    pub(crate) fn schedule(&mut self, task: TaskSpec, now: i64) -> Again {
        let effect = self.schedule_again(task, now);
        let between_runs = self.run_began.is_none();
        let run = match effect {
            ScheduleEffect::Ended => self.run,
            ScheduleEffect::Active if !between_runs => self.run,
            _ => self.run.saturating_add(1),
        };
        Again { effect, run }
    }

    fn schedule_again(&mut self, task: TaskSpec, now: i64) -> ScheduleEffect {
        let spec = task.clone().into_parts();
        let first = spec.schedule.first(now);
        if spec.restart == Restart::Never {
            return if self.is_open() {
                ScheduleEffect::Active
            } else {
                ScheduleEffect::Ended
            };
        }
        let rescheduled = self.schedule != spec.schedule;
        let unchanged = !rescheduled && self.policy == spec.policy && self.name == spec.name;
        if self.is_open() && spec.restart == Restart::IfNotActive && unchanged {
            return ScheduleEffect::Active;
        }
        self.take_over(task);
        self.touch(now);
        if !self.is_open() {
            self.begin_anew(first, now);
            return ScheduleEffect::Started;
        }
        let between_runs = self.run_began.is_none();
        match spec.restart {
            Restart::StopAndRestart => {
                self.end_run(now);
                self.begin_anew(first, now);
                ScheduleEffect::Restarted
            }
            Restart::Always if self.status == Status::Active && !between_runs => {
                self.rerun = true;
                ScheduleEffect::Queued
            }
            Restart::Always if self.status == Status::Active => {
                self.tick = first;
                self.due = Some(first);
                ScheduleEffect::Started
            }
            _ => {
                if rescheduled && between_runs && self.status == Status::Active {
                    // A shorter period counts from now on, and does not bring a run at once.
                    let id = self.id.as_str();
                    let (tick, due) = match self.schedule.recurring() {
                        Some(recurring) => recurring.after_run(now, 0, now, id),
                        None => (first, first),
                    };
                    (self.tick, self.due) = (tick, Some(due));
                }
                ScheduleEffect::Active
            }
        }
    }

    /// Schedules it in the name of a step, once for each.
    pub(crate) fn spawned(&mut self, spawned: Spawned, now: i64) {
        if self.keys.contains(&spawned.key) {
            return;
        }
        self.keys.push_back(spawned.key);
        if self.keys.len() > KEPT_KEYS {
            self.keys.pop_front();
        }
        let again = self.schedule(spawned.task, now);
        if let Some(waiter) = spawned.waiter {
            self.take_waiter(waiter, again.effect == ScheduleEffect::Ended);
        }
        self.touch(now);
    }

    pub(super) fn take_waiter(&mut self, waiter: Waiter, ended: bool) {
        if ended {
            let error = self.error.clone();
            self.effects.push_back(Effect::Tell { waiter, error });
            return;
        }
        self.probe_children(&waiter.chain);
        self.waiters.push(waiter);
    }

    /// Does what people ask for. Returns the status in which it is not possible.
    pub(crate) fn act(&mut self, action: Action, now: i64) -> Acted {
        self.touch(now);
        match (action, self.status) {
            (Action::Retry, Status::Failed | Status::Stopped | Status::Terminated) => {
                self.begin_anew(now, now);
            }
            (Action::Retry, Status::Active) => {
                if self.step_of.is_none() && !self.waiting() {
                    if self.run_began.is_none() {
                        self.tick = now;
                    }
                    self.due = Some(now);
                    self.reason = None;
                }
            }
            (Action::Pause, Status::Active) => {
                self.status = Status::Paused;
                self.due = None;
                self.reason = Some("somebody paused it".to_owned());
            }
            (Action::Pause, Status::Paused) => {}
            (Action::Resume, Status::Paused) => self.resume(now),
            (Action::Stop, Status::Active | Status::Paused) => {
                self.end_run(now);
                self.status = Status::Stopped;
                self.generation = self.generation.saturating_add(1);
                self.due = None;
                self.rerun = false;
                (self.step, self.attempt) = (0, 0);
                self.awaited.clear();
                self.reason = Some("somebody stopped it".to_owned());
            }
            (Action::Withdraw, Status::Paused) => self.withdrawn = self.step_of.is_some(),
            (Action::Withdraw, _) => {}
            (_, status) => return Some(status),
        }
        None
    }

    fn resume(&mut self, now: i64) {
        self.status = Status::Active;
        self.failed_runs = 0;
        // What was to run once at a time that is still to come waits for it.
        let once = self.run_began.is_none() && self.schedule.recurring().is_none();
        let due = if once { self.tick.max(now) } else { now };
        if self.run_began.is_none() {
            self.tick = due;
        }
        self.due = (!self.waiting()).then_some(due);
        self.reason = None;
        self.crashes = 0;
    }

    /// Lets the task begin a new run at a time. A step that is with the server is fenced off;
    /// the run begins once it has ended.
    fn begin_anew(&mut self, due: i64, now: i64) {
        self.status = Status::Active;
        self.generation = self.generation.saturating_add(1);
        (self.tick, self.due) = (due, Some(due));
        self.backlog = 0;
        self.rerun = false;
        self.run_began = None;
        (self.step, self.attempt, self.run_attempts) = (0, 0, 0);
        (self.failed_runs, self.crashes) = (0, 0);
        (self.error, self.reason) = (None, None);
        self.awaited.clear();
        self.touch(now);
    }

    /// Ends the run that is under way, if there is one.
    fn end_run(&mut self, now: i64) {
        if self.run_began.is_some() {
            self.record_run(RunOutcome::Stopped, None, now);
            self.run_began = None;
        }
        self.tell(Some("it was stopped"));
    }
}
