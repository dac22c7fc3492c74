//! What each connector tells the existing platform of its settings keeps that platform's rules.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use xtask::place::workspace_root;

/// What a field may say.
const OF_FIELDS: [&str; 5] = ["max", "min", "optional", "regex", "type"];

fn connectors() -> Vec<PathBuf> {
    let folder = workspace_root().join("connectors");
    let all = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = all.filter(|path| path.is_dir()).collect();
    all.sort();
    all
}

fn file(connector: &Path, name: &str) -> Value {
    let path = connector.join("configurations").join(name);
    let text =
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap()
}

/// Says what is wrong with the two files of a connector.
fn wrong(config: &Value, texts: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut must = |right: bool, what: String| {
        if !right {
            wrong.push(what);
        }
    };
    let kind = &config["connection"]["type"];
    must(
        kind["type"] == "connectorType",
        "connection.type is no connectorType".to_owned(),
    );
    for name in ["displayName", "group"] {
        let text = kind[name].as_str().unwrap_or_default();
        must(!text.is_empty(), format!("connection.type has no {name}"));
    }
    let schedule = &config["connection"]["schedule"];
    must(
        schedule["type"] == "cron",
        "connection.schedule is no cron".to_owned(),
    );
    let options = schedule["options"].as_array().cloned().unwrap_or_default();
    must(
        !options.is_empty(),
        "there is no schedule to choose".to_owned(),
    );
    for option in options.iter().chain([&schedule["default"]]) {
        let fields = option.as_str().unwrap_or_default().split(' ').count();
        must(fields == 5, format!("{option} is no cron expression"));
    }
    for group in object(&config["configuration"]).keys() {
        must(
            ["auth", "parameter"].contains(&group.as_str()),
            format!("{group} is no group"),
        );
    }
    for (group, members) in object(&config["configuration"]) {
        must(
            members["type"] == "fields",
            format!("{group} has no fields"),
        );
        for (name, field) in object(members).iter().filter(|(name, _)| *name != "type") {
            let kind = field["type"].as_str().unwrap_or_default();
            must(
                ["number", "password", "text"].contains(&kind),
                format!("{name} is a {kind}"),
            );
            for key in object(field).keys() {
                must(
                    OF_FIELDS.contains(&key.as_str()),
                    format!("{name} has {key}"),
                );
            }
            let has = |key: &str| field.get(key).is_some();
            must(
                kind == "number" || !has("min") && !has("max"),
                format!("{name} has a limit and is no number"),
            );
            must(
                kind != "number" || !has("regex"),
                format!("{name} has a pattern and is a number"),
            );
            let limit = |key: &str, usual| field[key].as_f64().unwrap_or(usual);
            must(
                limit("min", f64::MIN) <= limit("max", f64::MAX),
                format!("{name} has no possible value"),
            );
            let told = &texts["configuration"][group][name];
            for text in ["label", "description"] {
                let text = told[text].as_str().unwrap_or_default();
                must(!text.is_empty(), format!("{name} has no words"));
            }
        }
    }
    wrong
}

#[test]
fn all_connectors_describe_their_settings_as_the_platform_reads_them() {
    let connectors = connectors();
    assert!(connectors.len() > 3, "{connectors:?}");
    for connector in connectors {
        let found = wrong(
            &file(&connector, "config.json"),
            &file(&connector, "lang_en.json"),
        );
        assert_eq!(found, [""; 0], "{}", connector.display());
    }
}

#[test]
fn what_the_platform_would_not_read_is_named() {
    let config = serde_json::json!({
        "connection": {
            "type": {"type": "connectorType", "displayName": "A"},
            "schedule": {"type": "cron", "default": "@daily", "options": ["* * * *"]}
        },
        "configuration": {"auth": {
            "type": "fields",
            "a": {"type": "secret", "hint": "x"},
            "b": {"type": "number", "min": 2, "max": 1}
        }}
    });
    let texts = serde_json::json!({"configuration": {"auth": {
        "a": {"label": "A", "description": "An a."},
        "b": {"label": "B"}
    }}});
    assert_eq!(
        wrong(&config, &texts),
        [
            "connection.type has no group",
            "\"* * * *\" is no cron expression",
            "\"@daily\" is no cron expression",
            "a is a secret",
            "a has hint",
            "b has no possible value",
            "b has no words",
        ]
    );
}
