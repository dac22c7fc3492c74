//! `import`: one import, from the settings to the report.

use std::path::Path;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use tokio_util::sync::CancellationToken;

use super::bars::Bars;
use super::console::{Console, Look};
use super::report_file;
use super::setup::Setup;
use super::state;
use super::summary::{headline, summary};
use crate::car::{self, CarClient};
use crate::config::{CarCredentials, Common};
use crate::connector::{About, Connector};
use crate::engine::{self, Run};
use crate::exit::SUCCESS;
use crate::failure::Failure;
use crate::progress::Reporter;
use crate::report::RunReport;
use crate::telemetry::{LogReporter, Value};

/// Imports, from the source or from a plan, and returns the exit code.
pub(super) fn run<C: Connector>(setup: &Setup, plan: Option<&Path>, began: &Beginning) -> u8 {
    let console = &setup.console;
    if let Some(file) = &setup.common.report
        && let Err(failure) = report_file::check(file, &setup.loaded.origin("report"))
    {
        return console.fail(&failure);
    }
    let (reporter, bars) = self::reporter(console);
    let run = setup
        .run(|cancel| import::<C>(setup, plan, reporter, cancel))
        .unwrap_or_else(|failure| Run {
            report: began.failed(&setup.about, setup.source(), &failure),
            failure: Some(failure),
        });
    clear(console, bars);
    end(setup, console, run)
}

/// Makes what tells the progress: bars on a terminal, log lines elsewhere.
pub(super) fn reporter(console: &Console) -> (Arc<dyn Reporter>, Option<Arc<Bars>>) {
    let bars = (console.has_look() == Look::Terminal).then(|| Arc::new(Bars::on_terminal()));
    if let Some(bars) = &bars {
        console.with_bars(bars.multi());
    }
    match &bars {
        Some(shown) => (Arc::clone(shown) as Arc<dyn Reporter>, bars),
        None => (Arc::new(LogReporter::new()), None),
    }
}

/// Takes the bars away again.
pub(super) fn clear(console: &Console, bars: Option<Arc<Bars>>) {
    if let Some(bars) = bars {
        console.without_bars();
        bars.clear();
    }
}

/// Opens both sides and hands over to the engine. An error is one from before the run.
async fn import<C: Connector>(
    setup: &Setup,
    plan: Option<&Path>,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
) -> Result<Run, Failure> {
    match plan {
        // The data source is not asked for anything.
        Some(_) => setup.loaded.require(&["source"])?,
        None => setup.loaded.require_own_and(&["source"])?,
    }
    if let Some(plan) = plan {
        let car = car(setup, &reporter, &cancel)?;
        let mut options = options(setup);
        options.state = match &setup.state {
            // There is nothing to go on with, so nobody misses it.
            state::Place::Unknown => None,
            place => place.open(setup).await?,
        };
        options.redactor = Arc::clone(setup.console.redactor());
        let settings = match setup.loaded.require_own_and(&[]) {
            Ok(()) => Some(state::settings(&setup.loaded)),
            // Whoever approves a plan need not have what it takes to read the source.
            Err(_) => None,
        };
        let plan = (plan, settings.as_deref());
        return Ok(engine::apply(&setup.about, plan, options, car, reporter, cancel).await);
    }
    let connector: C = setup.open(&cancel).await?;
    let car = car(setup, &reporter, &cancel)?;
    let mut options = options(setup);
    options.state = setup.state.open(setup).await?;
    options.retry_failed = setup.common.retry_failed;
    options.redactor = Arc::clone(setup.console.redactor());
    Ok(engine::run(Arc::new(connector), options, car, reporter, cancel).await)
}

/// Makes the client of the CAR service.
pub(super) fn car(
    setup: &Setup,
    reporter: &Arc<dyn Reporter>,
    cancel: &CancellationToken,
) -> Result<CarClient, Failure> {
    CarClient::new(car_options(setup)?, Arc::clone(reporter), cancel.clone())
}

/// Returns how to reach the CAR service.
pub(super) fn car_options(setup: &Setup) -> Result<car::Options, Failure> {
    let common = &setup.common;
    let credentials = CarCredentials::from_settings(common, &setup.loaded)?;
    let user_agent = format!("{}/{}", setup.about.name, setup.about.version);
    let mut options = car::Options::new(credentials, user_agent);
    options.call_timeout = common.car_timeout.0;
    options.connect_timeout = common.car_connect_timeout.0;
    options.backoff.deadline = common.car_retry_for.0;
    options.job_deadline = common.car_job_timeout.0;
    Ok(options)
}

/// Returns how the engine is to work.
pub(super) fn options(setup: &Setup) -> engine::Options {
    engine_options(&setup.common, setup.source())
}

/// Returns how the engine is to work for a source.
pub(super) fn engine_options(common: &Common, source: &str) -> engine::Options {
    let mut options = engine::Options::new(source);
    options.force_full = common.full;
    options.concurrency = common.concurrency;
    options.page_rows = common.export_data_page_size;
    options.memory_budget = usize::try_from(common.memory_budget.0).unwrap_or(usize::MAX);
    options.spill_folder.clone_from(&common.export_data_dir);
    options.keep_spill = common.keep_export_data_dir;
    options.source_backoff.deadline = common.source_retry_for.0;
    options.max_rejects = common.max_rejects;
    options.max_deletions = common.max_deletions.0;
    options.approve_deletions = common.approve_deletions;
    options.changed_only = common.changed_only;
    if let Some(file) = &common.quarantine {
        options.quarantine.clone_from(file);
    }
    options
}

/// Writes the report, says what came of the run, and returns the exit code.
fn end(setup: &Setup, console: &Console, run: Run) -> u8 {
    let Run { report, failure } = run;
    let written = match &setup.common.report {
        Some(file) => report_file::write(file, &report, console.redactor()),
        None => Ok(()),
    };
    if failure.is_none() || report.totals() != crate::report::Counts::default() {
        let totals = report.totals();
        let number = |number: u64| Value::Other(number.into());
        console.say(
            &summary(&report),
            &headline(&report),
            &[
                (
                    "outcome",
                    Value::Text(format!("{:?}", report.outcome).to_lowercase()),
                ),
                (
                    "mode",
                    Value::Text(
                        report
                            .mode
                            .map_or("none", crate::report::Mode::as_str)
                            .to_owned(),
                    ),
                ),
                ("sent", number(totals.sent)),
                ("rejected", number(totals.rejected)),
                ("withheld", number(totals.withheld)),
                ("retired", number(totals.retired)),
                ("duration_ms", number(report.duration_ms)),
                ("exit_code", Value::Other(report.exit_code.into())),
            ],
        );
    }
    match (failure, written) {
        (None, Ok(())) => SUCCESS,
        (None, Err(unwritten)) => console.fail(&unwritten),
        (Some(failure), Ok(())) => console.fail(&failure),
        (Some(failure), Err(unwritten)) => {
            // The first failure decides the exit code.
            console.fail(&unwritten);
            console.fail(&failure)
        }
    }
}

/// When a run began, for the report of one that never got to the engine.
pub(super) struct Beginning {
    clock: Instant,
    millis: u64,
}

impl Beginning {
    pub(super) fn now() -> Self {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let millis = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Self {
            clock: Instant::now(),
            millis,
        }
    }

    /// Makes the report.
    pub(super) fn failed(&self, about: &About, source: &str, failure: &Failure) -> RunReport {
        let mut report = RunReport::begun(about, source, self.millis);
        report.duration_ms = u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        report.fail(failure);
        report
    }
}
