//! A signal stops a run in time, in every phase, and the next run is right.

use std::time::Duration;

use car_core::report::Outcome;
use car_testkit::{Program, Proxy, ReferenceSource, Service, Signal};
use serde_json::json;
use tokio::task::JoinSet;

use crate::expected;
use crate::support::reading;

/// How long a run may take to end after a signal.
const LIMIT: Duration = Duration::from_secs(10);

/// A request of each phase of a full import.
const FULL: [&str; 8] = [
    "GET /api/car/v3/carSchema",
    "GET /api/car/v2/databases",
    "POST /api/car/v2/source/",
    "POST /api/car/v2/imports",
    "\"asset\":[",
    "\"asset_vulnerability\":[",
    "DELETE /api/car/v2/source/",
    "PATCH /api/car/v2/source",
];

/// A request of each phase of an incremental import.
const INCREMENTAL: [&str; 4] = [
    "\"asset\":[",
    "\"site_asset\":[",
    "DELETE /api/car/v2/source/",
    "PATCH /api/car/v2/source",
];

/// A signal in the middle of a call, which then goes on or not.
async fn stop_at(request: &'static str, incremental: bool, goes_on: bool) {
    let what = format!("{request}, incremental {incremental}, goes on {goes_on}");
    let source = ReferenceSource::start(4).await;
    let service = Service::start().await;
    let proxy = Proxy::start(service.address()).await;
    let url = format!("http://{}/api/car/v2", proxy.address());
    let connector = reading(&source.url()).into_service(&url, "stopped");
    if incremental {
        drop(connector.run().await.with_code(0));
        source.change("assets", 1, &json!({ "risk": 1 })).await;
        source.delete("hosts", 2).await;
    }
    proxy.hold_at(request, 1);
    let running = connector.start();
    proxy.held().await;
    running
        .signal(if goes_on {
            Signal::Term
        } else {
            Signal::Interrupt
        })
        .await;
    if goes_on {
        proxy.release();
    }
    let ended = running.ended_within(LIMIT).await;
    // A run that is that close to its end may reach it while it stops.
    if goes_on && ended.code == Some(0) {
        assert!(
            matches!(ended.report().outcome, Outcome::Complete),
            "{what}: {}",
            ended.stderr
        );
    } else {
        assert_eq!(ended.code, Some(10), "{what}: {}", ended.stderr);
        assert_eq!(ended.report().outcome, Outcome::Interrupted, "{what}");
    }
    assert_eq!(ended.left_in_tmp, Vec::<String>::new(), "{what}");
    proxy.cut();
    assert_next_run_is_right(&connector, &source, &service, &what).await;
}

async fn assert_next_run_is_right(
    connector: &Program,
    source: &ReferenceSource,
    service: &Service,
    what: &str,
) {
    drop(connector.run().await.with_code(0));
    let expected = expected::graph(source).await;
    service.graph("stopped").await.assert_is(&expected, what);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_in_every_phase_stops_the_run_while_calls_are_answered() {
    for request in FULL {
        stop_at(request, false, true).await;
    }
    for request in INCREMENTAL {
        stop_at(request, true, true).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_in_every_phase_exits_with_10_within_10_s_while_a_call_hangs() {
    let mut all = JoinSet::new();
    for request in FULL {
        all.spawn(stop_at(request, false, false));
    }
    for request in INCREMENTAL {
        all.spawn(stop_at(request, true, false));
    }
    all.join_all().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_while_the_source_hangs_exits_with_10_within_10_s() {
    let source = ReferenceSource::start(4).await;
    let service = Service::start().await;
    let host = source.url().replace("http://", "");
    for request in [
        "GET /model_state_id/",
        "GET /assets/",
        "GET /vulnerabilities/",
    ] {
        let proxy = Proxy::start(&host).await;
        proxy.hold_at(request, 1);
        let url = format!("http://{}", proxy.address());
        let connector = reading(&url).into_service(&service.url(), "stopped");
        let running = connector.clone().args(&["--full"]).start();
        proxy.held().await;
        running.signal(Signal::Term).await;
        drop(running.ended_within(LIMIT).await.with_code(10));
        proxy.cut();
        assert_next_run_is_right(&connector, &source, &service, request).await;
    }
}
