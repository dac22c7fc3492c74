//! The description of the HTTP interface for programs.

#[cfg(feature = "saga")]
mod sagas;

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::App;
use crate::tasks::Status;

/// Method, path, what it does, what is sent, status of success, what is answered.
type Call = (
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
    &'static str,
    Option<&'static str>,
);

const CALLS: [Call; 17] = [
    (
        "get",
        "/providers",
        "List the kinds of connectors that can be installed",
        None,
        "200",
        Some("Providers"),
    ),
    (
        "get",
        "/connectors",
        "List the connectors",
        None,
        "200",
        Some("Connectors"),
    ),
    (
        "get",
        "/connectors/{name}",
        "Show a connector",
        None,
        "200",
        Some("Connector"),
    ),
    (
        "post",
        "/connectors/{name}",
        "Install a connector with these settings; parameter `provider` names its kind",
        Some("Settings"),
        "201",
        Some("Connector"),
    ),
    (
        "delete",
        "/connectors/{name}",
        "Uninstall a connector with all of its tasks",
        None,
        "204",
        None,
    ),
    (
        "get",
        "/connectors/{name}/settings",
        "Show the settings, secrets hidden",
        None,
        "200",
        Some("Settings"),
    ),
    (
        "put",
        "/connectors/{name}/settings",
        "Replace the settings; secrets that are hidden stay",
        Some("Settings"),
        "200",
        Some("Connector"),
    ),
    (
        "post",
        "/connectors/{name}/reset",
        "Uninstall and install again with the same settings",
        None,
        "200",
        Some("Connector"),
    ),
    (
        "get",
        "/connectors/{name}/tasks",
        "List tasks, the latest first; parameters `limit`, `after`, `status`, `parent`, `roots`",
        None,
        "200",
        Some("Tasks"),
    ),
    (
        "get",
        "/connectors/{name}/tasks/{task}",
        "Show a task with its history",
        None,
        "200",
        Some("TaskHistory"),
    ),
    (
        "post",
        "/connectors/{name}/tasks/{task}/retry",
        "Run a task now",
        None,
        "200",
        Some("Task"),
    ),
    (
        "post",
        "/connectors/{name}/tasks/{task}/pause",
        "Keep a task from running",
        None,
        "200",
        Some("Task"),
    ),
    (
        "post",
        "/connectors/{name}/tasks/{task}/resume",
        "Let a paused task run again",
        None,
        "200",
        Some("Task"),
    ),
    (
        "post",
        "/connectors/{name}/tasks/{task}/stop",
        "Stop a task",
        None,
        "200",
        Some("Task"),
    ),
    (
        "get",
        "/metrics",
        "Numbers for monitoring",
        None,
        "200",
        None,
    ),
    (
        "get",
        "/health/live",
        "Whether the process answers",
        None,
        "200",
        None,
    ),
    (
        "get",
        "/health/ready",
        "Whether tasks can go on",
        None,
        "200",
        None,
    ),
];

pub(super) async fn answer(State(app): State<Arc<App>>) -> Json<Value> {
    let (name, version) = &app.program;
    Json(document(name, version, app.has_sagas()))
}

/// Makes the document.
fn document(name: &str, version: &str, with_sagas: bool) -> Value {
    let mut paths = Map::new();
    for (method, path, summary, sent, status, answered) in calls(with_sagas) {
        let entry = paths.entry(path).or_insert_with(|| json!({}));
        let mut call = json!({
            "summary": summary,
            "responses": { status: response(answered), "default": response(Some("Error")) },
        });
        let parameters: Vec<Value> = ["name", "task", "id"]
            .into_iter()
            .filter(|name| path.contains(&format!("{{{name}}}")))
            .map(parameter)
            .chain(query(method, path))
            .collect();
        call["parameters"] = parameters.into();
        if let Some(sent) = sent {
            call["requestBody"] = json!({ "required": true, "content": content(sent) });
        }
        if path.starts_with("/health") {
            call["security"] = json!([]);
        }
        entry[method] = call;
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": name, "version": version },
        "security": [{ "key": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
            "schemas": schemas(with_sagas),
        },
    })
}

/// Lists the calls that this process answers.
fn calls(with_sagas: bool) -> Vec<Call> {
    let mut calls = CALLS.to_vec();
    #[cfg(feature = "saga")]
    if with_sagas {
        calls.extend(sagas::CALLS);
    }
    #[cfg(not(feature = "saga"))]
    let _ = (with_sagas, &mut calls);
    calls
}

/// Describes a part of a path.
fn parameter(name: &str) -> Value {
    let (kind, example) = match name {
        "name" => (
            json!({ "type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$" }),
            "assets",
        ),
        "id" => (json!({ "type": "string" }), "PR-0001"),
        _ => (
            json!({ "type": "string" }),
            "0123456789abcdef0123456789abcdef",
        ),
    };
    json!({ "name": name, "in": "path", "required": true, "schema": kind, "example": example })
}

fn query(method: &str, path: &str) -> Vec<Value> {
    let names: &[(&str, &str)] = match (method, path) {
        ("post", "/connectors/{name}") => &[("provider", "string")],
        ("get", "/connectors/{name}/tasks") => &[
            ("limit", "integer"),
            ("after", "string"),
            ("status", "string"),
            ("parent", "string"),
            ("roots", "boolean"),
        ],
        _ => &[],
    };
    #[cfg(feature = "saga")]
    if names.is_empty() {
        return sagas::query(path);
    }
    names
        .iter()
        .map(|(name, kind)| {
            let schema = match *name {
                "limit" => json!({ "type": kind, "minimum": 0, "maximum": u32::MAX }),
                "status" => json!({ "enum": Status::ALL.map(Status::as_str) }),
                _ => json!({ "type": kind }),
            };
            json!({ "name": name, "in": "query", "schema": schema })
        })
        .collect()
}

fn content(name: &str) -> Value {
    json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{name}") } } })
}

fn response(name: Option<&str>) -> Value {
    match name {
        Some("Error") => {
            json!({ "description": "It was not possible", "content": content("Error") })
        }
        Some(name) => json!({ "description": "Done", "content": content(name) }),
        None => json!({ "description": "Done" }),
    }
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn number() -> Value {
    json!({ "type": "integer" })
}

fn maybe(kind: &str) -> Value {
    json!({ "type": [kind, "null"] })
}

fn list_of(name: &str) -> Value {
    json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{name}") } })
}

/// Describes what is sent and answered.
fn schemas(with_sagas: bool) -> Value {
    let mut all = schemas_of_tasks();
    #[cfg(feature = "saga")]
    if let (true, Some(all), Value::Object(more)) =
        (with_sagas, all.as_object_mut(), sagas::schemas())
    {
        all.extend(more);
    }
    #[cfg(not(feature = "saga"))]
    let _ = (with_sagas, &mut all);
    all
}

fn schemas_of_tasks() -> Value {
    json!({
        "Settings": { "type": "object", "description": "As the kind of connector describes them" },
        "Error": { "type": "object", "required": ["code", "message"], "properties": {
            "code": text(), "message": text(), "hints": { "type": "array", "items": text() } } },
        "Providers": { "type": "object", "properties": { "providers": { "type": "array", "items": {
            "type": "object", "properties": { "name": text(), "description": text(), "settings": { "type": "object" } } } } } },
        "Connectors": { "type": "object", "properties": { "connectors": list_of("Connector") } },
        "Connector": { "type": "object", "properties": {
            "name": text(), "provider": text(), "error": maybe("string"), "incarnation": number(),
            "phase": { "enum": ["installing", "ready", "updating", "removing", "failed"] },
            "fixed": { "type": "boolean" }, "createdAt": number(), "updatedAt": number() } },
        "Tasks": { "type": "object", "properties": { "tasks": list_of("Task"), "next": maybe("string") } },
        "Task": { "type": "object", "properties": {
            "id": text(), "connector": text(), "parent": maybe("string"), "name": text(),
            "descriptor": {}, "schedule": {}, "state": {},
            "status": { "enum": ["ACTIVE", "PAUSED", "STOPPED", "TERMINATED", "FAILED"] },
            "activity": { "enum": ["none", "running", "waiting", "due", "retrying", "children"] },
            "error": maybe("string"), "reason": maybe("string"), "runs": number(),
            "failedRuns": number(), "attempts": number(), "next": maybe("integer"),
            "createdAt": number(), "updatedAt": number() } },
        "TaskHistory": { "type": "object", "properties": {
            "task": { "$ref": "#/components/schemas/Task" }, "runs": list_of("Run"), "attempts": list_of("Attempt") } },
        "Run": { "type": "object", "properties": {
            "run": number(), "beganAt": number(), "endedAt": number(), "steps": number(),
            "outcome": { "enum": ["done", "failed", "stopped"] }, "failedAttempts": number(), "error": maybe("string") } },
        "Attempt": { "type": "object", "properties": {
            "run": number(), "step": number(), "attempt": number(), "beganAt": number(),
            "endedAt": number(), "error": text(), "wait": maybe("integer") } },
    })
}
