//! What an engine knows of itself: steps at work, counts, trouble.

use std::sync::{Mutex, PoisonError};

use car_core::tasks::Health;

use crate::message::{Report, Then};
use crate::steps::ends_run;

/// What an engine knows of itself.
#[derive(Debug, Default)]
pub(crate) struct Shared(Mutex<Health>);

impl Shared {
    pub(crate) fn health(&self) -> Health {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn set(&self, change: impl FnOnce(&mut Health)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn trouble(&self, trouble: Option<String>) {
        self.set(|health| health.trouble = trouble);
    }

    pub(crate) fn began(&self, connector: &str) {
        self.set(|health| {
            let running = health.running.entry(connector.to_owned()).or_default();
            *running = running.saturating_add(1);
        });
    }

    pub(crate) fn ended(&self, connector: &str, report: &Report) {
        self.set(|health| {
            if let Some(running) = health.running.get_mut(connector) {
                *running = running.saturating_sub(1);
            }
            let done = &mut health.done;
            let failed = match report {
                Report::Failed { .. } => true,
                Report::Ended { then, .. } => matches!(then, Then::Fail(_)),
                Report::Interrupted | Report::Lost { .. } => return,
            };
            let attempts = if failed {
                &mut done.failed_attempts
            } else {
                &mut done.steps
            };
            *attempts = attempts.saturating_add(1);
            let runs = match ends_run(report) {
                None => return,
                Some(true) => &mut done.failed_runs,
                Some(false) => &mut done.done_runs,
            };
            *runs = runs.saturating_add(1);
        });
    }
}
