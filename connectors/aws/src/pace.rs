//! The rate budget of one account in one region: calls leave at an even pace.

use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

/// Lets a number of calls per second through, with a small burst after a pause.
#[derive(Debug)]
pub(crate) struct Pace {
    interval: Duration,
    /// How many calls may leave at once after a pause.
    burst: u32,
    next: Mutex<Option<Instant>>,
}

impl Pace {
    /// Makes a budget of so many calls per second; what was not used in the last second may be
    /// used later.
    pub(crate) fn new(calls_per_second: u32) -> Self {
        Self {
            interval: Duration::from_secs(1) / calls_per_second.max(1),
            burst: calls_per_second.max(1),
            next: Mutex::new(None),
        }
    }

    /// Makes a budget of so many calls per second, none of them sooner.
    pub(crate) fn without_burst(calls_per_second: u32) -> Self {
        Self {
            burst: 1,
            ..Self::new(calls_per_second)
        }
    }

    /// Waits until the next call may leave.
    pub(crate) async fn wait(&self) {
        let at = self.slot(&mut *self.next.lock().await, Instant::now());
        tokio::time::sleep_until(at).await;
    }

    /// Returns when the next call may leave, and moves on the one after it.
    fn slot(&self, next: &mut Option<Instant>, now: Instant) -> Instant {
        let saved = self.interval.saturating_mul(self.burst.saturating_sub(1));
        let earliest = now.checked_sub(saved).unwrap_or(now);
        let at = next.map_or(earliest, |next| next.max(earliest));
        *next = Some(at + self.interval);
        at.max(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns after how many milliseconds calls leave that all come now.
    fn leave(pace: &Pace, calls: usize) -> Vec<u128> {
        let (now, mut next) = (Instant::now() + Duration::from_secs(60), None);
        (0..calls)
            .map(|_| (pace.slot(&mut next, now) - now).as_millis())
            .collect()
    }

    #[test]
    fn calls_keep_to_the_budget() {
        let waits = leave(&Pace::without_burst(2), 5);
        assert_eq!(waits, [0, 500, 1000, 1500, 2000]);
    }

    #[test]
    fn a_pause_allows_a_burst_of_one_second() {
        let waits = leave(&Pace::new(4), 7);
        assert_eq!(waits, [0, 0, 0, 0, 250, 500, 750]);
    }
}
