//! What the engine tells, as log lines.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use crate::progress::{Event, Reporter};

/// How often a run that goes well says how far it is.
const INTERVAL: Duration = Duration::from_secs(10);

/// Rejected rows that are told one by one; the rest is in the quarantine file and the report.
const TOLD_REJECTS: u64 = 20;

/// Writes what the engine tells to the log.
pub struct LogReporter {
    state: Mutex<State>,
}

struct State {
    rows: u64,
    acknowledged: u64,
    rejected: u64,
    told: Instant,
}

impl LogReporter {
    /// Makes a reporter for one run, which begins now.
    #[must_use]
    pub fn new() -> Self {
        let told = Instant::now();
        Self {
            state: Mutex::new(State {
                rows: 0,
                acknowledged: 0,
                rejected: 0,
                told,
            }),
        }
    }

    fn count(&self, rows: u64, acknowledged: u64) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        state.rows = state.rows.saturating_add(rows);
        state.acknowledged = state.acknowledged.saturating_add(acknowledged);
        if state.told.elapsed() >= INTERVAL {
            state.told = Instant::now();
            tracing::info!(
                rows_read = state.rows,
                rows_imported = state.acknowledged,
                "importing"
            );
        }
    }

    /// Counts a rejected row and returns its number.
    fn reject(&self) -> u64 {
        self.state.lock().map_or(u64::MAX, |mut state| {
            state.rejected = state.rejected.saturating_add(1);
            state.rejected
        })
    }
}

impl Default for LogReporter {
    fn default() -> Self {
        Self::new()
    }
}

impl Reporter for LogReporter {
    fn report(&self, event: &Event) {
        match event {
            Event::Decided { mode, why } => {
                tracing::info!(mode = mode.as_str(), why = why.as_str(), "chose the mode");
            }
            Event::Phase(phase) => tracing::info!(phase = phase.as_str(), "entered a phase"),
            Event::Scopes(scopes) => tracing::info!(scopes = scopes.len(), "listed the scopes"),
            Event::Page { scope, rows } => {
                tracing::debug!(scope = scope.as_str(), rows, "read a page");
                self.count(*rows, 0);
            }
            Event::ScopeDone { scope } => {
                tracing::info!(scope = scope.as_str(), "read a scope to its end")
            }
            Event::Acknowledged { collection, rows } => {
                tracing::debug!(
                    collection = collection.as_str(),
                    rows,
                    "rows were acknowledged"
                );
                self.count(0, *rows);
            }
            Event::Rejected { .. } => {
                let number = self.reject();
                if number <= TOLD_REJECTS {
                    tell_trouble(event);
                } else if number == TOLD_REJECTS + 1 {
                    tracing::warn!("more rows were rejected; the report counts them");
                }
            }
            event => tell_trouble(event),
        }
    }
}

/// Writes a log line about an event that an operator should see whatever else is shown.
pub(crate) fn tell_trouble(event: &Event) {
    match event {
        Event::ScopeFailed { scope, error } => {
            tracing::warn!(
                scope = scope.as_str(),
                error = error.join(": ").as_str(),
                "a scope could not be read to its end"
            );
        }
        Event::Rejected { collection, reason } => {
            tracing::warn!(
                collection = collection.as_str(),
                reason = reason.as_str(),
                "rejected a row"
            );
        }
        Event::Waiting {
            call,
            attempt,
            wait,
            error,
        } => {
            tracing::warn!(
                call = call.as_str(),
                attempt,
                wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                error = error.join(": ").as_str(),
                "waiting before the next attempt"
            );
        }
        Event::Throttled { wait } => {
            tracing::warn!(
                wait_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
                "the data source's rate limit holds requests back for {} s",
                wait.as_secs().max(1)
            );
        }
        Event::Decided { .. }
        | Event::Phase(_)
        | Event::Scopes(_)
        | Event::Page { .. }
        | Event::ScopeDone { .. }
        | Event::Acknowledged { .. } => {}
    }
}
