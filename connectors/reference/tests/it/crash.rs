//! Killed at any point, the next run makes the graph that an uninterrupted one makes.

use std::sync::Arc;

use car_testkit::{Graph, Program, Proxy, ReferenceSource, Service, ServiceProcess, cases, seed};
use serde_json::json;
use tokio::task::JoinSet;

use crate::expected;
use crate::support::reading;

/// Small pages, so that a run of a small model has many calls.
const PAGES: [&str; 2] = ["--export-data-page-size", "40"];

/// Runs that go on at the same time.
const AT_ONCE: u64 = 3;

/// A connector between a source and a proxy.
fn through(proxy: &Proxy, source: &str, name: &str) -> Program {
    let url = format!("http://{}/api/car/v2", proxy.address());
    reading(source)
        .env("CONFIGURATION_PARAMETER_PAGE_SIZE", "25")
        .into_service(&url, name)
        .args(&PAGES)
}

/// Random numbers that are the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        // Marsaglia's xorshift with a multiplication; good enough to choose points.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % limit
    }
}

/// Measures an uninterrupted run: the bytes between connector and service, and the graph.
async fn uninterrupted(source: &ReferenceSource, address: &str) -> u64 {
    let proxy = Proxy::start(address).await;
    let run = through(&proxy, &source.url(), "uninterrupted").run().await;
    drop(run.with_code(0));
    proxy.passed()
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_the_connector_at_any_point_of_a_full_import_then_a_second_run() {
    let source = ReferenceSource::start(40).await;
    let service = Service::start().await;
    let total = uninterrupted(&source, &service.address()).await;
    let whole = Arc::new(service.graph("uninterrupted").await);
    whole.assert_is(&expected::graph(&source).await, "without interruption");

    let mut random = Random(seed().wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let points: Vec<u64> = (0..cases(50)).map(|_| random.below(total)).collect();
    let (service, url) = (Arc::new(service), Arc::new(source.url()));
    let mut workers = JoinSet::new();
    for worker in 0..AT_ONCE {
        let (service, url, whole) = (Arc::clone(&service), Arc::clone(&url), Arc::clone(&whole));
        let points: Vec<u64> = points
            .iter()
            .skip(worker as usize)
            .step_by(AT_ONCE as usize)
            .copied()
            .collect();
        workers.spawn(async move {
            let mut killed = 0;
            for point in points {
                killed += u32::from(kill_connector_at(point, &service, &url, &whole).await);
            }
            killed
        });
    }
    let killed: u32 = workers.join_all().await.into_iter().sum();
    // A run can be a few bytes shorter than the measured one.
    assert!(killed + 3 >= cases(50), "only {killed} runs were killed");
}

/// Kills a run once so many bytes have passed; tells whether it came so far.
async fn kill_connector_at(point: u64, service: &Service, url: &str, whole: &Graph) -> bool {
    let name = format!("killed-{point}");
    let proxy = Proxy::start(service.address()).await;
    proxy.hold_after(point);
    let connector = through(&proxy, url, &name);
    let mut running = connector.start();
    let held = tokio::select! {
        () = proxy.held() => true,
        () = running.exited() => false,
    };
    running.kill().await;
    proxy.cut();
    drop(connector.run().await.with_code(0));
    service
        .graph(&name)
        .await
        .assert_is(whole, &format!("killed after {point} bytes"));
    held
}

#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_the_service_at_any_point_of_a_full_import_then_a_second_run() {
    let source = ReferenceSource::start(20).await;
    let mut service = ServiceProcess::start().await;
    let total = uninterrupted(&source, service.address()).await;
    let whole = service.graph("uninterrupted").await;
    whole.assert_is(&expected::graph(&source).await, "without interruption");

    let mut random = Random(seed().wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    for _ in 0..cases(50).div_ceil(5) {
        let point = random.below(total);
        let name = format!("killed-{point}");
        let proxy = Proxy::start(service.address()).await;
        proxy.hold_after(point);
        let connector = through(&proxy, &source.url(), &name);
        let mut running = connector.start();
        tokio::select! {
            () = proxy.held() => {}
            () = running.exited() => {}
        }
        service.kill().await;
        service.restart().await;
        proxy.cut();
        // It goes on where it was, or gives up for now; either way nothing is lost.
        let ended = running.ended().await;
        assert!(
            matches!(ended.code, Some(0 | 10)),
            "{:?}: {}",
            ended.code,
            ended.stderr
        );
        drop(connector.run().await.with_code(0));
        service
            .graph(&name)
            .await
            .assert_is(&whole, &format!("killed after {point} bytes"));
    }
}

/// An old graph stays whole while a new full import is cut off, and is right after the next.
#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_a_second_full_import_after_deletions() {
    let source = ReferenceSource::start(10).await;
    let service = Service::start().await;
    let proxy = Proxy::start(service.address()).await;
    let connector = through(&proxy, &source.url(), "again");
    drop(connector.run().await.with_code(0));
    for pk in 1..=3 {
        source.delete("apps", pk).await;
    }
    let expected = expected::graph(&source).await;
    for text in [
        "full-import-in-progress",
        "POST /api/car/v2/imports",
        "\"site_asset\":",
        "DELETE /",
        "PATCH /",
    ] {
        proxy.hold_at(text, 1);
        let running = connector.clone().args(&["--full"]).start();
        proxy.held().await;
        running.kill().await;
        proxy.cut();
        // The next run is not told to be full; it has to find out.
        drop(connector.run().await.with_code(0));
        service
            .graph("again")
            .await
            .assert_is(&expected, &format!("killed at {text}"));
    }
}

/// What was changed is neither lost nor doubled when an incremental import is cut off.
#[tokio::test(flavor = "multi_thread")]
async fn kill_9_of_an_incremental_import_then_a_second_run() {
    let source = ReferenceSource::start(10).await;
    let service = Service::start().await;
    for text in [
        "GET /api/car/v2/source/",
        "POST /api/car/v2/imports",
        "\"application\":[",
        "\"asset_application\":[",
        "DELETE /api/car/v2/source/",
        "PATCH /api/car/v2/source",
    ] {
        let proxy = Proxy::start(service.address()).await;
        let connector = through(&proxy, &source.url(), "changing");
        drop(connector.run().await.with_code(0));
        let apps = source.all("apps").await;
        let pk = |n: usize| apps[n]["pk"].as_u64().unwrap();
        source.delete("apps", pk(0)).await;
        source
            .change("apps", pk(1), &json!({ "name": text, "assets": [1, 2] }))
            .await;
        source
            .add("apps", &json!({ "name": text, "assets": [3] }))
            .await;
        for held in ["before", "after"] {
            proxy.hold_at(text, 1);
            let running = connector.start();
            proxy.held().await;
            if held == "after" {
                // The request gets through, its answer does not.
                let passed = proxy.passed();
                proxy.release();
                proxy.hold_after(passed + 1);
                proxy.held().await;
            }
            running.kill().await;
            proxy.cut();
        }
        drop(connector.run().await.with_code(0));
        let expected = expected::graph(&source).await;
        service
            .graph("changing")
            .await
            .assert_is(&expected, &format!("killed at {text}"));
    }
}
