//! How many requests at once are any use: as many as are answered as quickly as ever.
//!
//! A source that works on `k` requests at once answers more of them later and not sooner. So the
//! number grows while answers take about as long as the quickest ones, stays when some wait, and
//! shrinks when many do or the source refuses.

use std::time::Duration;

/// Requests that may wait at the source, as a share of those under way, before there are fewer.
const QUEUE: f64 = 0.25;

/// What remains after a refusal.
const AFTER_REFUSAL: f64 = 0.7;

/// Answers after which the quickest one is looked for anew: a source may become slower for good.
const MEMORY: u32 = 2000;

/// Finds the number of requests at once for one process.
#[derive(Debug)]
pub(super) struct Adaptive {
    most: f64,
    allowed: f64,
    under_way: u32,
    /// Whether it only grew so far; then it grows by leaps.
    young: bool,
    quickest: Option<f64>,
    usual: Option<f64>,
    answers: u32,
    /// Answers until the next refusal counts: those under way together are refused together.
    calm: u32,
}

impl Adaptive {
    pub(super) fn new(most: u32) -> Self {
        Self {
            most: f64::from(most.max(1)),
            allowed: 2.0_f64.min(f64::from(most.max(1))),
            under_way: 0,
            young: true,
            quickest: None,
            usual: None,
            answers: 0,
            calm: 0,
        }
    }

    /// Returns how many requests may be under way.
    pub(super) fn allowed(&self) -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "it is from 1 to a 32-bit number"
        )]
        let allowed = self.allowed as u32;
        allowed
    }

    /// Begins a request, if there may be one more.
    pub(super) fn begin(&mut self) -> bool {
        let free = self.under_way < self.allowed();
        if free {
            self.under_way = self.under_way.saturating_add(1);
        }
        free
    }

    /// Ends a request that nothing is known of.
    pub(super) fn forget(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }

    /// Ends a request that took so long; `well` says whether it was answered.
    pub(super) fn end(&mut self, took: Duration, well: bool) {
        let used = self.under_way;
        self.forget();
        self.calm = self.calm.saturating_sub(1);
        if !well {
            if self.calm == 0 {
                self.calm = used;
                self.young = false;
                self.allowed = (self.allowed * AFTER_REFUSAL).max(1.0);
            }
            return;
        }
        let took = took.as_secs_f64().max(1e-6);
        self.answers = self.answers.saturating_add(1);
        if self.answers > MEMORY {
            self.answers = 0;
            self.quickest = self.usual;
        }
        let quickest = self.quickest.map_or(took, |quickest| quickest.min(took));
        self.quickest = Some(quickest);
        let usual = self.usual.map_or(took, |usual| usual * 0.9 + took * 0.1);
        self.usual = Some(usual);
        // Of those under way, so many wait at the source.
        let waiting = 1.0 - quickest / usual;
        // Those that began together end one after the other, so half of them is many.
        let full = f64::from(used) * 2.0 >= self.allowed.floor();
        if waiting > QUEUE {
            self.young = false;
            // Back to those that do not wait, not all at once.
            self.allowed -= (waiting - QUEUE).min(0.5) * 0.5;
        } else if full && waiting < QUEUE / 2.0 {
            self.allowed += if self.young { 1.0 } else { 1.0 / self.allowed };
        }
        self.allowed = self.allowed.clamp(1.0, self.most);
    }
}
