//! Payments: the walk-through with real processes.

use std::collections::BTreeMap;
use std::path::Path;

use car_testkit::{At, Chromium, Deed, Form, HttpProxy, Service, Serving, TestFolder};
use serde_json::{Value, json};

use crate::support::{program, system_tells};

/// Name of the connector, and of its source.
const PAYMENTS: &str = "payments";

/// Starts the connector in a folder.
async fn serve(folder: &TestFolder, service: &str) -> Serving {
    Serving::start(&program().for_service(service), folder.path()).await
}

/// Installs the connector; what the system tells of new files is left to other tests.
async fn install(serving: &Serving, directory: &Path, period: &str) {
    install_with(
        serving,
        &json!({ "directory": directory, "pollingPeriod": period, "watch": false }),
    )
    .await;
}

async fn install_with(serving: &Serving, settings: &Value) {
    let (status, view) = serving.post("/connectors/payments", settings).await;
    assert_eq!(status, 201, "{view}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_system_tells_of_is_not_waited_for() {
    let folder = TestFolder::new();
    if !system_tells(&folder) {
        return;
    }
    let service = Service::start().await;
    let serving = serve(&folder, &service.url()).await;
    let directory = folder.file("dropped");
    std::fs::create_dir(&directory).unwrap();
    install_with(
        &serving,
        &json!({ "directory": directory, "pollingPeriod": "1h" }),
    )
    .await;
    let listed = |task: &Value| task["name"] == "directory" && task["activity"] == "waiting";
    serving.task(PAYMENTS, "the first listing", listed).await;
    put_payments(&directory, 2);
    serving.until(PAYMENTS, "terminated", 2).await;

    // Paused and resumed, it hears again.
    let root = serving.task(PAYMENTS, "the listing", listed).await;
    let task = format!(
        "/connectors/{PAYMENTS}/tasks/{}",
        root["id"].as_str().unwrap()
    );
    let (status, paused) = serving.post(&format!("{task}/pause"), &json!({})).await;
    assert_eq!(
        (status, &paused["status"]),
        (200, &json!("PAUSED")),
        "{paused}"
    );
    put(&directory, "later.json", &payment(5));
    let (status, _) = serving.post(&format!("{task}/resume"), &json!({})).await;
    assert_eq!(status, 200);
    put(&directory, "last.json", &payment(6));
    serving.until(PAYMENTS, "terminated", 4).await;
}

fn payment(number: usize) -> Value {
    json!({
        "reference": format!("r{number:04}"), "type": "PAY-IN", "status": "SUCCEEDED",
        "amount": 100 + number, "asset": "USD/2", "createdAt": "2026-01-01T00:00:00Z",
        "sourceAccountID": "customer", "destinationAccountID": "till",
    })
}

/// Drops a file into a directory: written elsewhere and moved, so that no half of it is ever seen.
fn put(directory: &Path, name: &str, content: &Value) {
    let part = directory.join(format!(".{name}.part"));
    std::fs::write(&part, content.to_string()).unwrap();
    std::fs::rename(part, directory.join(name)).unwrap();
}

/// Drops a number of payments, those that are there included.
pub(crate) fn put_payments(directory: &Path, count: usize) {
    for number in 0..count {
        put(directory, &format!("{number:04}.json"), &payment(number));
    }
}

/// The tasks that have ended well, by id.
async fn done(serving: &Serving) -> BTreeMap<String, Value> {
    let tasks = serving.tasks(PAYMENTS, "terminated").await;
    let by_id = |task: Value| (task["id"].as_str().unwrap().to_owned(), task);
    tasks.into_iter().map(by_id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_that_is_not_there_is_an_error_until_it_is() {
    let folder = TestFolder::new();
    let service = Service::start().await;
    let serving = serve(&folder, &service.url()).await;
    let directory = folder.file("dropped");
    install(&serving, &directory, "100ms").await;
    let missing = |task: &Value| {
        let error = task["error"].as_str();
        task["name"] == "directory" && error.is_some_and(|error| error.contains("cannot be listed"))
    };
    let root = serving
        .task(PAYMENTS, "an error of the root", missing)
        .await;
    assert_eq!(root["status"], "ACTIVE", "{root}");

    std::fs::create_dir(&directory).unwrap();
    put_payments(&directory, 1);
    serving.until(PAYMENTS, "terminated", 1).await;
    let mended = |task: &Value| task["name"] == "directory" && task["error"].is_null();
    serving.task(PAYMENTS, "a root without error", mended).await;
    let graph = service.graph(PAYMENTS).await;
    assert!(graph.has_edge("account_payment", "customer", "PAY-IN/r0000"));
    assert!(graph.has_edge("payment_account", "PAY-IN/r0000", "till"));
    let payment = graph.get("payment", "PAY-IN/r0000").unwrap();
    assert_eq!(
        (&payment["amount"], &payment["currency"]),
        (&json!("100"), &json!("USD/2"))
    );

    // Gone again, it takes nothing with it.
    std::fs::remove_dir_all(&directory).unwrap();
    serving
        .task(PAYMENTS, "an error of the root", missing)
        .await;
    assert_eq!(
        service.graph(PAYMENTS).await.identities("payment").count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_in_the_middle_leaves_each_payment_ingested_once() {
    const FILES: usize = 60;
    let folder = TestFolder::new();
    let service = Service::start().await;
    let proxy = HttpProxy::start(service.address()).await;
    let url = service.url().replace(&service.address(), proxy.address());
    let serving = serve(&folder, &url).await;
    let directory = folder.file("dropped");
    std::fs::create_dir(&directory).unwrap();
    put_payments(&directory, FILES);
    // Some payments are in the graph by then, and one is on its way.
    proxy.on(At::Nth(50), Deed::Hold);
    install(&serving, &directory, "100ms").await;
    proxy.held().await;
    serving.until(PAYMENTS, "terminated", 1).await;
    let before = done(&serving).await;
    assert!(before.len() < FILES, "it was killed too late");
    serving.kill().await;
    proxy.clear();

    let serving = serve(&folder, &url).await;
    serving.until(PAYMENTS, "terminated", FILES).await;
    let after = done(&serving).await;
    assert_eq!(after.len(), FILES);
    for (id, task) in &after {
        assert_eq!(task["runs"], 1, "{task}");
        let state = |task: &Value| (task["state"].clone(), task["updatedAt"].clone());
        if let Some(earlier) = before.get(id) {
            assert_eq!(state(task), state(earlier), "it was taken in again");
        }
    }
    let root = serving.tasks(PAYMENTS, "active").await;
    assert_eq!(root.len(), 1, "{root:?}");
    let graph = service.graph(PAYMENTS).await;
    let expected = (0..FILES).map(|number| format!("PAY-IN/r{number:04}"));
    let ingested: Vec<&str> = graph.identities("payment").collect();
    assert_eq!(ingested, expected.collect::<Vec<_>>());
    for number in 0..FILES {
        let payment = graph.get("payment", &format!("PAY-IN/r{number:04}"));
        assert_eq!(
            payment.unwrap()["amount"],
            json!((100 + number).to_string())
        );
    }
    let accounts: Vec<&str> = graph.identities("account").collect();
    assert_eq!(accounts, ["customer", "till"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_child_that_fails_shows_its_error_while_the_root_goes_on() {
    let folder = TestFolder::new();
    let service = Service::start().await;
    let serving = serve(&folder, &service.url()).await;
    let directory = folder.file("dropped");
    std::fs::create_dir(&directory).unwrap();
    put(&directory, "bad.json", &json!({ "reference": "x" }));
    put(&directory, "good.json", &payment(1));
    install(&serving, &directory, "100ms").await;
    serving.until(PAYMENTS, "terminated", 1).await;
    let failed = serving.until(PAYMENTS, "failed", 1).await;
    assert_eq!(failed[0]["name"], "bad.json");
    let error = failed[0]["error"].as_str().unwrap();
    assert!(error.contains("missing field"), "{error}");
    let root = serving.tasks(PAYMENTS, "active").await;
    assert_eq!(root[0]["name"], "directory");
    assert_eq!(failed[0]["parent"], root[0]["id"]);

    // The root goes on to list, and to find what comes later.
    let runs = root[0]["runs"].as_u64().unwrap();
    let later = |task: &Value| task["name"] == "directory" && task["runs"].as_u64() > Some(runs);
    let root = serving
        .task(PAYMENTS, "a later run of the root", later)
        .await;
    assert!(root["error"].is_null(), "{root}");
    put(&directory, "later.json", &payment(2));
    serving.until(PAYMENTS, "terminated", 2).await;

    let Some(mut browser) = Chromium::start().await else {
        return;
    };
    let page = format!("{}/ui/connectors/{PAYMENTS}", serving.url());
    browser.open(&page).await;
    browser.tab_to("e.id === 'key'").await;
    browser.type_in(Serving::KEY).await;
    browser.enter().await;
    let mut wrong = Vec::new();
    for form in Form::ALL {
        browser.look(form).await;
        browser.open(&page).await;
        wrong.extend(browser.look_at("payments-tree", form).await);
        // Name, whether it stands further in than the first, and state of each task.
        let rows = browser
            .compute(
                "[...document.querySelectorAll('tbody th a')].map((a, _, all) => [a.textContent, \
                 a.getBoundingClientRect().left > all[0].getBoundingClientRect().left, \
                 a.closest('tr').cells[1].textContent])",
            )
            .await;
        let mut rows: Vec<Value> = rows.as_array().unwrap().clone();
        assert_eq!(rows.remove(0), json!(["directory", false, "active"]));
        rows.sort_by_key(Value::to_string);
        let expected = [
            json!(["bad.json", true, "failed"]),
            json!(["good.json", true, "terminated"]),
            json!(["later.json", true, "terminated"]),
        ];
        assert_eq!(rows, expected, "{form:?}");
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    browser.look(Form::ALL[0]).await;
    browser.open(&page).await;
    let shown = browser.text().await;
    assert!(shown.contains("missing field"), "{shown}");

    // The file is mended, and its task run again by hand.
    put(&directory, "bad.json", &payment(3));
    let title = browser.follow("e.textContent === 'bad.json'").await;
    assert_eq!(title, "bad.json");
    browser.follow("e.textContent === 'Run again'").await;
    serving.until(PAYMENTS, "terminated", 3).await;
    assert_eq!(
        service.graph(PAYMENTS).await.identities("payment").count(),
        3
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_are_wrong_are_refused() {
    let folder = TestFolder::new();
    let service = Service::start().await;
    let serving = serve(&folder, &service.url()).await;
    for settings in [
        json!({}),
        json!({ "directory": "" }),
        json!({ "directory": "/x", "pollingPeriod": "soon" }),
        json!({ "directory": "/x", "pollingPeriod": "0s" }),
        json!({ "directory": "/x", "password": "p" }),
    ] {
        let (status, answer) = serving.post("/connectors/payments", &settings).await;
        assert_eq!(status, 400, "{settings}: {answer}");
    }
    let settings = json!({ "directory": "/x" });
    let (status, _) = serving.post("/connectors/payments", &settings).await;
    assert_eq!(status, 201, "none of them took the name");
}
