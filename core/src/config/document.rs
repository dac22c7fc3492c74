//! The settings as a JSON Schema, for forms, editors and platforms.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value, json};

use super::catalog::{Catalog, Kind, Setting};
use super::common::Common;
use crate::connector::{About, Settings};

/// Returns the JSON Schema of the YAML file of a connector.
///
/// Each property has, besides the usual words, `x-flag` and `x-env` (how else it can be given)
/// and `x-group`; secrets have `writeOnly`.
#[must_use]
pub fn schema<S: Settings>(about: &About, catalog: &Catalog) -> Value {
    let (own, mut definitions) = properties::<S>();
    let (common, common_definitions) = properties::<Common>();
    definitions.extend(common_definitions);
    let mut properties = Map::new();
    let mut required = Vec::new();
    for setting in catalog.settings() {
        if !setting.in_files || setting.hidden {
            continue;
        }
        let known = if setting.own {
            own.get(&setting.id)
        } else {
            common.get(&setting.id)
        };
        let mut property = known
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default();
        describe(&mut property, setting);
        properties.insert(setting.flag.clone(), Value::Object(property));
        if setting.required {
            required.push(setting.flag.clone());
        }
    }
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": format!("Settings of {}", about.name),
        "description": about.description,
        "type": "object",
        "additionalProperties": false,
        "required": required,
        "properties": properties,
    });
    if let (Some(schema), false) = (schema.as_object_mut(), definitions.is_empty()) {
        schema.insert("$defs".to_owned(), Value::Object(definitions));
    }
    schema
}

fn properties<S: JsonSchema>() -> (Map<String, Value>, Map<String, Value>) {
    let settings =
        SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema: Schema = settings.into_generator().into_root_schema_for::<S>();
    let mut take = |name: &str| match schema.remove(name) {
        Some(Value::Object(map)) => map,
        _ => Map::new(),
    };
    (take("properties"), take("$defs"))
}

fn describe(property: &mut Map<String, Value>, setting: &Setting) {
    if property.is_empty() {
        // The struct calls it otherwise for schemas; what is known of it is its kind.
        let kind = if setting.kind == Kind::Switch {
            "boolean"
        } else {
            "string"
        };
        property.insert("type".to_owned(), kind.into());
    }
    // A setting that is absent is not null: the file just does not have it.
    if let Some(Value::Array(types)) = property.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            property.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(choices)) = property.get_mut("anyOf") {
        choices.retain(|choice| choice["type"] != "null");
        if let [Value::Object(only)] = choices.as_slice() {
            let only = only.clone();
            property.remove("anyOf");
            property.extend(only);
        }
    }
    property
        .entry("title")
        .or_insert_with(|| title(&setting.flag).into());
    property.insert("x-flag".to_owned(), format!("--{}", setting.flag).into());
    if let Some(env) = &setting.env {
        property.insert("x-env".to_owned(), env.as_str().into());
    }
    property.insert("x-group".to_owned(), setting.heading.as_str().into());
    if setting.kind == Kind::Secret {
        property.insert("writeOnly".to_owned(), true.into());
    }
    let default = match (setting.kind, &setting.default) {
        (Kind::Switch, _) => Some(false.into()),
        (_, None) => None,
        (Kind::Other, Some(text)) => Some(match property.get("type").and_then(Value::as_str) {
            Some("integer" | "number" | "boolean") => {
                serde_json::from_str(text).unwrap_or_else(|_| text.as_str().into())
            }
            _ => text.as_str().into(),
        }),
        (Kind::Text | Kind::Secret, Some(text)) => Some(text.as_str().into()),
    };
    if let Some(default) = default {
        property.insert("default".to_owned(), default);
    }
}

/// Makes a title of a flag: `car-service-url` becomes `CAR service URL`.
fn title(flag: &str) -> String {
    let words: Vec<String> = flag
        .split('-')
        .enumerate()
        .map(|(position, word)| match (word, position) {
            ("car" | "url" | "id" | "api" | "tls", _) => word.to_uppercase(),
            (_, 0) => {
                let mut letters = word.chars();
                let first = letters.next().map(char::to_uppercase).into_iter().flatten();
                first.chain(letters).collect()
            }
            _ => word.to_owned(),
        })
        .collect();
    words.join(" ")
}
