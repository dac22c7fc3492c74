//! Tasks that wait for others. Nobody sees all of them at once, so a circle is found by asking
//! along the chain: whoever is asked in its own name waits for itself.

use car_core::tasks::TaskId;

use super::{Effect, Machine};

/// Longest chain that is followed.
const LONGEST_CHAIN: usize = 200;

impl Machine {
    /// Returns whether it waits for children.
    pub(super) fn waiting(&self) -> bool {
        self.awaited.iter().any(|awaited| !awaited.ended)
    }

    /// Returns the task, those that wait for it, and so on.
    pub(super) fn chain(&self) -> Vec<TaskId> {
        let mut chain = vec![self.id.clone()];
        for task in self.waiters.iter().flat_map(|waiter| &waiter.chain) {
            if !chain.contains(task) && chain.len() < LONGEST_CHAIN {
                chain.push(task.clone());
            }
        }
        chain
    }

    /// Takes in that a child has ended.
    pub(crate) fn child_ended(
        &mut self,
        wait: u64,
        child: &TaskId,
        error: Option<String>,
        now: i64,
    ) {
        if wait != self.wait {
            return;
        }
        let mut waited = false;
        for awaited in self.awaited.iter_mut().filter(|one| one.child == *child) {
            waited |= !awaited.ended;
            awaited.ended = true;
            awaited.error.clone_from(&error);
        }
        if waited && !self.waiting() && self.status == car_core::tasks::Status::Active {
            self.due = Some(now);
        }
        self.touch(now);
    }

    /// Tells everybody who waits for the end of the run.
    pub(super) fn tell(&mut self, error: Option<&str>) {
        for waiter in std::mem::take(&mut self.waiters) {
            let error = error.map(str::to_owned);
            self.effects.push_back(Effect::Tell { waiter, error });
        }
    }

    /// Hands a chain of tasks that wait for this one on to those that this one waits for.
    pub(super) fn probe_children(&mut self, chain: &[TaskId]) {
        if chain.contains(&self.id) || chain.len() >= LONGEST_CHAIN {
            return;
        }
        let mut longer = chain.to_vec();
        longer.push(self.id.clone());
        for awaited in self.awaited.iter().filter(|awaited| !awaited.ended) {
            self.effects.push_back(Effect::Probe {
                child: awaited.child.clone(),
                chain: longer.clone(),
            });
        }
    }

    /// Is asked whether a chain of tasks that wait for it begins with itself.
    pub(crate) fn probed(&mut self, chain: &[TaskId], now: i64) {
        if !self.waiting() {
            return;
        }
        if chain.contains(&self.id) {
            let error = format!("task `{}` would wait for itself", self.name);
            self.fail(now, &error, None, now);
        } else {
            self.probe_children(chain);
        }
        self.touch(now);
    }
}
