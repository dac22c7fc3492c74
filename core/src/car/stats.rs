//! Counts of calls, for the report and the metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Counts of the calls of one client.
#[derive(Debug, Default)]
pub struct CallStats {
    calls: Mutex<BTreeMap<&'static str, u64>>,
    retries: AtomicU64,
    bytes_sent: AtomicU64,
    waited_ms: AtomicU64,
}

impl CallStats {
    pub(crate) fn called(&self, name: &'static str, bytes: usize) {
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        let count = calls.entry(name).or_default();
        *count = count.saturating_add(1);
        self.bytes_sent.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(crate) fn retried(&self, wait: Duration) {
        self.retries.fetch_add(1, Ordering::Relaxed);
        let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        self.waited_ms.fetch_add(wait, Ordering::Relaxed);
    }

    /// Returns the number of calls by name; one that was made again counts again.
    #[must_use]
    pub fn calls(&self) -> BTreeMap<String, u64> {
        let calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        calls
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    }

    /// Returns how many calls were made again.
    #[must_use]
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// Returns the bytes of all request bodies.
    #[must_use]
    pub fn bytes_sent(&self) -> u64 {
        self.bytes_sent.load(Ordering::Relaxed)
    }

    /// Returns the time spent waiting before calls were made again, in milliseconds.
    #[must_use]
    pub fn waited_ms(&self) -> u64 {
        self.waited_ms.load(Ordering::Relaxed)
    }
}
