//! `serve`: imports on schedule, the HTTP interface and its client, in real processes.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use car_testkit::{ReferenceSource, Service, TestFolder, within};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

pub(crate) const KEY: &str = "0123456789";

/// A process that serves.
pub(crate) struct Serving {
    child: Child,
    pub(crate) url: String,
    client: reqwest::Client,
}

fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_reference-connector"));
    command
        .env_clear()
        .env("CAR_SECRETS_DIR", folder.join("secrets"))
        .env("CONNECTOR_API_KEY", KEY)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

impl Serving {
    pub(crate) async fn start(folder: &Path, service: &Service) -> Self {
        let credentials = Service::credentials();
        let mut child = program(folder)
            .args(["serve", "--listen", "127.0.0.1:0", "--log-format", "json"])
            .env("CAR_SERVICE_URL", service.url())
            .env("CAR_SERVICE_KEY", credentials.key)
            .env("CAR_SERVICE_PASSWORD", credentials.password)
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

    pub(crate) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.post(format!("{}{path}", self.url));
        let answer = request.bearer_auth(KEY).json(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Waits until the import of a connector has run so often at least.
    pub(crate) async fn imported(&self, connector: &str, runs: u64) -> Value {
        within("the import runs", async {
            loop {
                let request = self
                    .client
                    .get(format!("{}/connectors/{connector}/tasks", self.url));
                let answer = request.bearer_auth(KEY).send().await.unwrap();
                let page: Value = answer.json().await.unwrap();
                let task = &page["tasks"][0];
                if task["runs"].as_u64() >= Some(runs) && task["activity"] == "waiting" {
                    return task.clone();
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    async fn client(&self, folder: &Path, arguments: &[&str]) -> String {
        let run = program(folder)
            .arg("tasks")
            .args(arguments)
            .args(["--url", &self.url])
            .output();
        let ended = within("the client ends", run).await.unwrap();
        assert!(
            ended.status.success(),
            "{}",
            String::from_utf8_lossy(&ended.stderr)
        );
        String::from_utf8(ended.stdout).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn imports_run_on_schedule_survive_a_kill_and_can_be_run_by_hand() {
    let folder = TestFolder::new();
    let source = ReferenceSource::start(2).await;
    let service = Service::start().await;
    let serving = Serving::start(folder.path(), &service).await;
    let settings = json!({
        "server": source.url(),
        "username": ReferenceSource::username(),
        "password": ReferenceSource::password(),
        "every": "1h",
    });
    let (status, view) = serving.post("/connectors/assets", &settings).await;
    assert_eq!(status, 201, "{view}");
    let task = serving.imported("assets", 1).await;
    assert_eq!(
        (&task["error"], &task["state"]["exitCode"]),
        (&Value::Null, &json!(0)),
        "{task}"
    );
    assert!(task["state"]["sent"].as_u64().unwrap() > 0, "{task}");
    let mut child = serving.child;
    child.kill().await.unwrap();

    let serving = Serving::start(folder.path(), &service).await;
    let list = serving.client(folder.path(), &["list", "assets"]).await;
    assert!(
        list.contains("import of assets") && list.contains("active"),
        "{list}"
    );
    let id = task["id"].as_str().unwrap();
    let said = serving
        .client(folder.path(), &["retry", "assets", id])
        .await;
    assert_eq!(said, format!("{id} is active now\n"));
    serving.imported("assets", 2).await;
    let shown = serving.client(folder.path(), &["show", "assets", id]).await;
    assert!(
        shown.lines().filter(|line| line.contains("done")).count() == 2,
        "{shown}"
    );
}
