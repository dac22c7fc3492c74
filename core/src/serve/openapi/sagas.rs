//! The calls about sagas, which only some connectors have.

use serde_json::{Value, json};

use super::{Call, list_of, maybe, number, text};
use crate::saga::Status;

pub(super) const CALLS: [Call; 4] = [
    (
        "get",
        "/sagas",
        "List sagas, the latest first; parameters `limit`, `status`",
        None,
        "200",
        Some("Sagas"),
    ),
    (
        "get",
        "/sagas/{id}",
        "Show a saga with its steps and its latest records",
        None,
        "200",
        Some("SagaReport"),
    ),
    (
        "post",
        "/sagas/{id}/resume",
        "Go on with a saga now, also with one that waits or is stuck",
        None,
        "200",
        Some("SagaReport"),
    ),
    (
        "post",
        "/sagas/{id}/abandon",
        "End a saga as it is; nothing is done or undone. Parameter `reason` is recorded",
        None,
        "200",
        Some("SagaReport"),
    ),
];

/// Returns the parameters of a call.
pub(super) fn query(path: &str) -> Vec<Value> {
    let parameter =
        |name: &str, schema: Value| json!({ "name": name, "in": "query", "schema": schema });
    match path {
        "/sagas" => vec![
            parameter(
                "limit",
                json!({ "type": "integer", "minimum": 0, "maximum": u32::MAX }),
            ),
            parameter("status", json!({ "enum": words() })),
        ],
        "/sagas/{id}/abandon" => vec![parameter("reason", text())],
        _ => Vec::new(),
    }
}

fn words() -> [&'static str; Status::ALL.len()] {
    Status::ALL.map(Status::as_str)
}

/// Returns what is answered, by name.
pub(super) fn schemas() -> Value {
    json!({
        "Sagas": { "type": "object", "required": ["sagas"], "properties": { "sagas": list_of("Saga") } },
        "Saga": { "type": "object", "required": ["id", "saga", "status"], "properties": {
            "id": text(), "saga": text(), "status": { "enum": words() }, "step": maybe("string"),
            "createdAt": number(), "updatedAt": number() } },
        "SagaReport": { "type": "object", "required": ["id", "saga", "status", "steps", "records"], "properties": {
            "id": text(), "saga": text(), "status": { "enum": words() },
            "response": { "type": ["object", "null"], "properties": {
                "result": { "enum": ["done", "skip", "fail", "reschedule", "retry"] },
                "message": text(), "seconds": number(), "asked": number(), "slow": { "type": "boolean" } } },
            "error": maybe("string"), "createdAt": number(), "updatedAt": number(),
            "steps": list_of("SagaStep"), "records": list_of("SagaRecord"), "earlierRecords": number() } },
        "SagaStep": { "type": "object", "required": ["name", "status"], "properties": {
            "name": text(), "status": { "enum": ["pending", "started", "passed", "done", "waiting",
                "failed", "unknown", "undoing", "undone", "stuck"] },
            "attempts": number(), "undoAttempts": number(), "error": maybe("string"),
            "updatedAt": maybe("integer") } },
        "SagaRecord": { "type": "object", "required": ["at", "record"], "properties": {
            "at": number(), "record": text(), "step": maybe("string"), "note": maybe("string") } },
    })
}
