//! Processes that read one source as one user keep within what it allows, together.

use std::time::Duration;

use car_testkit::{Service, TestFolder, within};
use serde_json::json;

use crate::expected::Objects;
use crate::fake::{Allowance, Behaviour, Fake};
use crate::support::reading;

/// Requests that the source allows in a second.
const ALLOWED: usize = 50;

/// How much of the limit is used: `cargo nextest run -p reference-connector four_processes
/// --no-capture` tells it.
#[tokio::test(flavor = "multi_thread")]
async fn four_processes_share_a_rate_limit_and_never_exceed_it() {
    let assets = (1..=110).map(|pk| json!({ "pk": pk, "name": format!("asset {pk}") }));
    let source = Fake::start(Behaviour {
        objects: Objects::from([("assets", assets.collect())]),
        allowance: Some(Allowance::new(ALLOWED)),
        ..Behaviour::default()
    })
    .await;
    let service = Service::start().await;
    let folder = TestFolder::new();
    let shared = folder.file("limits").display().to_string();
    let start = |number: usize| {
        reading(&source.url())
            .into_service(&service.url(), &format!("source-{number}"))
            .args(&["--page-size", "1", "--rate-limit", "50/s"])
            .args(&["--rate-limit-dir", &shared])
            .start()
    };
    let mut runs: Vec<_> = (0..4).map(start).collect();
    // One dies in the middle of what it does, with requests under way.
    let some = async {
        while came(&source) < 2 * ALLOWED {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within("the first requests", some).await;
    runs.remove(0).kill().await;
    runs.push(start(0));
    for run in runs {
        let ended = run.ended().await.with_code(0);
        assert_eq!(ended.report().source_retries, 0);
    }
    for number in 0..4 {
        let graph = service.graph(&format!("source-{number}")).await;
        assert_eq!(graph.identities("asset").count(), 110);
    }
    let (came, refused) = source.change(|behaviour| {
        let allowance = behaviour.allowance.as_ref().unwrap();
        (allowance.came.clone(), allowance.refused)
    });
    assert_eq!(refused, 0, "of {} requests", came.len());

    // Without the start, when not all processes run yet, and the end, when not all do any more.
    let (first, last) = (came[0], came[came.len() - 1]);
    let (from, to) = (
        first + Duration::from_secs(2),
        last - Duration::from_secs(1),
    );
    let used = came
        .iter()
        .filter(|came| (from..to).contains(*came))
        .count();
    let rate = used as f64 / to.saturating_duration_since(from).as_secs_f64();
    // Told and not asserted: it is less on a machine that is busy with something else.
    eprintln!("{rate:.1} requests a second of {ALLOWED} that are allowed");
}

/// How many requests came to the source so far.
fn came(source: &Fake) -> usize {
    source.change(|behaviour| {
        let allowance = behaviour.allowance.as_ref();
        allowance.map_or(0, |allowance| allowance.came.len())
    })
}
