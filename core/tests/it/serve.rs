//! The HTTP interface of `serve`, over real sockets.

use std::sync::Arc;
use std::time::Duration;

use car_core::secret::Secret;
use car_core::serve::{ServeOptions, answer, listen, router};
use car_core::tasks::{SqliteEngine, TaskEngine};
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::support::soon;
use crate::tasks::manager::{World, manager};
use crate::tasks::support::{Embedded, named};

#[cfg(feature = "saga")]
mod sagas;

const KEY: &str = "open sesame";

struct Server {
    base: String,
    client: Client,
    world: Arc<World>,
    engine: Arc<SqliteEngine>,
    stop: CancellationToken,
    _place: Embedded,
}

impl Server {
    async fn start() -> Self {
        Self::start_with(|options, _| options).await
    }

    /// Starts it with more to show; what does the work is given the token that ends it.
    async fn start_with(
        more: impl FnOnce(ServeOptions, CancellationToken) -> ServeOptions,
    ) -> Self {
        let (place, world) = (Embedded::new(), Arc::new(World::default()));
        let engine = SqliteEngine::open_with(&place.path(), place.options()).await;
        let engine = Arc::new(engine.unwrap());
        let manager = manager(&engine, &world).await;
        let options = ServeOptions::new("test-connector", "1.2.3", Secret::from(KEY));
        let stop = CancellationToken::new();
        let options = more(options, stop.clone());
        let listener = listen("127.0.0.1:0".parse().unwrap()).await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(answer(listener, router(manager, options), stop.clone()));
        Self {
            base,
            client: car_core::http::client_builder().build().unwrap(),
            world,
            engine,
            stop,
            _place: place,
        }
    }

    async fn call(&self, method: Method, path: &str, body: Option<&str>) -> (StatusCode, Value) {
        let mut request = self
            .client
            .request(method, format!("{}{path}", self.base))
            .bearer_auth(KEY);
        if let Some(body) = body {
            request = request.body(body.to_owned());
        }
        let answer = soon(request.send()).await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        (status, serde_json::from_str(&text).unwrap_or(Value::Null))
    }

    async fn get(&self, path: &str) -> Value {
        let (status, value) = self.call(Method::GET, path, None).await;
        assert_eq!(status, 200, "{path}: {value}");
        value
    }

    async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        let body = body.to_string();
        let (status, value) = self.call(Method::POST, path, Some(&body)).await;
        (status.as_u16(), value)
    }

    /// Waits until a task of a connector is as it should be.
    async fn until(&self, connector: &str, right: impl Fn(&Value) -> bool) -> Value {
        soon(async {
            loop {
                let tasks = self.get(&format!("/connectors/{connector}/tasks")).await;
                if right(&tasks["tasks"][0]) {
                    return tasks["tasks"][0].clone();
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn settings() -> Value {
    json!({ "password": "hush", "period": 60 })
}

#[tokio::test]
async fn a_connector_is_installed_shown_changed_and_uninstalled() {
    let server = Server::start().await;
    let (status, view) = server.post("/connectors/payments", &settings()).await;
    assert_eq!((status, &view["phase"]), (201, &json!("ready")), "{view}");
    assert_eq!(
        server.get("/connectors").await["connectors"][0]["name"],
        "payments"
    );
    let task = server
        .until("payments", |task| {
            task["runs"] == 1 && task["activity"] == "waiting"
        })
        .await;
    let path = format!(
        "/connectors/payments/tasks/{}",
        task["id"].as_str().unwrap()
    );
    assert_eq!(task["id"], named("poll").id("payments").as_str());

    let (status, paused) = server.post(&format!("{path}/pause"), &json!({})).await;
    assert_eq!((status, &paused["status"]), (200, &json!("PAUSED")));
    let (status, refused) = server.post(&format!("{path}/retry"), &json!({})).await;
    assert_eq!((status, &refused["code"]), (409, &json!("not_now")));
    let (status, _) = server.post(&format!("{path}/resume"), &json!({})).await;
    assert_eq!(status, 200);
    server
        .until("payments", |task| {
            task["runs"] == 2 && task["activity"] == "waiting"
        })
        .await;
    let history = server.get(&path).await;
    assert_eq!(history["runs"].as_array().unwrap().len(), 2);
    assert_eq!(history["runs"][0]["outcome"], "done");

    let (status, reset) = server.post("/connectors/payments/reset", &json!({})).await;
    assert_eq!((status, &reset["incarnation"]), (200, &json!(2)));
    let (status, _) = server
        .call(Method::DELETE, "/connectors/payments", None)
        .await;
    assert_eq!(status, 204);
    let (status, gone) = server
        .call(Method::GET, "/connectors/payments/tasks", None)
        .await;
    assert_eq!(
        (status.as_u16(), &gone["code"]),
        (404, &json!("unknown_connector"))
    );
}

#[tokio::test]
async fn weakness_18_secrets_are_hidden_validation_is_400_and_tasks_belong_to_their_connector() {
    let server = Server::start().await;
    server.post("/connectors/one", &settings()).await;
    server.post("/connectors/two", &settings()).await;
    let shown = server.get("/connectors/one/settings").await;
    assert_eq!(shown["password"], "********");
    // What was shown can be sent back with a change.
    let mut changed = shown.clone();
    changed["period"] = json!(120);
    let (status, _) = server.post("/connectors/one/settings", &changed).await;
    assert_eq!(status, 200);
    let id = named("poll").id("one");
    let (status, _) = server
        .post(&format!("/connectors/one/tasks/{id}/retry"), &json!({}))
        .await;
    assert_eq!(status, 200);
    let with = json!({ "password": "hush", "period": 120 });
    server.until("one", |task| task["state"] == with).await;

    let (status, invalid) = server
        .post("/connectors/three", &json!({ "period": "x" }))
        .await;
    assert_eq!(
        (status, &invalid["code"]),
        (400, &json!("invalid_settings"))
    );
    let message = invalid["message"].as_str().unwrap();
    assert!(
        message.contains("`period` is no number of seconds"),
        "{message}"
    );
    let (status, foreign) = server
        .call(Method::GET, &format!("/connectors/two/tasks/{id}"), None)
        .await;
    assert_eq!(
        (status.as_u16(), &foreign["code"]),
        (404, &json!("unknown_task"))
    );
    // No other site may call with the browser's help.
    let answer = server
        .client
        .get(format!("{}/connectors", server.base))
        .bearer_auth(KEY)
        .header("origin", "http://evil.example")
        .send()
        .await
        .unwrap();
    assert!(!answer.headers().contains_key("access-control-allow-origin"));
}

#[tokio::test]
async fn bad_input_is_refused_with_a_stable_code() {
    let server = Server::start().await;
    server.post("/connectors/one", &settings()).await;
    for (method, path, body, status, code) in [
        (
            Method::POST,
            "/connectors/one",
            "{}",
            409,
            "already_installed",
        ),
        (Method::POST, "/connectors/a%20b", "{}", 400, "invalid_name"),
        (Method::POST, "/connectors/two", "{ no", 400, "invalid_body"),
        (Method::POST, "/connectors/two", "[1]", 400, "invalid_body"),
        (
            Method::POST,
            "/connectors/two?provider=x",
            "{}",
            400,
            "unknown_provider",
        ),
        (
            Method::POST,
            "/connectors/two?kind=x",
            "{}",
            400,
            "invalid_query",
        ),
        (
            Method::PUT,
            "/connectors/two/settings",
            "{}",
            404,
            "unknown_connector",
        ),
        (
            Method::GET,
            "/connectors/one/tasks?limit=x",
            "",
            400,
            "invalid_query",
        ),
        (
            Method::GET,
            "/connectors/one/tasks?status=x",
            "",
            400,
            "invalid_query",
        ),
        (
            Method::GET,
            "/connectors/one/tasks/x",
            "",
            404,
            "unknown_task",
        ),
        (
            Method::POST,
            "/connectors/one/tasks/x/retry",
            "",
            404,
            "unknown_task",
        ),
        (
            Method::POST,
            "/connectors/one/tasks/x/dance",
            "",
            404,
            "unknown_path",
        ),
        (Method::GET, "/nowhere", "", 404, "unknown_path"),
        (Method::GET, "/connectors/%FF", "", 400, "invalid_path"),
        (
            Method::GET,
            "/connectors/one/tasks/%FF",
            "",
            400,
            "invalid_path",
        ),
        (Method::DELETE, "/connectors", "", 405, "unknown_method"),
    ] {
        let (found, error) = server.call(method.clone(), path, Some(body)).await;
        assert_eq!(
            (found.as_u16(), &error["code"]),
            (status, &json!(code)),
            "{method} {path}: {error}"
        );
        assert!(error["message"].is_string(), "{method} {path}");
    }
    let large = "x".repeat(5 << 20);
    let (status, error) = server
        .call(Method::POST, "/connectors/two", Some(&large))
        .await;
    assert_eq!(
        (status.as_u16(), &error["code"]),
        (413, &json!("invalid_body"))
    );
    server.world.break_("install");
    let (status, failed) = server.post("/connectors/two", &settings()).await;
    assert_eq!((status, &failed["code"]), (502, &json!("connector_failed")));
}

#[tokio::test]
async fn only_the_key_opens() {
    let server = Server::start().await;
    for (path, status) in [
        ("/connectors", 401),
        ("/connectors/one", 401),
        ("/providers", 401),
        ("/metrics", 401),
        ("/health/live", 200),
        ("/health/ready", 200),
        ("/openapi.json", 200),
        ("/ui/", 303),
        ("/ui/connectors/one", 303),
        ("/ui/login", 200),
    ] {
        for key in [None, Some("open sesam"), Some("")] {
            let mut request = server.client.get(format!("{}{path}", server.base));
            if let Some(key) = key {
                request = request.bearer_auth(key);
            }
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status(), status, "{path} {key:?}");
        }
    }
}

#[tokio::test]
async fn metrics_count_and_readiness_follows_the_store() {
    let server = Server::start().await;
    server.post("/connectors/one", &settings()).await;
    server
        .until("one", |task| {
            task["runs"] == 1 && task["activity"] == "waiting"
        })
        .await;
    let answer = server
        .client
        .get(format!("{}/metrics", server.base))
        .bearer_auth(KEY)
        .send()
        .await
        .unwrap();
    let text = answer.text().await.unwrap();
    for line in [
        "connector_tasks{connector=\"one\",status=\"active\"} 1",
        "connector_running_steps{connector=\"one\"} 0",
        "connector_done_runs_total 1",
        "connector_store_up 1",
        "# EOF",
    ] {
        assert!(text.lines().any(|found| found == line), "{line} in\n{text}");
    }
    server.engine.close().await.unwrap();
    let (status, error) = server.post("/connectors/two", &settings()).await;
    assert_eq!((status, &error["code"]), (503, &json!("stopped")));
}

#[tokio::test]
async fn the_description_names_every_route() {
    let server = Server::start().await;
    assert_eq!(described(&server).await, 14);
}

/// Asserts that every path of the description is there, and counts them.
async fn described(server: &Server) -> usize {
    let document = server.get("/openapi.json").await;
    assert_eq!(document["info"]["title"], "test-connector");
    let paths = document["paths"].as_object().unwrap();
    let missing = ["unknown_path", "unknown_method"];
    for (path, methods) in paths {
        for method in methods.as_object().unwrap().keys() {
            let method: Method = method.to_uppercase().parse().unwrap();
            let path = path.replace("{name}", "none").replace("{task}", "none");
            let path = path.replace("{id}", "none");
            let (_, answer) = server.call(method.clone(), &path, None).await;
            let code = answer["code"].as_str().unwrap_or_default();
            assert!(!missing.contains(&code), "{method} {path}");
        }
    }
    paths.len()
}

mod page {
    use reqwest::header;

    use super::*;

    pub(super) async fn fetch(server: &Server, path: &str, cookie: &str) -> String {
        let request = server.client.get(format!("{}{path}", server.base));
        let answer = request.header(header::COOKIE, cookie).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        let policy = answer.headers()["content-security-policy"]
            .to_str()
            .unwrap();
        assert!(policy.contains("default-src 'none'"), "{policy}");
        answer.text().await.unwrap()
    }

    pub(super) async fn send(
        server: &Server,
        path: &str,
        cookie: &str,
        form: &str,
    ) -> reqwest::Response {
        let request = server.client.post(format!("{}{path}", server.base));
        let request = request.header(header::COOKIE, cookie);
        let kind = "application/x-www-form-urlencoded";
        let request = request.header(header::CONTENT_TYPE, kind);
        request.body(form.to_owned()).send().await.unwrap()
    }

    pub(super) async fn log_in(server: &Server) -> String {
        let refused = send(server, "/ui/login", "", "key=wrong").await;
        assert_eq!(refused.status(), 401);
        let answer = send(server, "/ui/login", "", "key=open+sesame").await;
        assert_eq!(answer.status(), 303);
        let cookie = answer.headers()[header::SET_COOKIE].to_str().unwrap();
        assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
        cookie.split(';').next().unwrap().to_owned()
    }

    pub(super) fn token(page: &str) -> &str {
        let (_, rest) = page.split_once("name=\"token\" value=\"").unwrap();
        rest.split('"').next().unwrap()
    }

    #[tokio::test]
    async fn it_shows_connectors_tasks_and_history_and_its_buttons_work() {
        let server = Server::start().await;
        let evil = json!({ "password": "hush", "period": 60, "note": "<script>alert(1)</script>" });
        server.post("/connectors/one", &evil).await;
        server
            .until("one", |task| {
                task["runs"] == 1 && task["activity"] == "waiting"
            })
            .await;
        let cookie = log_in(&server).await;
        let overview = fetch(&server, "/ui/", &cookie).await;
        assert!(
            overview.contains("<a href=\"/ui/connectors/one\">one</a>"),
            "{overview}"
        );
        let page = fetch(&server, "/ui/connectors/one", &cookie).await;
        assert!(
            page.contains("poll") && page.contains("waits for its time"),
            "{page}"
        );
        assert!(
            !page.contains("hush") && !page.contains("<script"),
            "{page}"
        );

        let id = named("poll").id("one");
        let task = format!("/ui/connectors/one/tasks/{id}");
        let page = fetch(&server, &task, &cookie).await;
        let form = format!("token={}", token(&page));
        let pause = format!("{task}/do/pause");
        assert_eq!(
            send(&server, &pause, &cookie, "token=x").await.status(),
            403
        );
        assert_eq!(
            send(&server, &pause, "", &form).await.status(),
            303,
            "to the log-in"
        );
        assert!(
            !fetch(&server, &task, &cookie)
                .await
                .contains("somebody paused it")
        );
        assert_eq!(send(&server, &pause, &cookie, &form).await.status(), 303);
        assert!(
            fetch(&server, &task, &cookie)
                .await
                .contains("somebody paused it")
        );
        assert_eq!(
            send(&server, &pause.replace("pause", "dance"), &cookie, &form)
                .await
                .status(),
            404
        );

        let uninstall = "/ui/connectors/one/do/uninstall";
        assert_eq!(send(&server, uninstall, &cookie, &form).await.status(), 303);
        assert!(
            fetch(&server, "/ui/", &cookie)
                .await
                .contains("None is installed")
        );
        assert_eq!(
            send(&server, "/ui/logout", &cookie, &form).await.status(),
            303
        );
        let request = server.client.get(format!("{}/ui/", server.base));
        let answer = request
            .header(header::COOKIE, &cookie)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 303, "the session is over");
    }
}
