//! `serve`: imports on schedule, the HTTP interface and its client, in real processes.

use car_testkit::{ReferenceSource, Service, Serving, TestFolder};
use serde_json::{Value, json};

use crate::support::program;

/// Starts the connector in a folder.
pub(crate) async fn serve(folder: &TestFolder, service: &Service) -> Serving {
    Serving::start(&program().for_service(&service.url()), folder.path()).await
}

/// Waits until the import of a connector has run so often at least.
pub(crate) async fn imported(serving: &Serving, connector: &str, runs: u64) -> Value {
    let is_it = |task: &Value| task["runs"].as_u64() >= Some(runs) && task["activity"] == "waiting";
    serving.task(connector, "the import runs", is_it).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imports_run_on_schedule_survive_a_kill_and_can_be_run_by_hand() {
    let folder = TestFolder::new();
    let source = ReferenceSource::start(2).await;
    let service = Service::start().await;
    let serving = serve(&folder, &service).await;
    let settings = json!({
        "server": source.url(),
        "username": ReferenceSource::username(),
        "password": ReferenceSource::password(),
        "every": "1h",
    });
    let (status, view) = serving.post("/connectors/assets", &settings).await;
    assert_eq!(status, 201, "{view}");
    let task = imported(&serving, "assets", 1).await;
    assert_eq!(
        (&task["error"], &task["state"]["exitCode"]),
        (&Value::Null, &json!(0)),
        "{task}"
    );
    assert!(task["state"]["sent"].as_u64().unwrap() > 0, "{task}");
    serving.kill().await;

    let serving = serve(&folder, &service).await;
    let list = serving.client(&["list", "assets"]).await;
    assert!(
        list.contains("import of assets") && list.contains("active"),
        "{list}"
    );
    let id = task["id"].as_str().unwrap();
    let said = serving.client(&["retry", "assets", id]).await;
    assert_eq!(said, format!("{id} is active now\n"));
    imported(&serving, "assets", 2).await;
    let shown = serving.client(&["show", "assets", id]).await;
    assert!(
        shown.lines().filter(|line| line.contains("done")).count() == 2,
        "{shown}"
    );
}
