//! The files for the platform's connection page against the settings of a connector.

use std::collections::BTreeMap;

use car_core::config::{Catalog, Kind};
use car_core::connector::Connector;
use clap::Command;
use serde_json::{Map, Value};

/// What a connection page has to know of a setting.
#[derive(Debug, PartialEq)]
struct Field {
    optional: bool,
    password: bool,
}

/// Asserts that `config.json` names exactly the settings of a connector that the platform can
/// set, and that `lang_en.json` has a label and a description for each. Takes the texts of both
/// files.
///
/// # Panics
///
/// When they differ.
#[track_caller]
pub fn assert_connection_page<C: Connector>(config: &str, texts: &str) {
    let config: Value = serde_json::from_str(config).unwrap();
    let texts: Value = serde_json::from_str(texts).unwrap();
    assert_eq!(config["connection"]["type"]["type"], "connectorType");
    assert_eq!(config["connection"]["schedule"]["type"], "cron");
    let catalog = Catalog::new::<C::Settings>(Command::new(C::about().name));
    let settings = catalog
        .settings()
        .iter()
        .filter(|setting| setting.own)
        .filter_map(|setting| {
            let field = Field {
                optional: !setting.required,
                password: setting.kind == Kind::Secret,
            };
            Some((setting.env.clone()?, field))
        });
    assert_eq!(described(&config), settings.collect());
    for (group, members) in groups(&config) {
        let of_texts = &texts["configuration"][group];
        let told: Vec<&String> = of_texts.as_object().unwrap().keys().collect();
        let named: Vec<&String> = fields(members).map(|(name, _)| name).collect();
        assert_eq!(told, named, "texts of {group}");
        for name in named {
            for text in ["label", "description"] {
                let text = of_texts[name][text].as_str();
                assert!(text.is_some_and(|text| !text.is_empty()), "{group}.{name}");
            }
        }
    }
}

fn groups(config: &Value) -> &Map<String, Value> {
    config["configuration"].as_object().unwrap()
}

fn fields(members: &Value) -> impl Iterator<Item = (&String, &Value)> {
    let members = members.as_object().unwrap().iter();
    members.filter(|(name, _)| *name != "type")
}

/// Reads the fields of `config.json`, by the environment variable that the platform makes of
/// where they stand.
fn described(config: &Value) -> BTreeMap<String, Field> {
    let mut described = BTreeMap::new();
    for (group, members) in groups(config) {
        assert_eq!(members["type"], "fields", "{group}");
        for (name, field) in fields(members) {
            let kind = field["type"].as_str().unwrap();
            assert!(
                ["text", "password", "number"].contains(&kind),
                "{name}: {kind}"
            );
            let variable = format!("CONFIGURATION_{group}_{name}").to_uppercase();
            let field = Field {
                optional: field["optional"].as_bool().unwrap_or_default(),
                password: kind == "password",
            };
            described.insert(variable, field);
        }
    }
    described
}
