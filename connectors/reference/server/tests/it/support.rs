//! A server in this process and a client for it.

use reference_server::{Options, Server};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

pub(crate) const USER: &str = "user";
pub(crate) const PASSWORD: &str = "pass:wörd";

/// A client that follows no redirect and waits at most 30 s.
pub(crate) fn http() -> reqwest::Client {
    // Only the first call installs the provider.
    drop(rustls::crypto::ring::default_provider().install_default());
    reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(std::time::Duration::from_secs(30))
        .build()
        .unwrap()
}

/// Calls a server by its address.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) url: String,
    client: reqwest::Client,
}

impl Api {
    pub(crate) fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            client: http(),
        }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let address = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("{}{path}", self.url)
        };
        self.client
            .request(method, address)
            .basic_auth(USER, Some(PASSWORD))
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: Option<Value>) -> Response {
        let mut request = self.request(method.parse().unwrap(), path);
        if let Some(body) = body {
            request = request.json(&body);
        }
        request.send().await.unwrap()
    }

    /// Calls and returns status and JSON (null for an empty body).
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (StatusCode, Value) {
        let response = self.send(method, path, body).await;
        let status = response.status();
        let text = response.text().await.unwrap();
        let json = if text.is_empty() {
            Value::Null
        } else {
            serde_json::from_str(&text).unwrap_or_else(|e| panic!("{method} {path}: {e}: {text}"))
        };
        (status, json)
    }

    /// GET that must succeed.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, json) = self.call("GET", path, None).await;
        assert_eq!(status, StatusCode::OK, "{path}: {json}");
        json
    }

    /// POST that must succeed; returns the object.
    pub(crate) async fn post(&self, path: &str, body: Value) -> Value {
        let (status, json) = self.call("POST", path, Some(body)).await;
        assert_eq!(status, StatusCode::CREATED, "{path}: {json}");
        json
    }

    /// Status and `code` of a call that must be refused.
    pub(crate) async fn refused(
        &self,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (u16, String) {
        let (status, json) = self.call(method, path, body).await;
        let message = json["message"].as_str().unwrap_or_default();
        assert!(!message.is_empty(), "{method} {path}: {status} {json}");
        (status.as_u16(), json["code"].as_str().unwrap().to_owned())
    }

    pub(crate) async fn state(&self) -> String {
        let state = self.get("/model_state_id/").await;
        state["model_state_id"].as_str().unwrap().to_owned()
    }

    /// Reads all pages from `path` on by following the links.
    pub(crate) async fn pages(&self, path: &str) -> Vec<Value> {
        let mut pages = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let response = self.send("GET", &path, None).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            next = next_link(&response);
            pages.push(response.json().await.unwrap());
        }
        pages
    }
}

/// The address in `Link: <...>; rel="next"`.
pub(crate) fn next_link(response: &Response) -> Option<String> {
    let link = response.headers().get("link")?.to_str().unwrap();
    let (address, rel) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
    assert_eq!(rel, "; rel=\"next\"");
    Some(address.to_owned())
}

/// A server in this process, with its file in a folder that goes when the test ends.
pub(crate) struct Running {
    pub(crate) api: Api,
    pub(crate) server: Server,
    pub(crate) folder: TempDir,
}

impl std::ops::Deref for Running {
    type Target = Api;

    fn deref(&self) -> &Api {
        &self.api
    }
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new(folder.path().join("inventory.db"), USER, PASSWORD);
        change(&mut options);
        let server = Server::start(options).await.unwrap();
        Self {
            api: Api::new(server.url()),
            server,
            folder,
        }
    }

    pub(crate) fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("inventory.db")
    }
}
