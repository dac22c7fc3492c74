//! What sagas cost: `cargo run --release -p car-core --features saga --example sagas -- FOLDER`.
//!
//! Prints the time for each step of chains whose steps do nothing, recorded in memory and durably
//! in SQLite: one chain after another, and many side by side.

#![expect(clippy::print_stdout, reason = "what it measures is what it is for")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use car_core::saga::{Delivery, MemoryLog, NoMatch, Response, Saga, SagaLog, SqliteLog, Step};
use car_core::{Failure, FailureKind};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};

/// Steps of each chain.
const STEPS: usize = 10;
/// Chains that are done in memory, and in SQLite.
const IN_MEMORY: usize = 5000;
const DURABLE: usize = 500;
/// Chains that are done side by side in the second half of the measurements.
const BESIDE: usize = 32;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let folder = std::env::args().nth(1).unwrap_or_else(|| ".".to_owned());
    let path = Path::new(&folder).join("sagas-example.db");
    let done = |_| Ok(Response::done());
    let failed = |_| Err(Failure::new(FailureKind::Source, "the last step says no"));
    for (what, last) in [
        ("done", done as fn(()) -> Result<Response, Failure>),
        ("undone", failed),
    ] {
        let memory = saga(Arc::new(MemoryLog::new()), last)?;
        measure(&format!("in memory, {what}"), &memory, IN_MEMORY, 1).await?;
        let sqlite = saga(Arc::new(SqliteLog::open(&path).await?), last)?;
        measure(&format!("SQLite, {what}"), &sqlite, DURABLE, 1).await?;
        let name = format!("SQLite, {what}, {BESIDE} side by side");
        measure(&name, &sqlite, DURABLE, BESIDE).await?;
    }
    Ok(())
}

/// Makes a chain of steps that do nothing, the last of which may fail.
fn saga(
    log: Arc<dyn SagaLog>,
    last: fn(()) -> Result<Response, Failure>,
) -> Result<Saga<Value>, Failure> {
    let chain = Saga::<Value>::chain("example", NoMatch::Skip).log(log);
    let chain = (0..STEPS).fold(chain, |chain, step| {
        let is_last = step == STEPS - 1;
        let execute = move |_: &mut Value, _: &mut _| match is_last {
            true => last(()),
            false => Ok(Response::done()),
        };
        let step = Step::new(format!("step {step}"))
            .execute_now(execute)
            .compensate_now(|_, _, _| Ok(Response::done()));
        chain.step(step)
    });
    Ok(chain.build()?)
}

/// Delivers requests, and prints what one step of them cost.
async fn measure(
    what: &str,
    saga: &Saga<Value>,
    count: usize,
    beside: usize,
) -> Result<(), Failure> {
    let request = json!({"id": "PR-1", "asset": {"id": "AS-1", "params": [
        {"id": "email", "value": "ada@example.org"}, {"id": "seats", "value": "3"},
    ]}});
    let began = Instant::now();
    let deliveries = (0..count).map(|number| {
        let id = format!("{}-{number}", what.replace([' ', ','], "-"));
        saga.deliver(Delivery::new(id, request.clone()))
    });
    stream::iter(deliveries)
        .buffer_unordered(beside)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    let took = began.elapsed();
    let one = took / u32::try_from(count * STEPS).unwrap_or(u32::MAX);
    println!("{what}: {} for each of {} steps", shown(one), count * STEPS);
    Ok(())
}

fn shown(time: Duration) -> String {
    format!("{:.1} µs", time.as_secs_f64() * 1e6)
}
