//! Processes that read one source as one user keep within what it allows, together.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use car_testkit::{Service, TestFolder};
use serde_json::json;

use crate::expected::Objects;
use crate::fake::{Allowance, Behaviour, Fake};
use crate::support::reading;

/// Requests that the source allows in a second.
const ALLOWED: usize = 50;

/// Above this, the machine is too busy to tell how much of the limit could be used.
const BUSY: Duration = Duration::from_millis(15);

#[tokio::test(flavor = "multi_thread")]
async fn four_processes_share_a_rate_limit_and_use_it() {
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
    let lateness = Lateness::watch();
    let runs: Vec<_> = (0..4)
        .map(|number| {
            reading(&source.url())
                .into_service(&service.url(), &format!("source-{number}"))
                .args(&["--page-size", "1", "--rate-limit", "50/s"])
                .args(&["--rate-limit-dir", &shared])
                .start()
        })
        .collect();
    for run in runs {
        let ended = run.ended().await.with_code(0);
        assert_eq!(ended.report().collections["asset"].sent, 110);
        assert_eq!(ended.report().source_retries, 0);
    }
    let late = lateness.usual();
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
    eprintln!("{rate:.1} requests a second of {ALLOWED}; timers are {late:?} late");
    if late < BUSY {
        assert!(rate >= 0.9 * ALLOWED as f64, "{rate:.1} requests a second");
    } else {
        eprintln!("this machine is too busy to tell how much of the limit could be used");
    }
}

/// How late timers of this process are, as a measure of how busy the machine is.
struct Lateness(Arc<Mutex<Vec<Duration>>>);

impl Lateness {
    fn watch() -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::downgrade(&seen);
        tokio::spawn(async move {
            let pause = Duration::from_millis(20);
            loop {
                let began = Instant::now();
                tokio::time::sleep(pause).await;
                let Some(seen) = kept.upgrade() else { return };
                seen.lock()
                    .unwrap()
                    .push(began.elapsed().saturating_sub(pause));
            }
        });
        Self(seen)
    }

    /// Returns the lateness that one in ten timers exceeded.
    fn usual(&self) -> Duration {
        let mut seen = self.0.lock().unwrap();
        seen.sort_unstable();
        seen.get(seen.len() * 9 / 10).copied().unwrap_or_default()
    }
}
