//! The import schema says what the model says, and the model is the published one.

use std::fmt::Write as _;

use car_schema::{Model, import_schema};
use serde_json::{Map, Value, json};

/// Every collection and field with type and limits, in a form made for reading: a name alone is
/// a collection, an indented line one of its fields. What all edges have is left out.
const MODEL: &str = include_str!("model.txt");

/// What every edge takes besides its own fields.
const EDGE_FIELDS: [(&str, &str); 8] = [
    ("active", "boolean"),
    ("created", "number"),
    ("external_id", "string"),
    ("modified", "number"),
    ("properties", "object"),
    ("report", "string"),
    ("source", "string"),
    ("timestamp", "number"),
];

fn items(schema: &Value) -> &Value {
    schema.get("items").unwrap_or(schema)
}

fn properties(schema: &Value) -> &Map<String, Value> {
    items(schema)["properties"].as_object().unwrap()
}

/// Writes one field as `MODEL` does.
fn line(schema: &Value, name: &str) -> String {
    let field = &properties(schema)[name];
    let mut line = match field["type"].as_str() {
        Some("array") => {
            assert_eq!(field["items"], json!({ "type": "string" }), "{name}");
            "texts".to_owned()
        }
        Some(ty) => ty.to_owned(),
        None => "any".to_owned(),
    };
    if items(schema)["required"]
        .as_array()
        .unwrap()
        .contains(&name.into())
    {
        line += " required";
    }
    for limit in ["minLength", "maxLength", "minimum", "maximum"] {
        if let Some(value) = field[limit].as_f64() {
            write!(line, " {limit}={value}").unwrap();
        }
    }
    if field["indexed"] == true {
        line += " indexed";
    }
    if let Some(pattern) = field["pattern"].as_str() {
        write!(line, " pattern={pattern}").unwrap();
    }
    line
}

#[test]
fn every_collection_and_field_of_the_model_is_there_with_type_and_limits() {
    let schema = import_schema(&Model::core());
    let collections = schema["properties"].as_object().unwrap();
    let mut expected_collections = Vec::new();
    let mut collection = "";
    let mut fields = 0;
    for expected in MODEL.lines() {
        match expected.strip_prefix("  ") {
            None => {
                collection = expected;
                expected_collections.push(collection);
                assert!(collections.contains_key(collection), "{collection}");
            }
            Some(expected) => {
                let (name, rest) = expected.split_once(' ').unwrap();
                let schema = &collections[collection];
                assert!(
                    properties(schema).contains_key(name),
                    "{collection} has no {name}"
                );
                assert_eq!(line(schema, name), rest, "{collection}.{name}");
                fields += 1;
            }
        }
    }
    let names: Vec<&str> = collections.keys().map(String::as_str).collect();
    assert_eq!(names, expected_collections);
    assert!(fields > 250, "{fields} fields were compared");
}

#[test]
fn fields_beyond_the_model_are_the_two_of_ipregion() {
    let schema = import_schema(&Model::core());
    let mut more = Vec::new();
    for (collection, schema) in schema["properties"].as_object().unwrap() {
        let known: Vec<&str> = MODEL
            .lines()
            .skip_while(|line| line != collection)
            .skip(1)
            .map_while(|line| line.strip_prefix("  "))
            .filter_map(|line| line.split(' ').next())
            .collect();
        for name in properties(schema).keys() {
            let of_all_edges =
                collection.contains('_') && EDGE_FIELDS.iter().any(|(edge, _)| edge == name);
            if !known.contains(&name.as_str()) && !of_all_edges {
                more.push(format!("{collection}.{name}"));
            }
        }
    }
    assert_eq!(more, ["ipregion._key", "ipregion.properties"]);
}

#[test]
fn every_edge_takes_the_common_fields_and_requires_none() {
    let model = Model::core();
    let schema = import_schema(&model);
    let mut edges = 0;
    for edge in model.edges() {
        let schema = &schema["properties"][edge.name.as_ref()];
        for (name, ty) in EDGE_FIELDS {
            assert_eq!(properties(schema)[name]["type"], ty, "{}.{name}", edge.name);
        }
        assert_eq!(items(schema)["required"], json!([]), "{}", edge.name);
        edges += 1;
    }
    assert_eq!(edges, 29);
}

#[test]
fn a_geolocation_has_coordinates_or_a_region() {
    let schema = import_schema(&Model::core());
    let items = items(&schema["properties"]["geolocation"]);
    assert_eq!(
        items["oneOf"],
        json!([{ "required": ["longitude", "latitude"] }, { "required": ["region"] }])
    );
    let validator = jsonschema::validator_for(items).unwrap();
    for (row, valid) in [
        (json!({ "region": "Bavaria" }), true),
        (json!({ "longitude": 11.5, "latitude": 48.1 }), true),
        (json!({ "longitude": 11.5 }), false),
        (json!({}), false),
        (
            json!({ "longitude": 11.5, "latitude": 48.1, "region": "Bavaria" }),
            false,
        ),
    ] {
        assert_eq!(validator.is_valid(&row), valid, "{row}");
    }
}

#[test]
fn the_whole_document_is_a_schema_that_takes_an_envelope() {
    let schema = import_schema(&Model::core());
    let validator = jsonschema::validator_for(&schema).unwrap();
    let envelope = json!({
        "source": { "_key": "s-1" },
        "report": { "_key": "r-1", "timestamp": 1.0 },
        "asset": [{ "external_id": "1", "name": "one", "risk": 10 }],
        "asset_ipaddress": [{ "_from_external_id": "1", "_to": "ipaddress/10.0.0.1" }],
        "something_else": "is not looked at",
    });
    assert!(validator.is_valid(&envelope));
    for (pointer, value) in [
        ("/source/_key", json!("a b")),
        ("/report/timestamp", json!("now")),
        ("/asset/0/risk", json!(10.5)),
        ("/asset/0/name", Value::Null),
        ("/asset", json!({})),
    ] {
        let mut broken = envelope.clone();
        *broken.pointer_mut(pointer).unwrap() = value;
        assert!(!validator.is_valid(&broken), "{pointer}");
    }
}

#[test]
fn the_mac_pattern_wants_one_separator_throughout() {
    let schema = import_schema(&Model::core());
    let validator = jsonschema::validator_for(items(&schema["properties"]["macaddress"])).unwrap();
    for (name, valid) in [
        ("01:23:45:67:89:ab", true),
        ("01:23:45:67:89:AB:cd", true),
        ("0123:4567:89ab:cdef", true),
        ("01-23-45-67-89-ab", false),
        ("01:23:45", false),
        ("hello", false),
    ] {
        let row = json!({ "_key": name, "name": name });
        assert_eq!(validator.is_valid(&row), valid, "{name}");
    }
}
