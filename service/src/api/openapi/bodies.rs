//! What the bodies of calls look like.

use serde_json::{Value, json};

/// Returns the schemas that the document refers to, the envelope of a model among them.
pub(super) fn schemas(model: &car_schema::Model) -> Value {
    json!({
        "Error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {
                "code": { "type": "string" },
                "message": { "type": "string" },
                "details": { "type": "object" },
            },
        },
        "Envelope": envelope(car_schema::import_schema(model)),
        "Extension": super::super::schema::extension_document(),
        "Query": {
            "type": "object",
            "required": ["query"],
            "properties": {
                "query": { "type": "string" },
                "operationName": { "type": ["string", "null"] },
                "variables": { "type": ["object", "null"] },
            },
        },
        "SessionPatch": session_patch(),
        "Unchanged": unchanged(),
        "Run": {
            "type": "object",
            "required": ["report", "outcome", "exit_code", "started_at"],
            "properties": {
                "report": { "type": "string", "minLength": 1, "maxLength": 254 },
                "outcome": { "type": "string", "minLength": 1, "maxLength": 100 },
                "exit_code": { "type": "integer", "minimum": 0, "maximum": 255 },
                "started_at": { "type": "integer", "description": "milliseconds since 1970" },
            },
        },
        "Policy": {
            "type": "object",
            "required": ["policy_name", "policy_value"],
            "properties": {
                "policy_name": { "enum": ["Time", "DiskUsage"] },
                "policy_value": { "type": "integer", "minimum": 0 },
            },
        },
    })
}

fn texts() -> Value {
    json!({ "type": "array", "items": { "type": "string" } })
}

fn session_patch() -> Value {
    let pair = json!({
        "type": "array", "items": { "type": "string" }, "minItems": 2, "maxItems": 2,
    });
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "vertices": { "type": "object", "additionalProperties": texts() },
            "edges": {
                "type": "object",
                "additionalProperties": { "type": "array", "items": pair },
            },
            "complete_scopes": texts(),
        },
    })
}

fn unchanged() -> Value {
    json!({
        "type": "object",
        "required": ["source", "report", "rows"],
        "properties": {
            "source": { "type": "object", "required": ["_key"] },
            "report": { "type": "object", "required": ["timestamp"] },
            "rows": {
                "type": "object",
                "description": "by collection: [identity, hash] of a vertex, [from, to, hash] of an edge",
                "additionalProperties": {
                    "type": "array",
                    "items": {
                        "type": "array", "items": { "type": "string" }, "minItems": 2, "maxItems": 3,
                    },
                },
            },
        },
    })
}

/// The schema of imports describes what may be there; an import also needs its two headers.
fn envelope(mut schema: Value) -> Value {
    if let Value::Object(schema) = &mut schema {
        // It names the schema for its own clients, not a place to resolve references against.
        schema.remove("$id");
        schema.insert("required".into(), json!(["source", "report"]));
    }
    schema
}
