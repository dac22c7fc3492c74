//! What the tests share: the connector between a platform and a vendor.

use std::time::Duration;

use car_testkit::{Ended, Program, TestFolder, within};
use fulfillment_server::{Options, Server};
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) const KEY: &str = "ApiKey SU-1:platform-secret";
pub(crate) const TOKEN: &str = "vendor-secret";

/// The connector's program, with nothing set.
pub(crate) fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_fulfillment-connector"))
}

/// A platform, a vendor, and the connector between them.
pub(crate) struct World {
    server: Server,
    http: reqwest::Client,
    folder: TestFolder,
}

impl World {
    pub(crate) async fn start() -> Self {
        let options = Options {
            listen: "127.0.0.1:0".to_owned(),
            key: KEY.to_owned(),
            token: TOKEN.to_owned(),
        };
        Self {
            server: Server::start(options).await.unwrap(),
            http: car_core::http::client_builder().build().unwrap(),
            folder: TestFolder::new(),
        }
    }

    /// Returns the address of both sides.
    pub(crate) fn url(&self) -> String {
        self.server.url()
    }

    /// Returns the connector.
    pub(crate) fn program(&self) -> Program {
        self.program_at(&self.server.url())
    }

    /// Returns the connector, with both sides at an address.
    pub(crate) fn program_at(&self, url: &str) -> Program {
        let log = self.folder.file("sagas.db");
        program()
            .env("CONFIGURATION_AUTH_URL", format!("{url}/public/v1"))
            .env("CONFIGURATION_AUTH_KEY", KEY)
            .env(
                "CONFIGURATION_PARAMETER_VENDOR_URL",
                format!("{url}/vendor/v1"),
            )
            .env("CONFIGURATION_AUTH_VENDOR_TOKEN", TOKEN)
            .env("CONFIGURATION_PARAMETER_SAGA_LOG", log.to_string_lossy())
            .env("CONFIGURATION_PARAMETER_PAGE_SIZE", "2")
    }

    /// Runs a verb to its end and returns what it prints.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        self.program().args(arguments).run().await
    }

    /// Works on what is pending, once.
    pub(crate) async fn fulfill(&self) -> String {
        self.run(&["fulfill"]).await.with_code(0).stdout
    }

    /// Prints a saga.
    pub(crate) async fn show(&self, id: &str) -> String {
        self.run(&["saga", "show", id]).await.with_code(0).stdout
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let key = match path.starts_with("/vendor") {
            true => format!("Bearer {TOKEN}"),
            false => KEY.to_owned(),
        };
        let call = self
            .http
            .request(method, format!("{}{path}", self.server.url()))
            .header("Authorization", key)
            .json(&body);
        let answer = within("a call of the test", call.send()).await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        let text = answer.text().await.unwrap();
        serde_json::from_str(&text).unwrap_or(Value::Null)
    }

    /// Orders; returns the id.
    pub(crate) async fn order(&self, request: Value) -> String {
        let made = self
            .call(Method::POST, "/public/v1/requests", request)
            .await;
        made["id"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn request(&self, id: &str) -> Value {
        let path = format!("/public/v1/requests/{id}");
        self.call(Method::GET, &path, json!({})).await
    }

    /// Returns the status of a request.
    pub(crate) async fn status(&self, id: &str) -> String {
        self.request(id).await["status"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// Sets what goes wrong at the vendor.
    pub(crate) async fn faults(&self, faults: Value) {
        self.call(Method::PUT, "/vendor/v1/faults", faults).await;
    }

    /// Counts what the vendor has of each kind: reservations, users, licences, notifications.
    pub(crate) async fn left(&self) -> [usize; 4] {
        let mut left = [0; 4];
        for (count, kind) in left.iter_mut().zip(KINDS) {
            *count = self.things(kind).await.len();
        }
        left
    }

    pub(crate) async fn things(&self, kind: &str) -> Vec<Value> {
        let path = format!("/vendor/v1/things/{kind}?limit=1000");
        let page = self.call(Method::GET, &path, json!({})).await;
        page["items"].as_array().unwrap().clone()
    }

    /// Waits until the vendor has so many of each kind.
    pub(crate) async fn until(&self, expected: [usize; 4]) {
        within("the vendor gets there", async {
            while self.left().await != expected {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }
}

pub(crate) const KINDS: [&str; 4] = ["reservations", "users", "licences", "notifications"];

/// A purchase.
pub(crate) fn purchase() -> Value {
    json!({
        "type": "purchase",
        "asset": {
            "id": "AS-1",
            "product": {"id": "PRD-1"},
            "items": [{"id": "SEAT", "quantity": "3"}],
            "params": [{"id": "email", "value": "ada@example.org"}],
        },
    })
}

/// What the vendor does from now on, once.
pub(crate) fn once(kind: &str, method: &str, mode: &str) -> Value {
    json!([{"kind": kind, "method": method, "mode": mode, "times": 1}])
}
