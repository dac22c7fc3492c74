//! The sample platform and vendor keep their own promises, which the connector's tests rest on.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop with the place and the value"
)]

use fulfillment_server::{Options, Server};
use reqwest::Method;
use serde_json::{Value, json};

struct Both {
    server: Server,
    http: reqwest::Client,
}

impl Both {
    async fn start() -> Self {
        // There is one already when another test was first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let options = Options {
            listen: "127.0.0.1:0".to_owned(),
            key: "ApiKey SU-1".to_owned(),
            token: "token".to_owned(),
        };
        Self {
            server: Server::start(options).await.unwrap(),
            http: reqwest::Client::new(),
        }
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> (u16, Value) {
        let key = match path.starts_with("/vendor") {
            true => "Bearer token",
            false => "ApiKey SU-1",
        };
        let answer = self
            .http
            .request(method, format!("{}{path}", self.server.url()))
            .header("Authorization", key)
            .json(&body)
            .send()
            .await
            .unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(Value::Null))
    }
}

#[tokio::test]
async fn writes_under_a_key_are_done_once_and_what_is_deleted_stays_so() {
    let both = Both::start().await;
    let path = "/vendor/v1/things/users/a%2Fb";
    let (status, made) = both.call(Method::PUT, path, json!({"name": "one"})).await;
    assert_eq!((status, made), (200, json!({"name": "one"})));
    let (_, again) = both.call(Method::PUT, path, json!({"name": "two"})).await;
    assert_eq!(again, json!({"name": "one"}));
    let list = "/vendor/v1/things/users?limit=1";
    let (_, listed) = both.call(Method::GET, list, Value::Null).await;
    assert_eq!(listed["items"][0]["id"], "a/b");
    assert_eq!(both.call(Method::DELETE, path, Value::Null).await.0, 200);
    assert_eq!(both.call(Method::DELETE, path, Value::Null).await.0, 200);
    assert_eq!(both.call(Method::PUT, path, json!({})).await.0, 410);
}

#[tokio::test]
async fn faults_happen_as_often_as_they_are_set() {
    let both = Both::start().await;
    let faults = json!([{"kind": "users", "method": "PUT", "mode": "lose-answer", "times": 1}]);
    both.call(Method::PUT, "/vendor/v1/faults", faults).await;
    let path = "/vendor/v1/things/users/a";
    assert_eq!(both.call(Method::PUT, path, json!({"n": 1})).await.0, 502);
    // It was done.
    let (status, made) = both.call(Method::PUT, path, json!({"n": 2})).await;
    assert_eq!((status, made), (200, json!({"n": 1})));
}

#[tokio::test]
async fn requests_are_answered_once() {
    let both = Both::start().await;
    let request = json!({"type": "purchase", "asset": {"params": [{"id": "a", "value": "1"}]}});
    let (status, made) = both
        .call(Method::POST, "/public/v1/requests", request)
        .await;
    assert_eq!((status, &made["status"]), (201, &json!("pending")));
    let path = format!("/public/v1/requests/{}", made["id"].as_str().unwrap());
    let change = json!({"asset": {"params": [{"id": "b", "value": "2"}]}});
    let (_, changed) = both.call(Method::PUT, &path, change).await;
    assert_eq!(changed["asset"]["params"].as_array().unwrap().len(), 2);
    let approve = format!("{path}/approve");
    assert_eq!(both.call(Method::POST, &approve, json!({})).await.0, 200);
    assert_eq!(both.call(Method::POST, &approve, json!({})).await.0, 409);
    let pending = "/public/v1/requests?status=pending";
    assert_eq!(
        both.call(Method::GET, pending, Value::Null).await.1,
        json!([])
    );
}

#[tokio::test]
async fn wrong_credentials_are_refused() {
    let both = Both::start().await;
    for path in ["/public/v1/requests", "/vendor/v1/things/users"] {
        let address = format!("{}{path}", both.server.url());
        let answer = both.http.get(address).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 401);
    }
}
