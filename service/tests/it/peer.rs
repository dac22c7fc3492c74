//! The existing Python framework, unmodified, imports into the service.

use std::path::Path;

use serde_json::json;
use tokio::process::Command;

use crate::support::{Harness, KEY, Kind, PASSWORD, in_ci};

/// The Python interpreter that has the framework.
const PYTHON: &str = "CAR_TEST_PYTHON";

#[expect(
    clippy::disallowed_methods,
    reason = "tests have no settings but this one"
)]
fn framework() -> Option<String> {
    let python = std::env::var(PYTHON).ok().filter(|path| !path.is_empty())?;
    let found = std::process::Command::new(&python)
        .args(["-c", "import car_framework"])
        .output();
    found
        .is_ok_and(|output| output.status.success())
        .then_some(python)
}

async fn run(harness: &Harness, path: &str, state: &str) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peer/connector.py");
    let temp = tempfile::TempDir::new().unwrap();
    let output = Command::new(path)
        .arg("-W")
        .arg("ignore")
        .arg(script)
        .args(["-car-service-url", &harness.server.url()])
        .args(["-car-service-key", KEY, "-car-service-password", PASSWORD])
        .args(["-source", "peer", "-state", state])
        .arg("-export-data-dir")
        .arg(temp.path())
        .output()
        .await
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{text}");
    text
}

async fn imports_fully_and_incrementally(kind: Kind) {
    let Some(path) = framework() else {
        assert!(
            !in_ci(),
            "CI needs {PYTHON}: a Python with car-connector-framework"
        );
        println!("SKIPPED: set {PYTHON} to a Python that has car-connector-framework==4.0.3");
        return;
    };
    let harness = Harness::empty(kind).await;
    let query = json!({ "query": "{ asset(order_by: {external_id: asc}) { external_id name initial_value hostnames { hostname { host_name } } } }" });

    let text = run(&harness, &path, "1").await;
    assert!(text.contains("Attempting full import"), "{text}");
    let answer = harness
        .client
        .post("v3/query", query.clone())
        .await
        .expect(200);
    let row = |id: &str, name: &str, host: Option<&str>| {
        let hosts: Vec<_> = host
            .iter()
            .map(|host| json!({ "hostname": [{ "host_name": host }] }))
            .collect();
        json!({ "external_id": id, "name": name, "initial_value": 1, "hostnames": hosts })
    };
    assert_eq!(
        answer["data"]["asset"],
        json!([
            row("a&b=c", "odd", None),
            row("a1", "Asset 1", Some("h1.example")),
            row("a2", "Asset 2", None),
            row("x y", "blank", None),
        ])
    );

    let text = run(&harness, &path, "2").await;
    assert!(!text.contains("Attempting full import"), "{text}");
    let answer = harness.client.post("v3/query", query).await.expect(200);
    assert_eq!(
        answer["data"]["asset"],
        json!([
            row("a1", "Asset 1, renamed", Some("h2.example")),
            row("a3", "Asset 3", None),
            row("x y", "blank", None),
        ])
    );
    let source = harness.client.get("source/peer").await.expect(200);
    assert_eq!(source["model_state_id"], "2");
}

crate::support::store_suite! {
    imports_fully_and_incrementally,
}
