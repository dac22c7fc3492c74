//! The calls as an OpenAPI document, made from one table so that none is forgotten.

mod bodies;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::App;

/// A call: method, path, what it does, parameters in the query, body, status of success.
struct Call {
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    query: &'static [&'static str],
    body: Body,
    status: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    None,
    Object,
    Envelope,
    Extension,
    Query,
    Policy,
    SessionPatch,
    Unchanged,
    Run,
}

const fn call(
    method: &'static str,
    path: &'static str,
    summary: &'static str,
    query: &'static [&'static str],
    body: Body,
    status: &'static str,
) -> Call {
    Call {
        method,
        path,
        summary,
        query,
        body,
        status,
    }
}

const CALLS: &[Call] = &[
    call(
        "get",
        "/v2/databases",
        "Tells whether the tenant's database is ready",
        &[],
        Body::None,
        "200",
    ),
    call(
        "post",
        "/v2/databases",
        "Creates the tenant's database",
        &[],
        Body::None,
        "200",
    ),
    call(
        "patch",
        "/v2/databases",
        "Makes what is missing in it",
        &[],
        Body::Object,
        "200",
    ),
    call(
        "get",
        "/v2/jobstatus",
        "Tells the state of jobs",
        &["ids"],
        Body::None,
        "200",
    ),
    call(
        "get",
        "/v2/jobstatus/{id}",
        "Tells the state of a job",
        &[],
        Body::None,
        "200",
    ),
    call(
        "post",
        "/v2/imports",
        "Imports rows, whole or not at all",
        &[],
        Body::Envelope,
        "200",
    ),
    call(
        "get",
        "/v2/importstatus",
        "Tells the state of imports",
        &["ids"],
        Body::None,
        "200",
    ),
    call(
        "get",
        "/v2/importstatus/{id}",
        "Tells the state of an import",
        &[],
        Body::None,
        "200",
    ),
    call(
        "get",
        "/v2/source",
        "Shows a source",
        &["key"],
        Body::None,
        "200",
    ),
    call(
        "patch",
        "/v2/source",
        "Changes a source",
        &["key"],
        Body::Object,
        "200",
    ),
    call(
        "get",
        "/v2/source/{source}",
        "Shows a source",
        &[],
        Body::None,
        "200",
    ),
    call(
        "patch",
        "/v2/source/{source}",
        "Changes a source",
        &[],
        Body::Object,
        "200",
    ),
    call(
        "get",
        "/v2/source/{source}/full-import-in-progress",
        "Tells what closing the session would retire",
        &[],
        Body::None,
        "200",
    ),
    call(
        "post",
        "/v2/source/{source}/full-import-in-progress",
        "Opens a session",
        &["resume"],
        Body::None,
        "200",
    ),
    call(
        "patch",
        "/v2/source/{source}/full-import-in-progress",
        "Keeps rows from being retired by the session, and lists the scopes that are complete",
        &[],
        Body::SessionPatch,
        "200",
    ),
    call(
        "delete",
        "/v2/source/{source}/full-import-in-progress",
        "Closes the session and retires what it did not report",
        &[],
        Body::None,
        "200",
    ),
    call(
        "delete",
        "/v2/source/{source}/{collection}",
        "Retires vertices and their edges, or one edge",
        &["external_ids", "keys", "from", "to"],
        Body::None,
        "200",
    ),
    call(
        "get",
        "/v2/{collection}",
        "Looks entities up by their attributes",
        &["name"],
        Body::None,
        "200",
    ),
    call(
        "patch",
        "/v2/{collection}",
        "Changes a vertex or an edge",
        &["external_id", "source", "from", "to"],
        Body::Object,
        "200",
    ),
    call(
        "get",
        "/v2/{collection}/{id}/graph",
        "Shows a vertex and its neighbours",
        &[],
        Body::None,
        "200",
    ),
    call(
        "get",
        "/v2/health",
        "Tells that calls are answered",
        &[],
        Body::None,
        "200",
    ),
    call(
        "get",
        "/v3/health",
        "Tells that calls are answered",
        &[],
        Body::None,
        "200",
    ),
    call(
        "get",
        "/v3/health/all",
        "Tells whether the store answers",
        &[],
        Body::None,
        "200",
    ),
    call(
        "get",
        "/v3/carSchema",
        "Lists the extensions",
        &[],
        Body::None,
        "200",
    ),
    call(
        "post",
        "/v3/carSchema",
        "Stores an extension",
        &[],
        Body::Extension,
        "201",
    ),
    call(
        "get",
        "/v3/carSchema/{key}",
        "Shows an extension",
        &[],
        Body::None,
        "200",
    ),
    call(
        "delete",
        "/v3/carSchema/{key}",
        "Takes an extension away",
        &[],
        Body::None,
        "204",
    ),
    call(
        "get",
        "/v3/importSchema",
        "Shows the JSON schema of imports",
        &["version"],
        Body::None,
        "200",
    ),
    call(
        "get",
        "/v3/extensionSchema",
        "Shows the JSON schema of extensions",
        &[],
        Body::None,
        "200",
    ),
    call(
        "get",
        "/v3/query",
        "Answers GraphQL that only reads",
        &["query", "variables", "operationName"],
        Body::None,
        "200",
    ),
    call(
        "post",
        "/v3/imports/unchanged",
        "Reports the rows that are as the sender believes, and tells which are not",
        &[],
        Body::Unchanged,
        "200",
    ),
    call(
        "post",
        "/v3/imports/compare",
        "Tells what an import would change, without importing it",
        &[],
        Body::Envelope,
        "200",
    ),
    call(
        "get",
        "/v3/imports/refused",
        "Lists imports that were refused, newest first",
        &["limit"],
        Body::None,
        "200",
    ),
    call(
        "get",
        "/v3/source/{source}/rows",
        "Lists the rows of a collection that the source has",
        &["collection", "after", "limit"],
        Body::None,
        "200",
    ),
    call(
        "get",
        "/v3/source/{source}/runs",
        "Lists the reports of the source's runs, newest first",
        &["limit"],
        Body::None,
        "200",
    ),
    call(
        "post",
        "/v3/source/{source}/runs",
        "Keeps the report of a run",
        &[],
        Body::Run,
        "200",
    ),
    call(
        "post",
        "/v3/query",
        "Answers GraphQL",
        &[],
        Body::Query,
        "200",
    ),
    call(
        "get",
        "/v3/DataRetentionPolicy",
        "Shows how long history is kept",
        &[],
        Body::None,
        "200",
    ),
    call(
        "post",
        "/v3/DataRetentionPolicy",
        "Sets how long history is kept",
        &[],
        Body::Policy,
        "200",
    ),
    call(
        "get",
        "/v3/clearDbToken",
        "Gives the token for the next call",
        &[],
        Body::None,
        "200",
    ),
    call(
        "post",
        "/v3/clearDb",
        "Wipes the tenant",
        &["token"],
        Body::None,
        "200",
    ),
    call(
        "get",
        "/v3/openapi.json",
        "Shows this document",
        &[],
        Body::None,
        "200",
    ),
];

/// Answers the document, with the envelope of the model in force.
pub(crate) async fn document(State(state): App) -> Json<Value> {
    let snapshot = state.snapshot();
    let mut paths = Map::new();
    for call in CALLS {
        let item = paths
            .entry(call.path.to_owned())
            .or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(item) = item {
            item.insert(call.method.to_owned(), operation(call));
        }
    }
    Json(json!({
        "openapi": "3.1.0",
        "info": {
            "title": "CAR service",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Keeps the graph of connected assets and risks.",
        },
        "servers": [{ "url": "/api/car" }],
        "security": [{ "basic": [] }, { "token": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": {
                "basic": { "type": "http", "scheme": "basic" },
                "token": { "type": "apiKey", "in": "header", "name": "Authorization", "description": "car-token TOKEN" },
            },
            "schemas": bodies::schemas(&snapshot.model),
        },
    }))
}

fn operation(call: &Call) -> Value {
    let mut parameters: Vec<Value> = call
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect();
    parameters.extend(
        call.query
            .iter()
            .map(|name| json!({ "name": name, "in": "query", "schema": { "type": "string" } })),
    );
    let answer = |description: &str, schema: Value| {
        json!({
            "description": description,
            "content": { "application/json": { "schema": schema } },
        })
    };
    let good = if call.status == "204" {
        json!({ "description": "Done." })
    } else {
        answer("Done.", json!({}))
    };
    let mut operation = json!({
        "summary": call.summary,
        "parameters": parameters,
        "responses": {
            call.status: good,
            "default": answer("It was not done; the code says why.", json!({ "$ref": "#/components/schemas/Error" })),
        },
    });
    if call.status == "201" {
        operation["responses"]["200"] =
            answer("It was there already, or replaced an older one.", json!({}));
    }
    let schema = match call.body {
        Body::None => return operation,
        Body::Object => json!({ "type": "object" }),
        Body::Envelope => json!({ "$ref": "#/components/schemas/Envelope" }),
        Body::Extension => json!({ "$ref": "#/components/schemas/Extension" }),
        Body::Query => json!({ "$ref": "#/components/schemas/Query" }),
        Body::Policy => json!({ "$ref": "#/components/schemas/Policy" }),
        Body::SessionPatch => json!({ "$ref": "#/components/schemas/SessionPatch" }),
        Body::Unchanged => json!({ "$ref": "#/components/schemas/Unchanged" }),
        Body::Run => json!({ "$ref": "#/components/schemas/Run" }),
    };
    operation["requestBody"] = json!({
        "required": call.body != Body::Object || call.path != "/v2/databases",
        "content": { "application/json": { "schema": schema } },
    });
    operation
}
