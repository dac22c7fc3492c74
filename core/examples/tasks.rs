//! What tasks cost: `cargo run --release -p car-core --example tasks -- FOLDER`.
//!
//! Prints durable steps per second, the time to take up 10 000 tasks that are due among 100 000,
//! and the share of a processor that an idle engine with 10 000 waiting tasks takes.

#![expect(clippy::print_stdout, reason = "what it measures is what it is for")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use car_core::Failure;
use car_core::tasks::{
    Listing, Outcome, Schedule, SqliteEngine, Status, Step, Task, TaskDescriptor, TaskEngine,
    TaskSpec,
};

/// Steps of each task in the first measurement.
const STEPS: u64 = 200;
/// Tasks in the first measurement.
const TASKS: usize = 100;
/// Tasks that are due, and those that are not, in the second.
const DUE: usize = 10_000;
const LATER: usize = 90_000;
/// Time for the third.
const IDLE: Duration = Duration::from_secs(10);

struct Count(u64);

#[async_trait]
impl Task for Count {
    async fn step(&self, step: Step) -> Result<Outcome, Failure> {
        let count = step.state::<u64>()? + 1;
        let outcome = if count < self.0 {
            Outcome::again()
        } else {
            Outcome::done()
        };
        outcome.with_state(&count)
    }
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let path = Path::new(&folder).join("tasks-example.db");
    let engine = SqliteEngine::open(&path).await?;
    let resolve =
        |steps| Arc::new(move |_: &TaskDescriptor| Ok(Arc::new(Count(steps)) as Arc<dyn Task>));

    for task in 0..TASKS {
        engine.schedule("steps", TaskSpec::of(task)?).await?;
    }
    let began = Instant::now();
    engine.start("steps", 64, resolve(STEPS)).await?;
    until_done(&engine, "steps", TASKS).await?;
    let seconds = began.elapsed().as_secs_f64();
    let counts = engine.health().await.done;
    println!(
        "{} steps in {seconds:.2} s: {:.0} durable steps/s, {} commits",
        counts.steps,
        counts.steps as f64 / seconds,
        counts.commits
    );

    spawn(
        &engine,
        "later",
        LATER,
        Schedule::after(Duration::from_secs(86_400)),
    )
    .await?;
    spawn(&engine, "due", DUE, Schedule::Now).await?;
    let began = Instant::now();
    engine.start("due", 256, resolve(1)).await?;
    until_done(&engine, "due", DUE).await?;
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{DUE} due tasks among {} run in {seconds:.2} s",
        DUE + LATER
    );

    engine.start("later", 8, resolve(1)).await?;
    let before = processor_time();
    tokio::time::sleep(IDLE).await;
    let used = processor_time() - before;
    println!(
        "idle with {LATER} waiting tasks: {:.2} % of a processor",
        used / IDLE.as_secs_f64() * 100.0
    );
    engine.close().await?;
    Ok(())
}

/// Schedules tasks, many at a time.
async fn spawn(
    engine: &SqliteEngine,
    connector: &str,
    count: usize,
    schedule: Schedule,
) -> Result<(), Failure> {
    let names: Vec<usize> = (0..count).collect();
    for part in names.chunks(500) {
        let calls = part.iter().map(|name| {
            let schedule = schedule.clone();
            async move {
                let task = TaskSpec::of(name)?.schedule(schedule);
                engine.schedule(connector, task).await
            }
        });
        futures_util::future::try_join_all(calls).await?;
    }
    Ok(())
}

async fn until_done(engine: &SqliteEngine, connector: &str, count: usize) -> Result<(), Failure> {
    let active = Listing {
        status: Some(Status::Active),
        limit: Some(1),
        ..Listing::default()
    };
    loop {
        let left = engine.tasks(connector, &active).await?.tasks.len();
        if left == 0 {
            return Ok(());
        }
        debug_assert!(left <= count);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Returns the processor time of this process in seconds.
fn processor_time() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |at: usize| {
        fields
            .get(at)
            .and_then(|field| field.parse::<f64>().ok())
            .unwrap_or(0.0)
    };
    (ticks(11) + ticks(12)) / 100.0
}
