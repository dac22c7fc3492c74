//! Payments: the walk-through with real processes.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use car_testkit::{Service, TestFolder, within};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

const KEY: &str = "0123456789";

/// A process that serves.
struct Serving {
    child: Child,
    url: String,
    client: reqwest::Client,
}

impl Serving {
    async fn start(folder: &Path, service: &Service) -> Self {
        let credentials = Service::credentials();
        let mut child = Command::new(env!("CARGO_BIN_EXE_file-connector"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
            .env_clear()
            .env("CAR_SECRETS_DIR", folder.join("secrets"))
            .env("CONNECTOR_API_KEY", KEY)
            .env("CAR_SERVICE_URL", service.url())
            .env("CAR_SERVICE_KEY", credentials.key)
            .env("CAR_SERVICE_PASSWORD", credentials.password)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let url = within("the process listens", async {
            loop {
                let line = lines.next_line().await.unwrap().unwrap();
                let line: Value = serde_json::from_str(&line).unwrap();
                if let Some(address) = line["address"].as_str() {
                    return format!("http://{address}");
                }
            }
        })
        .await;
        // Whoever does not read stops the writer in the end.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            child,
            url,
            client: car_core::http::client_builder().build().unwrap(),
        }
    }

    async fn install(&self, settings: &Value) -> (u16, Value) {
        let request = self
            .client
            .post(format!("{}/connectors/payments", self.url));
        let answer = request
            .bearer_auth(KEY)
            .json(settings)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Returns the tasks that stand so.
    async fn tasks(&self, status: &str) -> Vec<Value> {
        let url = format!(
            "{}/connectors/payments/tasks?limit=1000&status={status}",
            self.url
        );
        let answer = self.client.get(url).bearer_auth(KEY).send().await.unwrap();
        let page: Value = answer.json().await.unwrap();
        page["tasks"].as_array().unwrap().clone()
    }

    /// Waits for a number of tasks that stand so.
    async fn until(&self, status: &str, enough: usize) -> Vec<Value> {
        within("the tasks get there", async {
            loop {
                let tasks = self.tasks(status).await;
                if tasks.len() >= enough {
                    return tasks;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    /// Waits until the root task shows an error.
    async fn root_error(&self) -> String {
        within("the root task fails", async {
            loop {
                let tasks = self.tasks("active").await;
                let root = tasks.iter().find(|task| task["name"] == "directory");
                if let Some(error) = root.and_then(|root| root["error"].as_str()) {
                    return error.to_owned();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }
}

fn drop_payment(directory: &Path, number: usize) {
    let payment = json!({
        "reference": format!("r{number:04}"), "type": "PAY-IN", "status": "SUCCEEDED",
        "amount": 100 + number, "asset": "USD/2", "createdAt": "2026-01-01T00:00:00Z",
        "sourceAccountID": "customer", "destinationAccountID": "till",
    });
    // Written elsewhere and moved, so that no half of it is ever seen.
    let part = directory.join(format!(".part{number}"));
    std::fs::write(&part, payment.to_string()).unwrap();
    std::fs::rename(part, directory.join(format!("{number:04}.json"))).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_taken_in_once_through_errors_and_a_kill() {
    const FILES: usize = 150;
    let folder = TestFolder::new();
    let service = Service::start().await;
    let serving = Serving::start(folder.path(), &service).await;
    let directory = folder.file("dropped");
    let settings = json!({ "directory": directory, "pollingPeriod": "100ms" });
    let (status, view) = serving.install(&settings).await;
    assert_eq!(status, 201, "{view}");
    assert!(serving.root_error().await.contains("cannot be listed"));

    std::fs::create_dir(&directory).unwrap();
    std::fs::write(directory.join("bad.json"), "{\"reference\": \"x\"}").unwrap();
    let failed = serving.until("failed", 1).await;
    assert_eq!(failed[0]["name"], "bad.json");
    let error = failed[0]["error"].as_str().unwrap();
    assert!(error.contains("missing field"), "{error}");

    for number in 0..FILES {
        drop_payment(&directory, number);
    }
    serving.until("terminated", 5).await;
    let mut child = serving.child;
    child.kill().await.unwrap();

    let serving = Serving::start(folder.path(), &service).await;
    let done = serving.until("terminated", FILES).await;
    assert_eq!(done.len(), FILES);
    for task in &done {
        assert_eq!(task["runs"], 1, "{task}");
    }
    let root = serving.tasks("active").await;
    assert_eq!(root.len(), 1, "{root:?}");
    let graph = service.graph("payments").await;
    assert_eq!(graph.identities("payment").count(), FILES);
    assert!(graph.has_edge("account_payment", "customer", "PAY-IN/r0007"));
    assert!(graph.has_edge("payment_account", "PAY-IN/r0007", "till"));
    let payment = graph.get("payment", "PAY-IN/r0007").unwrap();
    assert_eq!(
        (&payment["amount"], &payment["currency"]),
        (&json!("107"), &json!("USD/2"))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_that_are_wrong_are_refused() {
    let folder = TestFolder::new();
    let service = Service::start().await;
    let serving = Serving::start(folder.path(), &service).await;
    for settings in [
        json!({}),
        json!({ "directory": "" }),
        json!({ "directory": "/x", "pollingPeriod": "soon" }),
        json!({ "directory": "/x", "pollingPeriod": "0s" }),
        json!({ "directory": "/x", "password": "p" }),
    ] {
        let (status, answer) = serving.install(&settings).await;
        assert_eq!(status, 400, "{settings}: {answer}");
    }
    let (status, _) = serving.install(&json!({ "directory": "/x" })).await;
    assert_eq!(status, 201, "none of them took the name");
}
