//! A reference server in the test's process.

use reference_server::{Options, Server};
use reqwest::Method;
use serde_json::Value;

use crate::{TestFolder, within};

const USERNAME: &str = "reader";
const PASSWORD: &str = "pass:wörd";

/// A reference server on a loopback port, with its data in a folder of its own.
#[derive(Debug)]
pub struct ReferenceSource {
    server: Server,
    folder: TestFolder,
    http: reqwest::Client,
}

impl ReferenceSource {
    /// Starts a server with this many made assets; none gives an empty one.
    pub async fn start(assets: u64) -> Self {
        let folder = TestFolder::new();
        let data = folder.file("inventory.db");
        if assets > 0 {
            reference_server::populate(&data, assets, 1).await.unwrap();
        }
        let options = Options::new(&data, USERNAME, PASSWORD);
        let server = within("starting the source", Server::start(options))
            .await
            .unwrap();
        let http = car_core::http::client_builder()
            .timeout(std::time::Duration::from_secs(30))
            .build()
            .unwrap();
        Self {
            server,
            folder,
            http,
        }
    }

    /// Loads the machine that the test runs on.
    pub async fn load_this_machine(&self) {
        reference_server::inventory(&self.folder.file("inventory.db"))
            .await
            .unwrap();
    }

    /// Returns the address, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        self.server.url()
    }

    /// Returns the user name that it takes.
    #[must_use]
    pub const fn username() -> &'static str {
        USERNAME
    }

    /// Returns the password that it takes.
    #[must_use]
    pub const fn password() -> &'static str {
        PASSWORD
    }

    /// Makes a call that must succeed; returns the answer, null when it is empty.
    pub async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Value {
        let mut request = self
            .http
            .request(method.clone(), format!("{}{path}", self.url()))
            .basic_auth(USERNAME, Some(PASSWORD));
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status();
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{method} {path}: {status}: {text}");
        if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap()
        }
    }

    /// Reads all objects of a collection.
    pub async fn all(&self, collection: &str) -> Vec<Value> {
        match self
            .call(Method::GET, &format!("/{collection}/"), None)
            .await
        {
            Value::Array(objects) => objects,
            other => panic!("{collection} is not a list: {other}"),
        }
    }

    /// Adds an object and returns its number.
    pub async fn add(&self, collection: &str, object: &Value) -> u64 {
        let made = self
            .call(Method::POST, &format!("/{collection}/"), Some(object))
            .await;
        made["pk"].as_u64().unwrap()
    }

    /// Sets fields of an object.
    pub async fn change(&self, collection: &str, pk: u64, fields: &Value) {
        let path = format!("/{collection}/{pk}/");
        self.call(Method::PATCH, &path, Some(fields)).await;
    }

    /// Deletes an object.
    pub async fn delete(&self, collection: &str, pk: u64) {
        let path = format!("/{collection}/{pk}/");
        self.call(Method::DELETE, &path, None).await;
    }

    /// Returns the name of the present state.
    pub async fn state(&self) -> String {
        let state = self.call(Method::GET, "/model_state_id/", None).await;
        state["model_state_id"].as_str().unwrap().to_owned()
    }

    /// Stops the server.
    pub async fn stop(self) {
        within("stopping the source", self.server.stop())
            .await
            .unwrap();
    }
}
