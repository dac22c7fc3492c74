//! What exchanging rows costs: `cargo run --release -p car-core --example exchange -- STEP FOLDER
//! [ROWS]`, with 10 000 000 rows unless told otherwise.
//!
//! Each step is a process of its own, so that its memory can be told: `make` writes two snapshots
//! of which one row in a hundred is new, gone or different; `service` copies a column of one;
//! `delta` compares both; `http` does what `service` does beside a server in another process,
//! `sidecar`, which answers every read with the same rows until they are enough. Prints rows per
//! second of wall-clock and of processor time, and the most memory.

#![expect(clippy::print_stdout, reason = "what it measures is what it is for")]

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::{get, post};
use car_core::exchange::{
    ContainerApi, DataService, DeltaOptions, FileContainer, Format, HttpContainer, HttpOptions,
    Job, Output, Rows, RunOptions, make_delta, run,
};
use car_core::{Failure, FailureKind};
use tokio_util::sync::CancellationToken;

/// Where the server of the example listens.
const ADDRESS: &str = "127.0.0.1:8098";
/// Rows in one read.
const BATCH: u64 = 999;

/// Copies a column, as the sample of a data service does.
struct Copy;

#[async_trait]
impl DataService for Copy {
    async fn transform(&mut self, rows: &Rows, output: &mut Output) -> Result<(), Failure> {
        for row in rows.iter() {
            let text = row.get("title").map(|value| value.text());
            output
                .rows
                .push_with(row, &[("copy", text.as_deref().unwrap_or_default())]);
        }
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let mut words = arguments.iter().map(String::as_str);
    let (step, folder) = (words.next(), Path::new(words.next().unwrap_or("exchange")));
    let rows = words.next().and_then(|rows| rows.parse().ok());
    let rows = rows.unwrap_or(10_000_000);
    fs::create_dir_all(folder).map_err(broken)?;
    let (began, used) = (Instant::now(), processor_time());
    let done = match step {
        Some("make") => make(folder, rows).map_err(broken)?,
        Some("service") => {
            let container = FileContainer::open(folder, Format::Lines, None)?;
            service(Arc::new(container)).await?
        }
        Some("http") => {
            let options = HttpOptions::new(format!("http://{ADDRESS}"));
            let container = HttpContainer::new(options, CancellationToken::new())?;
            service(Arc::new(container)).await?
        }
        Some("sidecar") => return sidecar(rows).await.map_err(broken),
        Some("delta") => delta(folder)?,
        _ => {
            return Err(Failure::new(
                FailureKind::InvalidParameter,
                "the first argument is make, service, delta, sidecar or http",
            ));
        }
    };
    let (wall, used) = (began.elapsed().as_secs_f64(), processor_time() - used);
    let rate = |seconds: f64| done as f64 / seconds.max(0.001);
    println!(
        "{}: {done} rows in {wall:.1} s: {:.0} rows a second, {:.0} per second of one processor, at most {} MiB in memory",
        step.unwrap_or_default(),
        rate(wall),
        rate(used),
        peak_memory()
    );
    Ok(())
}

/// Writes `before.jsonl` and `input.jsonl`.
fn make(folder: &Path, rows: u64) -> std::io::Result<u64> {
    let file = |name: &str| File::create(folder.join(name)).map(BufWriter::new);
    let (mut before, mut after) = (file("before.jsonl")?, file("input.jsonl")?);
    for id in 0..rows {
        let line = |price: u64| row(id, price);
        match id % 100 {
            7 => before.write_all(line(1).as_bytes())?,
            13 => after.write_all(line(1).as_bytes())?,
            n => {
                before.write_all(line(1).as_bytes())?;
                after.write_all(line(if n == 29 { 2 } else { 1 }).as_bytes())?;
            }
        }
    }
    before.flush()?;
    after.flush()?;
    Ok(rows)
}

fn row(id: u64, price: u64) -> String {
    // Keys in no order.
    let key = id.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!(
        "{{\"id\":\"{key:016x}\",\"title\":\"A product with the number {id}\",\"brand\":\"brand {}\",\"price\":\"{price}.90\"}}\n",
        id % 977
    )
}

async fn service(api: Arc<dyn ContainerApi>) -> Result<u64, Failure> {
    let finished = run(
        Job::Service(Box::new(Copy)),
        api,
        RunOptions::default(),
        Arc::new(|_| {}),
        CancellationToken::new(),
    )
    .await;
    match finished.failure {
        None => Ok(finished.summary.counts.written),
        Some(failure) => Err(failure),
    }
}

fn delta(folder: &Path) -> Result<u64, Failure> {
    let options = DeltaOptions::new(
        Some(folder.join("before.jsonl")),
        folder.join("input.jsonl"),
        vec!["id".to_owned()],
        folder,
    );
    let counts = make_delta(&options, &CancellationToken::new())?;
    println!("{counts:?}");
    Ok(counts.new + counts.modified + counts.unchanged)
}

/// Answers as a container API that has nothing to do but copy.
async fn sidecar(rows: u64) -> std::io::Result<()> {
    let batches = rows / BATCH;
    let lines: Vec<String> = (0..BATCH).map(|id| row(id, 1).trim().to_owned()).collect();
    let full = format!("{{\"data\":[{}]}}", lines.join(","));
    let count = format!("{{\"data\":{{\"count\":{}}}}}", batches * BATCH);
    let served = Arc::new(AtomicU64::new(0));
    let next = move || {
        let done = served.fetch_add(1, Ordering::Relaxed) >= batches;
        let body = if done {
            "{\"data\":[]}".to_owned()
        } else {
            full.clone()
        };
        async move { ([(CONTENT_TYPE, "application/json")], body) }
    };
    let ok = || async { "{}" };
    let router = Router::new()
        .route("/ping", get(ok))
        .route("/input/{type}/restart", get(ok))
        .route(
            "/items/input/count",
            get(move || async move { count.clone() }),
        )
        .route("/input/{type}/next_batch", get(next))
        .route(
            "/output/{type}",
            post(|body: axum::body::Bytes| async move { body.len().to_string() }),
        )
        .layer(axum::extract::DefaultBodyLimit::disable());
    let listener = tokio::net::TcpListener::bind(ADDRESS).await?;
    println!("listening on {ADDRESS}");
    axum::serve(listener, router).await
}

fn broken(error: std::io::Error) -> Failure {
    Failure::new(FailureKind::General, "the example cannot go on").because(error)
}

/// Returns the seconds that all threads of this process computed.
fn processor_time() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let behind = stat.rsplit(')').next().unwrap_or_default();
    let ticks = behind.split_whitespace().skip(11).take(2);
    ticks
        .filter_map(|ticks| ticks.parse::<f64>().ok())
        .sum::<f64>()
        / 100.0
}

/// Returns the most memory that this process had, in MiB.
fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    let number = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    number.unwrap_or_default() / 1024
}
