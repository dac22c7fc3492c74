//! What an attempt at a step comes to.

use car_core::tasks::{AttemptView, RunOutcome, RunView, Status, TaskSpec};
use serde_json::Value;

use super::{Awaited, Effect, KEPT, KEPT_ERROR, LONGEST_ERROR, Machine, cut};
use crate::message::{Brood, Report, Then, Waiter};

/// What came of a step, and for which generation.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) generation: u64,
    pub(crate) began: i64,
    pub(crate) report: Report,
}

impl Machine {
    /// Takes in what came of the step that was with the server.
    pub(crate) fn finished(&mut self, finished: Finished, now: i64) {
        self.step_of = None;
        self.withdrawn = false;
        self.touch(now);
        if finished.generation != self.generation {
            return;
        }
        match finished.report {
            Report::Ended {
                state,
                then,
                children,
            } => self.advance(finished.began, state, then, children, now),
            Report::Failed { error, wait } => self.fail(finished.began, &error, wait, now),
            // Nothing counts, and it is done again.
            Report::Interrupted => {}
            Report::Lost { why } => self.lost(&why, now),
        }
    }

    fn advance(
        &mut self,
        began: i64,
        state: Option<Value>,
        then: Then,
        children: Vec<TaskSpec>,
        now: i64,
    ) {
        if let Then::Fail(error) = then {
            self.state = state.or_else(|| self.state.take());
            return self.fail(began, &error, None, now);
        }
        let goes_on = then != Then::Done;
        if !self.can_spawn(&children, goes_on) {
            let error = format!(
                "the outcome of the step is not possible: task `{}` would wait for itself",
                self.name
            );
            return self.fail(began, &error, None, now);
        }
        if let Some(state) = state {
            self.state = Some(state);
        }
        self.awaited.clear();
        self.step = self.step.saturating_add(1);
        (self.attempt, self.crashes) = (0, 0);
        self.error = None;
        self.spawn(children, goes_on);
        match then {
            Then::Done => self.end(None, now),
            Then::After(wait) => self.due = Some(now.saturating_add(wait)),
            Then::Again | Then::Fail(_) => self.due = Some(now),
        }
        if self.status == Status::Paused || self.waiting() {
            self.due = None;
        }
    }

    /// Returns whether no child is the task itself, or one that waits for it.
    fn can_spawn(&self, children: &[TaskSpec], goes_on: bool) -> bool {
        children.iter().all(|child| {
            let id = child.descriptor().id(&self.connector);
            let waits = goes_on && child.is_awaited();
            id != self.id
                && !(waits && self.waiters.iter().any(|waiter| waiter.chain.contains(&id)))
        })
    }

    fn spawn(&mut self, children: Vec<TaskSpec>, goes_on: bool) {
        if children.is_empty() {
            return;
        }
        self.wait = self.wait.saturating_add(1);
        for child in children
            .iter()
            .filter(|child| goes_on && child.is_awaited())
        {
            let id = child.descriptor().id(&self.connector);
            if self.awaited.iter().any(|awaited| awaited.child == id) {
                continue;
            }
            self.awaited.push(Awaited {
                child: id,
                descriptor: child.descriptor().clone(),
                ended: false,
                error: None,
            });
        }
        let waiter = Waiter {
            task: self.id.clone(),
            wait: self.wait,
            chain: self.chain(),
        };
        self.effects.push_back(Effect::Spawn(Brood {
            connector: self.connector.clone(),
            parent: self.id.clone(),
            key: format!("{}/{}", self.id, self.wait),
            children,
            waiter: goes_on.then_some(waiter),
            ways: self.ways.clone(),
        }));
    }

    /// Writes down a failed attempt, and what follows from it.
    pub(super) fn fail(&mut self, began: i64, error: &str, wait: Option<i64>, now: i64) {
        self.attempt = self.attempt.saturating_add(1);
        self.run_attempts = self.run_attempts.saturating_add(1);
        self.attempts.push_front(AttemptView {
            run: self.run,
            step: self.step.saturating_add(1),
            attempt: self.attempt,
            began_at: began,
            ended_at: now,
            error: cut(error, KEPT_ERROR),
            wait,
        });
        self.attempts.truncate(KEPT);
        let error = cut(error, LONGEST_ERROR);
        self.error = Some(error.clone());
        self.crashes = 0;
        match wait {
            Some(wait) => self.due = Some(now.saturating_add(wait)),
            None => {
                self.awaited.clear();
                self.end(Some(&error), now);
            }
        }
        if self.status == Status::Paused {
            self.due = None;
        }
    }

    /// Puts a step back whose process is gone. What ends processes again and again is given more
    /// and more time, and then left alone.
    fn lost(&mut self, why: &str, now: i64) {
        if self.status != Status::Active {
            return;
        }
        self.crashes = self.crashes.saturating_add(1);
        let limit = self.policy.crashes;
        if limit > 0 && self.crashes >= limit {
            self.status = Status::Paused;
            self.due = None;
            self.reason = Some(format!(
                "paused: the process ended {} times in the middle of this step ({why})",
                self.crashes
            ));
            self.crashes = 0;
            return;
        }
        self.due = Some(match self.crashes {
            1 => now,
            more => now.saturating_add(self.policy.wait(more, self.id.as_str())),
        });
    }

    /// Ends the run of the task and plans the next one, if there is one.
    pub(super) fn end(&mut self, error: Option<&str>, now: i64) {
        let outcome = match error {
            None => RunOutcome::Done,
            Some(_) => RunOutcome::Failed,
        };
        self.record_run(outcome, error, now);
        self.failed_runs = match error {
            None => 0,
            Some(_) => self.failed_runs.saturating_add(1),
        };
        self.run_began = None;
        (self.step, self.attempt, self.run_attempts) = (0, 0, 0);
        self.tell(error);
        if std::mem::take(&mut self.rerun) {
            (self.tick, self.due) = (now, Some(now));
            return;
        }
        let Some(recurring) = self.schedule.recurring() else {
            if self.status == Status::Active || error.is_none() {
                self.status = match error {
                    None => Status::Terminated,
                    Some(_) => Status::Failed,
                };
                self.reason = None;
            }
            self.due = None;
            return;
        };
        let (tick, due) = recurring.after_run(self.tick, self.backlog, now, self.id.as_str());
        (self.tick, self.due) = (tick, Some(due));
        let limit = u64::from(self.policy.pause_after);
        if limit > 0 && self.failed_runs >= limit && self.status == Status::Active {
            self.status = Status::Paused;
            self.due = None;
            self.reason = Some(format!(
                "paused after {limit} failed runs in a row; resume it once the cause is mended"
            ));
        }
    }

    pub(super) fn record_run(&mut self, outcome: RunOutcome, error: Option<&str>, now: i64) {
        self.runs.push_front(RunView {
            run: self.run,
            began_at: self.run_began.unwrap_or(now),
            ended_at: now,
            outcome,
            steps: self.step,
            failed_attempts: self.run_attempts,
            error: error.map(|error| cut(error, KEPT_ERROR)),
        });
        self.runs.truncate(KEPT);
    }
}
