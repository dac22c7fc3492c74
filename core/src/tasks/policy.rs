//! How often and when a step that failed is tried again, and how long it may take.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::schedule::{millis, signed};
use crate::failure::{Failure, Retry};

/// Longest wait that another side may ask for: a day.
const LONGEST_ASKED: i64 = 24 * 3600 * 1000;

/// How a task's steps are tried. Times are milliseconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Wait after the first failed attempt; it doubles with each one.
    pub first_wait: u64,
    /// Longest wait, except where the other side asks for more.
    pub longest_wait: u64,
    /// Attempts for one step, 0 for no limit.
    pub attempts: u32,
    /// How long one step may take. Then it is asked to stop.
    pub step_timeout: u64,
    /// How long a step that was asked to stop may go on. Then it is cut off.
    pub grace: u64,
    /// Failed runs of a recurring task in a row after which it is paused, 0 for never.
    pub pause_after: u32,
    /// Times that the process may end in the middle of one step. Then the task is paused: it may
    /// be what ends the process.
    pub crashes: u32,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            first_wait: 1000,
            longest_wait: 300_000,
            attempts: 20,
            step_timeout: 600_000,
            grace: 5000,
            pause_after: 10,
            crashes: 5,
        }
    }
}

impl Policy {
    /// Sets the waits between attempts.
    #[must_use]
    pub fn waits(mut self, first: Duration, longest: Duration) -> Self {
        self.first_wait = millis(first);
        self.longest_wait = millis(longest);
        self
    }

    /// Sets the number of attempts, 0 for no limit.
    #[must_use]
    pub fn attempts(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// Sets how long a step may take.
    #[must_use]
    pub fn step_timeout(mut self, timeout: Duration) -> Self {
        self.step_timeout = millis(timeout);
        self
    }

    /// Sets how long a step that was asked to stop may go on.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = millis(grace);
        self
    }

    /// Sets the failed runs in a row after which a recurring task is paused, 0 for never.
    #[must_use]
    pub fn pause_after(mut self, runs: u32) -> Self {
        self.pause_after = runs;
        self
    }

    /// Returns the wait after a number of failed attempts: doubled each time, at most a quarter
    /// shorter by chance, so that each is longer than the one before up to the cap.
    #[must_use]
    pub fn wait(&self, attempt: u32, task: &str) -> i64 {
        let doublings = attempt.saturating_sub(1).min(40);
        let full = self
            .first_wait
            .max(1)
            .saturating_mul(1 << doublings)
            .min(self.longest_wait.max(1));
        let off = xxh3_64_with_seed(task.as_bytes(), attempt.into())
            .checked_rem((full / 4).saturating_add(1))
            .unwrap_or(0);
        signed(full.saturating_sub(off))
    }

    /// Returns how long to wait before the next attempt, `None` if there is none.
    #[must_use]
    pub fn next_wait(&self, failure: &Failure, attempt: u32, task: &str) -> Option<i64> {
        if self.attempts > 0 && attempt >= self.attempts {
            return None;
        }
        let backoff = self.wait(attempt, task);
        match failure.retry() {
            Retry::Never => None,
            // Without a time of their own, those who ask for none would be asked in a loop.
            Retry::Backoff | Retry::After(Duration::ZERO) => Some(backoff),
            Retry::After(asked) => Some(signed(millis(asked)).min(LONGEST_ASKED)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::FailureKind;

    #[test]
    fn waits_grow_to_the_cap() {
        let policy = Policy::default();
        let waits: Vec<i64> = (1..=8).map(|attempt| policy.wait(attempt, "t")).collect();
        assert!(waits.is_sorted_by(|one, next| one < next), "{waits:?}");
        assert!((225_000..=300_000).contains(&policy.wait(1000, "t")));
    }

    #[test]
    fn the_failure_decides() {
        let policy = Policy::default().attempts(3);
        let failure = |retry| Failure::new(FailureKind::Source, "x").with_retry(retry);
        assert_eq!(policy.next_wait(&failure(Retry::Never), 1, "t"), None);
        let asked = failure(Retry::After(Duration::from_secs(77)));
        assert_eq!(policy.next_wait(&asked, 1, "t"), Some(77_000));
        let at_once = failure(Retry::After(Duration::ZERO));
        assert!(policy.next_wait(&at_once, 1, "t").unwrap() >= 750);
        assert_eq!(policy.next_wait(&failure(Retry::Backoff), 3, "t"), None);
        let endless = policy.attempts(0);
        assert!(
            endless
                .next_wait(&failure(Retry::Backoff), u32::MAX, "t")
                .is_some()
        );
    }
}
