//! The settings as the platform's connection page wants them: one file that says which fields
//! there are, one that says what they are called.
//!
//! A field's place follows from its environment variable, which the platform makes of the page:
//! `CONFIGURATION_AUTH_URL` is `configuration.auth.url`, `CONFIGURATION_PARAMETER_…` is under
//! `configuration.parameter`, `CONNECTION_…` under `connection`.

use serde_json::{Map, Value, json};

use super::catalog::{Catalog, Kind, Setting};
use crate::connector::About;

/// Where a field stands: the prefix of its variable, and the path in both files.
const PLACES: [(&str, &[&str]); 3] = [
    ("CONFIGURATION_AUTH_", &["configuration", "auth"]),
    ("CONFIGURATION_PARAMETER_", &["configuration", "parameter"]),
    ("CONNECTION_", &["connection"]),
];

/// How often the platform imports, unless its user chooses otherwise.
const HOURLY: &str = "0 * * * *";

/// What the user may choose instead.
const SCHEDULES: [&str; 4] = ["0 */4 * * *", "0 */6 * * *", "0 */12 * * *", "0 0 * * *"];

/// Returns both files by name: `config.json` and `lang_en.json`.
///
/// `schema` is what [`schema`](super::schema) returns. Settings without a variable of one of the
/// three kinds are not on the page.
#[must_use]
pub fn page(about: &About, catalog: &Catalog, schema: &Value) -> Value {
    let mut config = json!({
        "connection": {
            "type": {
                "type": "connectorType",
                "displayName": about.title,
                "group": about.name.trim_end_matches("-connector"),
            },
            "schedule": { "type": "cron", "default": HOURLY, "options": SCHEDULES },
        },
    });
    let mut language = json!({});
    for setting in catalog.settings().iter().filter(|setting| setting.own) {
        let Some((path, name)) = place(setting) else {
            continue;
        };
        let property = &schema["properties"][&setting.flag];
        let at_place = folder(&mut config, path);
        if path.len() > 1 {
            at_place.entry("type").or_insert("fields".into());
        }
        at_place.insert(name.clone(), field(setting, property));
        folder(&mut language, path).insert(name, label(setting, property));
    }
    json!({ "config.json": config, "lang_en.json": language })
}

fn place(setting: &Setting) -> Option<(&'static [&'static str], String)> {
    let env = setting.env.as_deref()?;
    let (prefix, path) = PLACES.iter().find(|(prefix, _)| env.starts_with(prefix))?;
    Some((path, env.strip_prefix(prefix)?.to_lowercase()))
}

/// Returns the object at a path, made where it is missing.
fn folder<'v>(value: &'v mut Value, path: &[&str]) -> &'v mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match (value, path) {
        (Value::Object(map), []) => map,
        (Value::Object(map), [first, rest @ ..]) => {
            folder(map.entry(*first).or_insert_with(|| json!({})), rest)
        }
        (other, _) => folder(other, path),
    }
}

fn field(setting: &Setting, property: &Value) -> Value {
    let is_number = matches!(property["type"].as_str(), Some("integer" | "number"));
    let kind = match setting.kind {
        Kind::Secret => "password",
        _ if is_number => "number",
        _ => "text",
    };
    let mut field = json!({ "type": kind });
    if !setting.required {
        field["optional"] = true.into();
    }
    for (ours, theirs) in [("minimum", "min"), ("maximum", "max"), ("pattern", "regex")] {
        if let Some(limit) = property.get(ours) {
            field[theirs] = limit.clone();
        }
    }
    let words: Vec<&str> = match property["type"].as_str() {
        Some("boolean") => vec!["true", "false"],
        _ => words(property),
    };
    if !words.is_empty() {
        field["regex"] = format!("^({})$", words.join("|")).into();
    }
    field
}

/// Returns the words that a setting can be, if it is one of a list.
fn words(property: &Value) -> Vec<&str> {
    let list = |name: &str| property[name].as_array().into_iter().flatten();
    list("enum")
        .filter_map(Value::as_str)
        .chain(list("oneOf").filter_map(|choice| choice["const"].as_str()))
        .collect()
}

fn label(setting: &Setting, property: &Value) -> Value {
    let description = property["description"].as_str().unwrap_or_default();
    let mut label = json!({ "label": property["title"], "description": description });
    if let Some(default) = &setting.default {
        label["placeholder"] = default.as_str().into();
    }
    label
}
