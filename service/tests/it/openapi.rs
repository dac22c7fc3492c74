//! The document of the calls names every call, and no other.

use std::collections::BTreeSet;

use crate::support::{Harness, Kind};

/// Where the routes are. A route that is added there and not in the document fails the test.
const ROUTES: &str = include_str!("../../src/api/mod.rs");

/// Returns `method path` of each route below a version.
fn routes(version: &str) -> BTreeSet<String> {
    let begin = format!("let {version} = Router::new()");
    let (_, text) = ROUTES.split_once(&begin).expect("the routes");
    let (text, _) = text.split_once(';').expect("the end of the routes");
    let mut calls = BTreeSet::new();
    for route in text.split(".route(").skip(1) {
        let path = route.split('"').nth(1).expect("a path");
        for method in ["get", "post", "patch", "delete", "put"] {
            if route.contains(&format!("{method}(")) {
                calls.insert(format!("{method} /{version}{path}"));
            }
        }
    }
    assert!(calls.len() > 10, "{calls:?}");
    calls
}

#[tokio::test]
async fn every_route_is_in_the_document() {
    let harness = Harness::ready(Kind::Sqlite).await;
    let document = harness.client.get("v3/openapi.json").await.expect(200);
    let mut described = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            described.insert(format!("{method} {path}"));
        }
    }
    let mut there = routes("v2");
    there.extend(routes("v3"));
    // Those that need no key are beside the others; one has a second form for old clients.
    there.insert("get /v2/health".into());
    there.insert("get /v3/health".into());
    assert!(there.remove("post /v3/clearDb/"));
    assert_eq!(described, there);
}
