//! Queries that take too long: they are answered with an error and stopped, so that others go on.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Client, Harness, KEY, Kind, PASSWORD, store_suite};

/// Long enough for a query that finds its row by an index, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(5);

/// Queries at once: as many as there are connections for readers on SQLite.
const AT_ONCE: usize = 8;

/// Assets and weaknesses, each linked to all of the others.
const SIDE: usize = 40;

async fn ready(kind: Kind) -> Harness {
    let harness = Harness::start(kind, |options| options.query_timeout(LIMIT)).await;
    let client = &harness.client;
    client.post("databases", json!({})).await.expect(200);
    let many = |letter: &str| -> Vec<Value> {
        (0..SIDE)
            .map(|n| json!({ "external_id": format!("{letter}{n}"), "name": "n" }))
            .collect()
    };
    let links: Vec<Value> = (0..SIDE * SIDE)
        .map(|n| {
            json!({
                "_from_external_id": format!("a{}", n / SIDE),
                "_to_external_id": format!("v{}", n % SIDE),
            })
        })
        .collect();
    let rows = json!({
        "asset": many("a"), "vulnerability": many("v"), "asset_vulnerability": links,
    });
    client.import("s", rows).await;
    harness
}

async fn ask(client: &Client, query: String) -> (u16, Value) {
    let request = client
        .request(Method::POST, "v3/query")
        .basic_auth(KEY, Some(PASSWORD))
        .json(&json!({ "query": query }));
    let answer = client.send(request).await;
    (answer.status.as_u16(), answer.body)
}

/// Asks for what no row has, along every way through the graph: minutes of work.
fn endless() -> String {
    let mut filter = "{name: {_eq: \"none\"}}".to_owned();
    for _ in 0..2 {
        filter = format!("{{assets: {{asset: {{vulnerabilities: {{vulnerability: {filter}}}}}}}}}");
    }
    format!("{{ vulnerability(where: {filter}) {{ id }} }}")
}

async fn a_slow_query_ends_and_frees_its_connection(kind: Kind) {
    let harness = ready(kind).await;
    let client = &harness.client;
    let lock = match kind {
        // Its planner finds a quick way through, so the query waits for a lock instead.
        Kind::Postgres => Some(harness.lock("cur_vulnerability").await),
        Kind::Sqlite => None,
    };
    let slow = (0..AT_ONCE).map(|_| ask(client, endless()));
    for (status, body) in futures_util::future::join_all(slow).await {
        assert_eq!(status, 504, "{body}");
        assert_eq!(body["code"], "query_too_slow", "{body}");
        let text = body["message"].as_str().unwrap();
        assert!(text.contains("longer than 5 seconds"), "{text}");
        assert!(text.contains("--query-timeout"), "{text}");
    }
    // Statements that went on would hold every connection, and these would not get one.
    let query = "{ asset(where: {external_id: {_eq: \"a1\"}}) { id } }";
    let quick = (0..AT_ONCE).map(|_| ask(client, query.to_owned()));
    for (status, body) in futures_util::future::join_all(quick).await {
        assert_eq!(status, 200, "{body}");
        assert_eq!(body["data"]["asset"][0]["id"], "s/a1", "{body}");
    }
    drop(lock);
}

async fn preflight(harness: &Harness, origin: &str) -> Option<String> {
    let request = harness
        .client
        .request(Method::OPTIONS, "v3/query")
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header(
            "access-control-request-headers",
            "authorization,x-hasura-car-timepoint",
        );
    let answer = request.send().await.unwrap();
    let allowed = answer.headers().get("access-control-allow-origin")?;
    Some(allowed.to_str().unwrap().to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn other_origins_call_only_where_they_are_named() {
    let portal = "https://portal.example.com";
    let harness = Harness::empty(Kind::Sqlite).await;
    assert_eq!(preflight(&harness, portal).await, None);
    let named = reqwest::header::HeaderValue::from_static("https://portal.example.com");
    let harness = Harness::start(Kind::Sqlite, |options| options.origin(named)).await;
    assert_eq!(preflight(&harness, portal).await.as_deref(), Some(portal));
    assert_eq!(preflight(&harness, "https://evil.example.com").await, None);
    // Who asks still needs a key.
    let request = harness.client.request(Method::GET, "databases");
    let answer = request.header("origin", portal).send().await.unwrap();
    assert_eq!(answer.status(), 401);
    assert_eq!(
        answer.headers().get("access-control-allow-origin").unwrap(),
        portal
    );
}

store_suite! {
    a_slow_query_ends_and_frees_its_connection,
}
