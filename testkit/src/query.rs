//! Reading a graph through the service's public calls.

use car_schema::wire::Extensions;
use car_schema::{Collection, Identity, Kind, Model};
use serde_json::{Value, json};

use crate::graph::Graph;
use crate::service::Credentials;

/// Rows of one answer.
const PAGE: usize = 10_000;

/// Calls a service.
pub(crate) struct Api<'a> {
    http: reqwest::Client,
    /// Base address, ending in `/api/car/v2`.
    url: &'a str,
    credentials: Credentials,
}

impl<'a> Api<'a> {
    pub(crate) fn new(url: &'a str, credentials: Credentials) -> Self {
        let http = car_core::http::client_builder()
            .timeout(std::time::Duration::from_secs(60))
            .build()
            .unwrap();
        Self {
            http,
            url,
            credentials,
        }
    }

    /// Makes a GET call of the version 2 that must succeed.
    pub(crate) async fn get(&self, path: &str) -> Value {
        self.answer(self.http.get(format!("{}/{path}", self.url)))
            .await
    }

    /// Reads the reports of a source's runs, newest first.
    pub(crate) async fn runs(&self, source: &str) -> Vec<Value> {
        let v3 = format!("{}/v3", self.url.trim_end_matches("/v2"));
        let path = format!("{v3}/source/{source}/runs?limit=100");
        let answer = self.answer(self.http.get(path)).await;
        answer["runs"].as_array().cloned().unwrap_or_default()
    }

    /// Reads everything that a source has in the graph.
    pub(crate) async fn graph(&self, source: &str) -> Graph {
        let v3 = format!("{}/v3", self.url.trim_end_matches("/v2"));
        let schemas = self.answer(self.http.get(format!("{v3}/carSchema"))).await;
        let extensions: Extensions = serde_json::from_value(schemas).unwrap();
        let mut model = Model::core();
        for extension in &extensions.schemas {
            model.extend(&extension.schema).unwrap();
        }
        let mut graph = Graph::default();
        for collection in model.collections() {
            let mut offset = 0;
            loop {
                let body = json!({ "query": query(collection, source, offset) });
                let request = self.http.post(format!("{v3}/query")).json(&body);
                let mut answer = self.answer(request).await;
                assert!(answer.get("errors").is_none(), "{body}: {answer}");
                let rows = answer["data"][collection.name.as_ref()].take();
                let Value::Array(rows) = rows else {
                    panic!("{body}: {answer}");
                };
                let read = rows.len();
                for row in rows {
                    graph.add_row(collection, source, row);
                }
                offset += read;
                if read < PAGE {
                    break;
                }
            }
        }
        graph
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Value {
        let request = request.basic_auth(self.credentials.key, Some(self.credentials.password));
        let response = request.send().await.unwrap();
        let (status, url) = (response.status(), response.url().clone());
        let text = response.text().await.unwrap();
        assert!(status.is_success(), "{url}: {status}: {text}");
        serde_json::from_str(&text).unwrap()
    }
}

/// Asks for one page of a collection, with every field that it has.
fn query(collection: &Collection, source: &str, offset: usize) -> String {
    let name = &collection.name;
    let (ends, order) = match &collection.kind {
        Kind::Vertex {
            identity: Identity::ExternalId,
        } => ("external_id".to_owned(), "{id: asc}".to_owned()),
        Kind::Vertex {
            identity: Identity::Key,
        } => ("_key".to_owned(), "{_key: asc}".to_owned()),
        Kind::Edge { from, to } => {
            let (from, to) = (&from.collection, &to.collection);
            (
                format!("{from}_id {to}_id"),
                format!("[{{{from}_id: asc}}, {{{to}_id: asc}}]"),
            )
        }
    };
    let fields: Vec<&str> = collection
        .fields
        .iter()
        .map(|field| field.name.as_ref())
        .filter(|field| !NOT_FIELDS.contains(field))
        .collect();
    format!(
        "{{ {name}(where: {{source: {{_eq: {source:?}}}}}, order_by: {order}, limit: {PAGE}, \
         offset: {offset}) {{ {ends} properties {} }} }}",
        fields.join(" ")
    )
}

/// What rows carry beside their own fields: asked for by another name, or different in each run.
const NOT_FIELDS: [&str; 14] = [
    "_key",
    "_from",
    "_to",
    "_from_external_id",
    "_to_external_id",
    "external_id",
    "id",
    "connecting_id",
    "source",
    "report",
    "timestamp",
    "properties",
    "tag",
    "untag",
];
