//! The files for the platform's connection page name exactly the connector's settings.

use std::collections::BTreeMap;

use car_core::config::{Catalog, Kind};
use clap::Command;
use file_connector::config::Settings;
use serde_json::Value;

/// What a connection page has to know of a setting.
#[derive(Debug, PartialEq)]
struct Field {
    optional: bool,
    password: bool,
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Reads the fields of `config.json`, by the environment variable that the platform makes of
/// where they stand.
fn described(config: &Value) -> BTreeMap<String, Field> {
    let mut fields = BTreeMap::new();
    for (group, members) in config["configuration"].as_object().unwrap() {
        assert_eq!(members["type"], "fields", "{group}");
        for (name, field) in members
            .as_object()
            .unwrap()
            .iter()
            .filter(|(name, _)| *name != "type")
        {
            let kind = field["type"].as_str().unwrap();
            assert!(
                ["text", "password", "number"].contains(&kind),
                "{name}: {kind}"
            );
            let variable = format!("CONFIGURATION_{group}_{name}").to_uppercase();
            let optional = field["optional"].as_bool().unwrap_or_default();
            fields.insert(
                variable,
                Field {
                    optional,
                    password: kind == "password",
                },
            );
        }
    }
    fields
}

#[test]
fn config_json_names_the_settings_of_the_connector() {
    let config = json(include_str!("../../configurations/config.json"));
    assert_eq!(config["connection"]["type"]["type"], "connectorType");
    assert_eq!(config["connection"]["schedule"]["type"], "cron");
    let catalog = Catalog::new::<Settings>(Command::new("file-connector"));
    let settings = catalog
        .settings()
        .iter()
        .filter(|setting| setting.own && setting.env.is_some())
        .map(|setting| {
            let field = Field {
                optional: !setting.required,
                password: setting.kind == Kind::Secret,
            };
            (setting.env.clone().unwrap(), field)
        });
    assert_eq!(described(&config), settings.collect());
}

#[test]
fn every_field_has_its_texts() {
    let config = json(include_str!("../../configurations/config.json"));
    let texts = json(include_str!("../../configurations/lang_en.json"));
    let of = |value: &Value, group: &str| -> Vec<String> {
        let names = value["configuration"][group].as_object().unwrap().keys();
        names.filter(|name| *name != "type").cloned().collect()
    };
    for group in ["parameter"] {
        assert_eq!(of(&config, group), of(&texts, group));
        for name in of(&texts, group) {
            for text in ["label", "description"] {
                let text = texts["configuration"][group][&name][text].as_str();
                assert!(text.is_some_and(|text| !text.is_empty()), "{group}.{name}");
            }
        }
    }
}
