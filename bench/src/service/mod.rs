//! What the service costs, beside what its database takes for the same rows.

mod postgres;
mod report;
mod rows;
mod sqlite;
mod web;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use clap::Args;

use report::{Line, Report};
use rows::PER_ASSET;
use web::{Service, Web, median};

/// Address of the service's calls.
const V2: &str = "/api/car/v2";

/// Session of the source.
const SESSION: &str = "/api/car/v2/source/bench/full-import-in-progress";

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Entities in the graph: vertices, and as many edges between them.
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(100..))]
    entities: u64,

    /// Entities in the small graph that the large one is compared with.
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(100..))]
    small: u64,

    /// Assets in one import, with ten rows of vertices and ten of edges each.
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..))]
    import: u64,

    /// Imports under way at a time.
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u64).range(1..=64))]
    clients: u64,

    /// Repetitions of each query and page; the median counts.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    runs: u32,

    /// PostgreSQL server to measure on as well.
    #[arg(
        long,
        value_name = "URL",
        env = "CAR_BENCH_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,

    /// Folder with the program to measure; this program's own by default.
    #[arg(long)]
    binaries: Option<PathBuf>,
}

/// Where a service keeps its graph.
enum Place {
    Folder(PathBuf),
    Server(String),
}

/// Measures everything and prints the table.
pub(crate) fn all(plan: &Plan, own: PathBuf) -> anyhow::Result<()> {
    let binary = plan.binaries.clone().unwrap_or(own).join("car-service");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let mut report = Report::default();
    on_sqlite(plan, &binary, &runtime, &mut report)?;
    match &plan.database_url {
        Some(url) => on_postgres(plan, &binary, &runtime, url, &mut report)?,
        None => report.note("PostgreSQL was not measured: give its address with --database-url"),
    }
    report.print()
}

fn on_sqlite(
    plan: &Plan,
    binary: &Path,
    runtime: &tokio::runtime::Runtime,
    report: &mut Report,
) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let place = |name: &str| Place::Folder(folder.path().join(name));
    let small = plan.small_filter(binary, &place("small"))?;
    let file = folder.path().join("large/car.db");
    plan.measure(
        "SQLite",
        binary,
        &place("large"),
        small,
        report,
        |imports| {
            let raw = folder.path().join("raw.db");
            runtime.block_on(sqlite::raw(&file, &raw, imports))
        },
    )
}

fn on_postgres(
    plan: &Plan,
    binary: &Path,
    runtime: &tokio::runtime::Runtime,
    url: &str,
    report: &mut Report,
) -> anyhow::Result<()> {
    // Of its own, so that two measurements on one server do not meet.
    let names =
        ["small", "large", "raw"].map(|name| format!("bench_{}_{name}", std::process::id()));
    let [small, large, raw] = &names;
    let schema = |name: &str| {
        let schema = runtime.block_on(postgres::schema(url, name));
        schema.map(Place::Server)
    };
    let small = plan.small_filter(binary, &schema(small)?)?;
    let empty = schema(raw)?;
    Service::start(binary, &empty)?.web.get_ready()?;
    let place = schema(large)?;
    plan.measure("PostgreSQL", binary, &place, small, report, |_| {
        runtime.block_on(postgres::raw(url, large, raw))
    })?;
    for name in &names {
        runtime.block_on(postgres::drop_schema(url, name))?;
    }
    Ok(())
}

impl Web {
    /// Makes the tenant's tables.
    fn get_ready(&self) -> anyhow::Result<()> {
        self.call("POST", &format!("{V2}/databases"), b"{}")?;
        Ok(())
    }
}

impl Plan {
    /// Measures the filter on a small graph.
    fn small_filter(&self, binary: &Path, place: &Place) -> anyhow::Result<Duration> {
        let service = Service::start(binary, place)?;
        service.web.get_ready()?;
        let assets = self.small / PER_ASSET;
        self.import(&service.web, 0..assets)?;
        self.filter(&service.web, assets)
    }

    fn measure(
        &self,
        store: &'static str,
        binary: &Path,
        place: &Place,
        small: Duration,
        report: &mut Report,
        raw: impl FnOnce(u64) -> anyhow::Result<(u64, Duration)>,
    ) -> anyhow::Result<()> {
        let mut line = |line: Line| report.line(store, line);
        let assets = self.entities / PER_ASSET;
        let service = Service::start(binary, place)?;
        line(Line::time(
            "ready, empty",
            service.ready,
            Duration::from_millis(300),
        ));
        line(Line::memory("idle, empty", service.memory()?));
        service.web.get_ready()?;
        let took = self.import(&service.web, 0..assets)?;
        let imports = assets.div_ceil(self.import);
        let (count, bare) = raw(imports)?;
        ensure!(count > 0, "no row was found to compare with");
        line(Line::ingestion(count, took, bare));

        let web = &service.web;
        let three = median(self.runs, |turn| {
            let query = three_levels(turn, assets);
            let answer = web.query(&query)?;
            let found = answer
                .pointer("/data/asset")
                .and_then(|list| list.as_array());
            ensure!(
                found.is_some_and(|list| !list.is_empty()),
                "{query}: nothing found"
            );
            Ok(())
        })?;
        line(Line::time(
            "GraphQL, 3 levels, 100 assets",
            three,
            Duration::from_millis(5),
        ));
        line(Line::beside(
            "filter by an indexed field",
            self.filter(web, assets)?,
            small,
        ));
        for (name, path) in PAGES {
            let viewer = web.logged_in()?;
            let took = median(self.runs.min(20), |_| viewer.get(path).map(drop))?;
            line(Line::time(name, took, Duration::from_millis(200)));
        }
        self.sweep(web, assets, &mut line)?;
        drop(service);
        let service = Service::start(binary, place)?;
        line(Line::time(
            "ready, full",
            service.ready,
            Duration::from_millis(300),
        ));
        line(Line::memory("idle, full", service.memory()?));
        Ok(())
    }

    /// Reports a tenth less than there is, and measures what closing the session takes.
    fn sweep(&self, web: &Web, assets: u64, line: &mut impl FnMut(Line)) -> anyhow::Result<()> {
        web.call("POST", SESSION, b"{}")?;
        let kept = assets - assets / 10;
        let took = self.import(web, 0..kept)?;
        line(Line::rate(
            "rows reported again, unchanged",
            kept * 2 * PER_ASSET,
            took,
        ));
        let began = Instant::now();
        web.call("DELETE", SESSION, b"")?;
        let took = began.elapsed();
        let gone = (assets - kept) * PER_ASSET;
        let name = format!(
            "sweep of {gone} of {} entities, and their edges",
            assets * PER_ASSET
        );
        line(Line::time(&name, took, Duration::from_secs(3)));
        let count = web.query("{ asset_aggregate { aggregate { count } } }")?;
        let count = count.pointer("/data/asset_aggregate/aggregate/count");
        ensure!(
            count == Some(&kept.into()),
            "{kept} assets should be left, not {count:?}"
        );
        Ok(())
    }

    /// Imports assets, several imports at a time, and returns how long it took.
    fn import(&self, web: &Web, assets: std::ops::Range<u64>) -> anyhow::Result<Duration> {
        let next = AtomicU64::new(assets.start);
        let failure = Mutex::new(None);
        let began = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..self.clients {
                scope.spawn(|| {
                    let web = web.another();
                    loop {
                        let first = next.fetch_add(self.import, Ordering::Relaxed);
                        if first >= assets.end {
                            return;
                        }
                        let last = (first + self.import).min(assets.end);
                        let body = rows::envelope(first..last);
                        if let Err(error) = web.call("POST", &format!("{V2}/imports"), &body) {
                            next.store(assets.end, Ordering::Relaxed);
                            if let Ok(mut failure) = failure.lock() {
                                failure.get_or_insert(error);
                            }
                            return;
                        }
                    }
                });
            }
        });
        let took = began.elapsed();
        match failure.into_inner() {
            Ok(None) => Ok(took),
            Ok(Some(error)) => Err(error).context("an import failed"),
            Err(_) => anyhow::bail!("an import failed"),
        }
    }

    /// Measures finding one asset by its name, another each time.
    fn filter(&self, web: &Web, assets: u64) -> anyhow::Result<Duration> {
        median(self.runs, |turn| {
            let name = format!("asset-{}.example.com", pick(turn, assets));
            let query =
                format!(r#"{{ asset(where: {{name: {{_eq: "{name}"}}}}) {{ external_id }} }}"#);
            let answer = web.query(&query)?;
            ensure!(
                answer.pointer("/data/asset/0").is_some(),
                "`{name}` was not found"
            );
            Ok(())
        })
    }
}

/// The pages, with the part of the graph that each shows.
const PAGES: [(&str, &str); 5] = [
    ("page: overview", "/ui/"),
    ("page: browse", "/ui/browse?collection=asset"),
    (
        "page: browse, by an indexed field",
        "/ui/browse?collection=asset&field=name&op=is&value=asset-7.example.com",
    ),
    (
        "page: entity",
        "/ui/entity?collection=asset&source=bench&id=a7",
    ),
    ("page: risk", "/ui/risk"),
];

/// Asks for 100 assets, their weaknesses' edges and the weaknesses.
fn three_levels(turn: u64, assets: u64) -> String {
    let ids: Vec<String> = (0..100)
        .map(|index| format!("\"a{}\"", pick(turn * 100 + index, assets)))
        .collect();
    format!(
        "{{ asset(where: {{external_id: {{_in: [{}]}}}}) {{ external_id name \
         vulnerabilities {{ risk_score vulnerability {{ external_id base_score }} }} }} }}",
        ids.join(",")
    )
}

/// Picks a number below a limit, the same one for the same turn in every run.
fn pick(turn: u64, below: u64) -> u64 {
    turn.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15) % below.max(1)
}
