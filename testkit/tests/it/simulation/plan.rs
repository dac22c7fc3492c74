//! What goes wrong in one run, decided by the seed before it begins.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use car_core::config::Limit;
use car_core::engine::{ChangedOnly, Options};
use car_core::layer::Backoff;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;

use super::world::World;

/// What goes wrong with a call of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SourceFault {
    /// It cannot answer now; the next call may succeed.
    Now,
    /// It refuses, and goes on refusing the calls of this name.
    Ever,
    /// The connector is killed.
    Kill,
}

/// What goes wrong with a call of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServiceFault {
    /// Nobody listens.
    Refused,
    /// It is carried out, and the answer is lost.
    AnswerLost,
    /// It answers with a status and does nothing.
    Status(u16),
    /// It is carried out, and a proxy answers with a status.
    StatusAfterAll(u16),
    /// It arrives twice.
    Twice,
    /// The connector is killed before the call is carried out.
    KillBefore,
    /// The connector is killed after the call is carried out.
    KillAfter,
}

/// What goes wrong in one run.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Objects on a page of the source.
    pub(crate) page_size: u32,
    /// Whether a delta of several pages turns out not to be possible after the first.
    pub(crate) delta_breaks_off: bool,
    /// How the run works.
    pub(crate) options: Options,
    /// When calls are made again: at once and for long, or not at all.
    pub(crate) backoff: Backoff,
    /// Whether the run leaves behind what a later one needs to go on.
    pub(crate) remembers: bool,
    /// Settings that decide what is read: with others, no run goes on.
    pub(crate) settings: String,
    source_faults: BTreeMap<u32, SourceFault>,
    service_faults: BTreeMap<u32, ServiceFault>,
    /// Calls of the source before which it changes.
    changes: Vec<u32>,
    /// Notified when the run is to be killed.
    pub(crate) killed: Notify,
    progress: Mutex<Progress>,
}

#[derive(Debug)]
struct Progress {
    random: StdRng,
    source_calls: u32,
    service_calls: u32,
    refuses: Vec<String>,
    /// What came to pass, for the message of a failure.
    events: Vec<String>,
}

/// How a run may end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    /// Nothing goes wrong.
    Fair,
    /// Things go wrong.
    Foul,
}

impl Plan {
    /// Decides what goes wrong.
    pub(crate) fn new(random: &mut StdRng, source: &str, weather: Weather) -> Self {
        let foul = weather == Weather::Foul;
        let mut source_faults = BTreeMap::new();
        let mut service_faults = BTreeMap::new();
        let mut changes = Vec::new();
        if foul {
            for _ in 0..random.random_range(0..3) {
                let fault = match random.random_range(0..10) {
                    0..=4 => SourceFault::Now,
                    5..=7 => SourceFault::Ever,
                    _ => SourceFault::Kill,
                };
                source_faults.insert(random.random_range(0..15), fault);
            }
            for _ in 0..random.random_range(0..4) {
                let status = [401, 408, 429, 500, 502, 503][random.random_range(0..6)];
                let fault = match random.random_range(0..20) {
                    0..=2 => ServiceFault::Refused,
                    3..=6 => ServiceFault::AnswerLost,
                    7..=9 => ServiceFault::Status(status),
                    10..=11 => ServiceFault::StatusAfterAll(504),
                    12..=13 => ServiceFault::Twice,
                    14..=16 => ServiceFault::KillBefore,
                    _ => ServiceFault::KillAfter,
                };
                service_faults.insert(random.random_range(0..30), fault);
            }
            if random.random_bool(0.3) {
                changes.extend((0..random.random_range(1..4)).map(|_| random.random_range(0..15)));
            }
        }
        let mut options = Options::new(source);
        options.force_full = foul && random.random_bool(0.3);
        options.retry_failed = foul && random.random_bool(0.2);
        options.concurrency = random.random_range(1..4);
        options.sends = random.random_range(1..4);
        options.page_rows = random.random_range(1..6);
        options.memory_budget = if random.random_bool(0.5) { 0 } else { 1 << 20 };
        options.changed_only =
            [ChangedOnly::Auto, ChangedOnly::Never, ChangedOnly::Always][random.random_range(0..3)];
        options.max_rejects = Limit::Share(if foul && random.random_bool(0.1) {
            0.05
        } else {
            1.0
        });
        let backoff = Backoff {
            first: Duration::from_micros(1),
            longest: Duration::from_micros(1),
            deadline: if foul && random.random_bool(0.3) {
                Duration::ZERO
            } else {
                Duration::from_secs(600)
            },
        };
        options.source_backoff = backoff;
        Self {
            // Cursors have the same meaning whatever the size of the page.
            page_size: random.random_range(1..5),
            delta_breaks_off: foul && random.random_bool(0.1),
            options,
            backoff,
            remembers: random.random_bool(0.8),
            settings: if random.random_bool(0.1) {
                "other"
            } else {
                "usual"
            }
            .to_owned(),
            source_faults,
            service_faults,
            changes,
            killed: Notify::new(),
            progress: Mutex::new(Progress {
                random: StdRng::seed_from_u64(random.random()),
                source_calls: 0,
                service_calls: 0,
                refuses: Vec::new(),
                events: Vec::new(),
            }),
        }
    }

    /// Counts a call of the source; the world may change, and the call may fail.
    pub(crate) fn next_source_call(
        &self,
        name: &str,
        world: &Arc<Mutex<World>>,
    ) -> Option<SourceFault> {
        let mut progress = self.progress.lock().unwrap();
        let number = progress.source_calls;
        progress.source_calls += 1;
        if self.changes.contains(&number) {
            world.lock().unwrap().change(&mut progress.random);
            progress
                .events
                .push(format!("the source changes at call {number}"));
        }
        let mut fault = self.source_faults.get(&number).copied();
        if fault == Some(SourceFault::Ever) {
            progress.refuses.push(name.to_owned());
        }
        if progress.refuses.iter().any(|refused| refused == name) {
            fault = fault.or(Some(SourceFault::Ever));
        }
        if let Some(fault) = fault {
            progress
                .events
                .push(format!("{fault:?} at source call {number}, {name}"));
        }
        if fault == Some(SourceFault::Kill) {
            self.killed.notify_one();
        }
        fault
    }

    /// Counts a call of the service, which may fail.
    pub(crate) fn next_service_call(&self, name: &str) -> Option<ServiceFault> {
        let mut progress = self.progress.lock().unwrap();
        let number = progress.service_calls;
        progress.service_calls += 1;
        let fault = self.service_faults.get(&number).copied();
        let what = fault.map_or(String::new(), |fault| format!(": {fault:?}"));
        progress.events.push(format!("{name}{what}"));
        fault
    }

    /// Returns what came to pass, in order.
    pub(crate) fn events(&self) -> Vec<String> {
        self.progress.lock().unwrap().events.clone()
    }
}
