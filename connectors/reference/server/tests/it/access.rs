//! Who may call.

use crate::support::{PASSWORD, Running, USER, http};

#[tokio::test]
async fn every_address_asks_for_credentials() {
    let running = Running::start().await;
    let client = http();
    for path in [
        "/",
        "/assets/",
        "/assets",
        "/delta/",
        "/model_state_id/",
        "/nothing/here/at/all",
    ] {
        let address = format!("{}{path}", running.url);
        for request in [
            client.get(&address),
            client.get(&address).basic_auth(USER, Some("wrong")),
            client.get(&address).basic_auth("", Some(PASSWORD)),
            client.get(&address).bearer_auth(PASSWORD),
        ] {
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 401, "{path}");
            let asks = response.headers()["www-authenticate"].to_str().unwrap();
            assert!(asks.starts_with("Basic realm="), "{asks}");
        }
    }
    assert_eq!(running.send("GET", "/assets/", None).await.status(), 200);
}

#[tokio::test]
async fn a_page_of_another_site_cannot_write() {
    let running = Running::start().await;
    for (name, value) in [
        ("origin", "http://evil.example"),
        ("origin", "null"),
        ("sec-fetch-site", "cross-site"),
    ] {
        let request = running.request("POST".parse().unwrap(), "/sites/");
        let request = request.header(name, value);
        let response = request
            .json(&serde_json::json!({"name": "x"}))
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 403, "{name}: {value}");
    }
    assert_eq!(running.get("/sites/").await, serde_json::json!([]));
}

#[test]
fn options_do_not_print_the_password() {
    let options = reference_server::Options::new("file", USER, PASSWORD);
    assert!(!format!("{options:?}").contains(PASSWORD));
}
