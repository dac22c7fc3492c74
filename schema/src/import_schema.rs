//! The JSON schema of the envelope, made from a model.
//!
//! It has the shape that existing clients read: `properties.<collection>.items` for each
//! collection, `properties.source` and `properties.report` for the two headers.

use serde_json::{Map, Value, json};

use crate::{Collection, Field, FieldType, Model};

/// Characters that keys of sources and reports may have.
pub(crate) const KEY_PATTERN: &str = r"^[a-zA-Z0-9_:@=;!''%\-\.\(\)\+\,\$\*]+$";

/// Returns whether a text can be the key of a source: 1 to 254 of the characters that the schema
/// allows.
#[must_use]
pub fn is_key(key: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_:@=;!'%-.()+,$*".contains(c);
    (1..=254).contains(&key.len()) && key.chars().all(allowed)
}

/// Returns the JSON schema of an [`Envelope`](crate::Envelope) for a model.
#[must_use]
pub fn import_schema(model: &Model) -> Value {
    let mut properties = Map::new();
    properties.insert("report".into(), report());
    properties.insert("source".into(), source());
    for collection in model.vertices().chain(model.edges()) {
        properties.insert(collection.name.to_string(), rows(collection));
    }
    json!({
        "$id": "car.asset/schemas/schema.json",
        "type": "object",
        "additionalProperties": true,
        "properties": properties,
    })
}

fn rows(collection: &Collection) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for field in &collection.fields {
        properties.insert(field.name.to_string(), property(field));
        // A host name may come without `_key`: its `host_name` then is the key.
        if field.required && !(collection.name == "hostname" && field.name == "_key") {
            required.push(Value::from(field.name.as_ref()));
        }
    }
    let mut items = json!({ "type": "object", "properties": properties, "required": required });
    if !collection.one_of.is_empty() {
        items["oneOf"] = collection
            .one_of
            .iter()
            .map(|group| json!({ "required": group }))
            .collect();
        // The groups say what a row needs to be told apart, as in the published schema.
        if collection.name == "geolocation" {
            items["required"] = json!([]);
        }
    }
    json!({ "type": "array", "description": collection.description, "items": items })
}

fn property(field: &Field) -> Value {
    let mut schema = match field.ty {
        FieldType::Text => json!({ "type": "string" }),
        FieldType::Number => json!({ "type": "number" }),
        FieldType::Integer => json!({ "type": "integer" }),
        FieldType::Boolean => json!({ "type": "boolean" }),
        FieldType::Object => json!({ "type": "object" }),
        FieldType::Texts => json!({ "type": "array", "items": { "type": "string" } }),
        FieldType::Any => json!({}),
    };
    let limits = &field.limits;
    let mut set = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            schema[name] = value;
        }
    };
    set(
        "description",
        (!field.description.is_empty()).then(|| field.description.as_ref().into()),
    );
    set("indexed", field.indexed.then_some(Value::Bool(true)));
    set("pattern", limits.pattern.as_deref().map(Value::from));
    set("minLength", limits.min_length.map(Value::from));
    set("maxLength", limits.max_length.map(Value::from));
    set("minimum", limits.minimum.map(Value::from));
    set("maximum", limits.maximum.map(Value::from));
    set(
        "error_message",
        limits.error_message.as_deref().map(Value::from),
    );
    schema
}

fn report() -> Value {
    json!({
        "type": "object",
        "properties": {
            "_key": {
                "type": "string", "pattern": KEY_PATTERN, "minLength": 1, "maxLength": 254,
                "description": "Name of the report, one per run.",
            },
            "type": { "type": "string", "description": "Kind of report." },
            "parameters": { "type": "string", "description": "What the run was asked to do." },
            "value": { "type": "string", "description": "A value of the report." },
            "timestamp": { "type": "number", "description": "Start of the run, in milliseconds since 1970." },
            "description": { "type": "string", "description": "What the report is, in a sentence." },
        },
        "required": ["timestamp"],
    })
}

fn source() -> Value {
    let texts = json!({ "type": "array", "items": { "type": "string" } });
    json!({
        "type": "object",
        "properties": {
            "tag": texts,
            "untag": texts,
            "_key": { "type": "string", "pattern": KEY_PATTERN, "unique": true, "description": "Name of the source." },
            "name": { "type": "string", "description": "Name for people." },
            "description": { "type": "string", "description": "What the source is, in a sentence." },
            "product_link": { "type": "string", "description": "Address of the product behind the source." },
            "properties": { "type": "object", "description": "Custom properties." },
        },
        "required": ["_key"],
    })
}
