//! A connector's program that stays up, and what it answers.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Child;

use crate::{Program, within};

/// A connector's program with the verb `serve`, on a loopback port. Dropping it kills it.
///
/// Its tasks are in the folder that it is started in: started there again, it goes on.
#[derive(Debug)]
pub struct Serving {
    child: Child,
    url: String,
    client: reqwest::Client,
    program: Program,
}

impl Serving {
    /// The key that it takes.
    pub const KEY: &'static str = "0123456789";

    /// Starts the program in a folder, and waits until it listens.
    ///
    /// # Panics
    ///
    /// When it ends before.
    pub async fn start(program: &Program, folder: &Path) -> Self {
        Self::start_with(program, folder, &[]).await
    }

    /// Starts the program in a folder with more arguments of `serve`, and waits until it listens.
    ///
    /// # Panics
    ///
    /// When it ends before.
    pub async fn start_with(program: &Program, folder: &Path, more: &[&str]) -> Self {
        let program = program
            .clone()
            .env("CAR_SECRETS_DIR", folder.join("secrets").to_string_lossy())
            .env("CONNECTOR_API_KEY", Self::KEY);
        let serve = ["serve", "--listen", "127.0.0.1:0", "--log-format", "json"];
        let mut child = program
            .clone()
            .args(&serve)
            .args(more)
            .command(folder)
            .spawn()
            .unwrap();
        // Whoever does not read stops the writer in the end.
        let mut output = child.stdout.take().unwrap();
        tokio::spawn(async move { tokio::io::copy(&mut output, &mut tokio::io::sink()).await });
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let mut said = Vec::new();
        let url = within("the process listens", async {
            loop {
                let Some(line) = lines.next_line().await.unwrap() else {
                    panic!("the process ended: {}", said.join("\n"));
                };
                let told: Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(address) = told["address"].as_str() {
                    return format!("http://{address}");
                }
                said.push(line);
            }
        })
        .await;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self {
            child,
            url,
            client: car_core::http::client_builder().build().unwrap(),
            program,
        }
    }

    /// Returns its address, `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Kills the process as a power cut would.
    pub async fn kill(mut self) {
        within("killing the process", self.child.kill())
            .await
            .unwrap();
    }

    /// Posts a document; returns the status and the answer.
    pub async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.post(format!("{}{path}", self.url));
        let request = request.bearer_auth(Self::KEY).json(body).send();
        let answer = within("the process answers", request).await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// Deletes; returns the status and the answer, if there is one.
    pub async fn delete(&self, path: &str) -> (u16, Value) {
        let request = self.client.delete(format!("{}{path}", self.url));
        let request = request.bearer_auth(Self::KEY).send();
        let answer = within("the process answers", request).await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }

    /// Gets a document; the answer must be one.
    pub async fn get(&self, path: &str) -> Value {
        let request = self.client.get(format!("{}{path}", self.url));
        let request = request.bearer_auth(Self::KEY).send();
        let answer = within("the process answers", request).await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.unwrap()
    }

    /// Returns the tasks of a connector that stand so, at most 1000; all with an empty status.
    pub async fn tasks(&self, connector: &str, status: &str) -> Vec<Value> {
        let mut path = format!("/connectors/{connector}/tasks?limit=1000");
        if !status.is_empty() {
            path.push_str(&format!("&status={status}"));
        }
        let page = self.get(&path).await;
        page["tasks"].as_array().unwrap().clone()
    }

    /// Waits until a connector has a number of tasks that stand so, and returns them.
    ///
    /// # Panics
    ///
    /// When that takes more than 120 s.
    pub async fn until(&self, connector: &str, status: &str, enough: usize) -> Vec<Value> {
        within(&format!("{enough} tasks that are {status}"), async {
            loop {
                let tasks = self.tasks(connector, status).await;
                if tasks.len() >= enough {
                    return tasks;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    /// Waits until one of the tasks of a connector is as it should be, and returns it.
    ///
    /// # Panics
    ///
    /// When that takes more than 120 s.
    pub async fn task(&self, connector: &str, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        within(what, async {
            loop {
                let tasks = self.tasks(connector, "").await;
                if let Some(task) = tasks.into_iter().find(&is_it) {
                    return task;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await
    }

    /// Calls it with the verb `tasks` of the same program, and returns what that prints.
    ///
    /// # Panics
    ///
    /// When the call fails.
    pub async fn client(&self, arguments: &[&str]) -> String {
        let program = self.program.clone().args(&["tasks"]).args(arguments);
        let ended = program.args(&["--url", &self.url]).run().await;
        ended.with_code(0).stdout
    }
}
