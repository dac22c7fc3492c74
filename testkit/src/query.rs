//! Reading a graph through the service's public calls.

use car_schema::Model;
use car_schema::wire::Extensions;
use serde_json::Value;

use crate::graph::Graph;
use crate::service::Credentials;

/// Most rows that one look-up answers.
const LIMIT: usize = 1000;

/// Reads everything that a source has in the graph.
pub(crate) async fn graph(url: &str, credentials: Credentials, source: &str) -> Graph {
    let schema = get(
        &url.replace("/v2", "/v3").to_owned(),
        "carSchema",
        credentials,
    )
    .await;
    let extensions: Extensions = serde_json::from_value(schema).unwrap();
    let mut model = Model::core();
    for extension in &extensions.schemas {
        model.extend(&extension.schema).unwrap();
    }
    let mut graph = Graph::default();
    for collection in model.collections() {
        let path = format!("{}?source={source}", collection.name);
        let Value::Array(rows) = get(url, &path, credentials).await else {
            panic!("{path} is not a list");
        };
        assert!(
            rows.len() < LIMIT,
            "{path} has more rows than one answer holds"
        );
        for row in rows {
            graph.add_document(&collection.name, row);
        }
    }
    graph
}

/// Makes a call that must succeed.
pub(crate) async fn get(url: &str, path: &str, credentials: Credentials) -> Value {
    let http = car_core::http::client_builder()
        .timeout(std::time::Duration::from_secs(30))
        .build()
        .unwrap();
    let response = http
        .get(format!("{url}/{path}"))
        .basic_auth(credentials.key, Some(credentials.password))
        .send()
        .await
        .unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    assert!(status.is_success(), "GET {path}: {status}: {text}");
    serde_json::from_str(&text).unwrap()
}
