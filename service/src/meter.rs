//! Numbers for `/metrics`, one set per service.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::store::ops::run::LastRun;

/// Which call, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    method: String,
    call: String,
    status: u16,
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Fate {
    fate: &'static str,
}

/// Whose run, and how it ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    source: String,
    exit_code: i64,
}

/// The numbers.
pub(crate) struct Meter {
    registry: Registry,
    calls: Family<Call, Counter>,
    rows: Family<Fate, Counter>,
    imports: Histogram,
    runs: Family<Ended, Gauge>,
    telling: Mutex<()>,
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter").finish_non_exhaustive()
    }
}

impl Default for Meter {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("car");
        let calls = Family::default();
        registry.register("calls", "Calls that were answered", calls.clone());
        let rows = Family::default();
        registry.register(
            "rows",
            "Rows of imports, by what became of them",
            rows.clone(),
        );
        let imports = Histogram::new(exponential_buckets(0.001, 2.0, 16));
        registry.register_with_unit(
            "import_duration",
            "Time from reading an import to its commit",
            Unit::Seconds,
            imports.clone(),
        );
        let runs = Family::default();
        registry.register_with_unit(
            "source_last_run",
            "Start of the latest run of a source that ended with an exit code, since 1970",
            Unit::Seconds,
            runs.clone(),
        );
        Self {
            registry,
            calls,
            rows,
            imports,
            runs,
            telling: Mutex::default(),
        }
    }
}

impl Meter {
    /// Counts an answered call; `call` is the route, not the address, so that there are few.
    pub(crate) fn call(&self, method: &str, call: &str, status: u16) {
        let labels = Call {
            method: method.to_owned(),
            call: call.to_owned(),
            status,
        };
        self.calls.get_or_create(&labels).inc();
    }

    /// Counts an import.
    pub(crate) fn import(&self, applied: crate::store::ops::import::Applied, took: Duration) {
        self.imports.observe(took.as_secs_f64());
        for (fate, count) in [
            ("created", applied.created),
            ("changed", applied.changed),
            ("unchanged", applied.unchanged),
        ] {
            self.rows
                .get_or_create(&Fate { fate })
                .inc_by(u64::try_from(count).unwrap_or(u64::MAX));
        }
    }

    /// Counts rows that were retired.
    pub(crate) fn retired(&self, count: u64) {
        self.rows
            .get_or_create(&Fate { fate: "retired" })
            .inc_by(count);
    }

    /// Writes everything in the format of Prometheus, with the latest runs as they are known now
    /// in place of those told before; `None` where they cannot be asked for.
    pub(crate) fn render(&self, latest: Option<Vec<LastRun>>) -> Result<String, fmt::Error> {
        // Two that ask at once must not see each other's half.
        let _told = self.telling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(latest) = latest {
            self.runs.clear();
            for run in latest {
                let labels = Ended {
                    source: run.source,
                    exit_code: run.exit_code,
                };
                self.runs.get_or_create(&labels).set(run.started / 1000);
            }
        }
        let mut text = String::new();
        text::encode(&mut text, &self.registry)?;
        Ok(text)
    }
}
