//! A CAR service in the test's process.

use car_service::{Options, RunningServer, Server};

use crate::query::Api;
use crate::{Graph, TestFolder, within};

/// Key and password of every service that the testkit starts.
const CREDENTIALS: Credentials = Credentials {
    key: "test-key",
    password: "test-password",
};

/// A key with its password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Credentials {
    /// The key.
    pub key: &'static str,
    /// The password.
    pub password: &'static str,
}

/// A CAR service on a loopback port, with its data in a folder of its own.
#[derive(Debug)]
pub struct Service {
    server: RunningServer,
    folder: TestFolder,
}

impl Service {
    /// Starts an empty service.
    pub async fn start() -> Self {
        let folder = TestFolder::new();
        let options =
            Options::new(folder.file("data")).credentials(CREDENTIALS.key, CREDENTIALS.password);
        let server = within("starting the service", Server::start(options))
            .await
            .unwrap();
        Self { server, folder }
    }

    /// Returns the address for connectors, `http://127.0.0.1:PORT/api/car/v2`.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Returns where it listens, `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        self.server.addr().to_string()
    }

    /// Returns the key and password that it takes.
    #[must_use]
    pub const fn credentials() -> Credentials {
        CREDENTIALS
    }

    /// Returns the folder that the service keeps its data below.
    #[must_use]
    pub const fn folder(&self) -> &TestFolder {
        &self.folder
    }

    /// Reads everything that a source has in the graph now.
    pub async fn graph(&self, source: &str) -> Graph {
        Api::new(&self.url(), CREDENTIALS).graph(source).await
    }

    /// Returns the reports that a source's runs handed in, newest first.
    pub async fn runs(&self, source: &str) -> Vec<serde_json::Value> {
        Api::new(&self.url(), CREDENTIALS).runs(source).await
    }

    /// Returns the save point of a source, `None` when there is none.
    pub async fn save_point(&self, source: &str) -> Option<String> {
        let path = format!("source/{source}");
        let document = Api::new(&self.url(), CREDENTIALS).get(&path).await;
        document["model_state_id"].as_str().map(str::to_owned)
    }

    /// Stops the service.
    pub async fn stop(self) {
        within("stopping the service", self.server.shutdown()).await;
    }
}
