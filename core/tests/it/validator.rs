//! The quick check of rows judges exactly as the `jsonschema` crate does.

use std::collections::HashMap;
use std::sync::LazyLock;

use car_core::handler::Validator;
use car_schema::{ExtensionSchema, Model, import_schema};
use jsonschema::Validator as Reference;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// The core model with an extension that has every type and every limit.
fn schema() -> Value {
    let limited = |ty: &str, validation: Value| json!({ "type": ty, "validation": validation });
    let extension: ExtensionSchema = serde_json::from_value(json!({
        "vertices": [
            { "name": "everything", "properties": {
                "text": { "type": "text", "required": true },
                "code": limited("text", json!({ "regex": { "pattern": "^[A-Z]{2}[0-9]+$", "error_message": "a code" } })),
                "share": limited("numeric", json!({ "range": { "minimum": 0, "maximum": 1, "error_message": "a share" } })),
                "above": limited("float", json!({ "range": { "minimum": -0.5 } })),
                "below": limited("integer", json!({ "range": { "maximum": 7 } })),
                "big": { "type": "bigint" }, "serial": { "type": "bigserial" },
                "flag": { "type": "boolean", "required": true }, "any": { "type": "jsonb" },
                "at": { "type": "timestamp" }, "inet": { "type": "inet" }, "mac": { "type": "macaddr" },
            } },
            { "name": "choice", "properties": { "a": { "type": "text" }, "b": { "type": "text" }, "c": { "type": "integer" } },
              "validation": { "oneOf": [["a"], ["b", "c"], ["c"]] } },
            { "name": "asset", "properties": { "initial_value": { "type": "numeric" } } },
        ],
        "edges": [{ "end1": "everything", "end2": "ipaddress", "properties": { "weight": { "type": "float", "required": true } } }],
    }))
    .unwrap();
    let mut model = Model::core();
    model.extend(&extension).unwrap();
    import_schema(&model)
}

/// Values at and around every limit, of every type.
static VALUES: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let mut values = vec![
        json!(null),
        json!(true),
        json!(false),
        json!(0),
        json!(-0.0),
        json!(1),
        json!(7),
        json!(8),
        json!(10),
        json!(11),
        json!(-1),
        json!(-0.5),
        json!(-0.6),
        json!(0.5),
        json!(1.5),
        json!(10.000001),
        json!(80.0),
        json!(1e20),
        json!(1e300),
        json!(-1e300),
        json!(5e-324),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        json!([]),
        json!(["a"]),
        json!(["a", "é"]),
        json!(["a", 1]),
        json!([null]),
        json!([["a"]]),
        json!({}),
        json!({ "a": 1 }),
        json!({ "a": { "b": [1, { "c": null }] } }),
    ];
    let texts = [
        "",
        " ",
        "x",
        "10.0.0.1",
        "fe80::1",
        "10.0.0.1 ",
        "not an address",
        "01:23:45:67:89:ab",
        "01:23:45:67:89:ab:cd:ef",
        "01:23:45:67:89:ab:cd:ef:01",
        "01:23:45:67:89:abcd",
        "01-23-45-67-89-ab",
        "01:23:45:67-89:ab",
        "0123:4567:89ab:cdef",
        "x 0123:4567:89ab:cdef",
        "0123:4567:89ab:cdef x",
        "a.example",
        "a&b",
        "a#b",
        "a|b",
        "a?b",
        "a<b",
        "a[b",
        "a]b",
        "é漢🦀",
        "line\nbreak",
        "\u{0}",
        "quote\"back\\slash",
        "AB1",
        "xAB1",
        "AB1\n",
        "AB",
    ];
    values.extend(texts.map(Value::from));
    values.extend([1, 253, 254, 255, 256].map(|length| Value::from("a".repeat(length))));
    // As many characters as are allowed, and twice as many bytes.
    values.extend([254, 255].map(|length| Value::from("é".repeat(length))));
    values
});

/// A collection with what the reference says about it.
struct Case {
    name: String,
    reference: Reference,
    fields: Vec<String>,
    /// A row with as many fields as a valid row can have.
    valid: Map<String, Value>,
}

static QUICK: LazyLock<Validator> = LazyLock::new(|| Validator::compile(&schema()).unwrap());

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let schema = schema();
    let collections = schema["properties"].as_object().unwrap();
    // Compiling a schema is slow, and most fields are alike.
    let mut fitting: HashMap<String, &Value> = HashMap::new();
    collections
        .iter()
        .filter_map(|(name, collection)| Some((name, collection.get("items")?)))
        .map(|(name, items)| {
            let fields = items["properties"].as_object().unwrap();
            let reference = jsonschema::validator_for(items).unwrap();
            let mut valid = Map::new();
            for (field, schema) in fields {
                let mut schema = schema.clone();
                schema.as_object_mut().unwrap().remove("description");
                let value = fitting.entry(schema.to_string()).or_insert_with(|| {
                    let schema = jsonschema::validator_for(&schema).unwrap();
                    VALUES.iter().find(|value| schema.is_valid(value)).unwrap()
                });
                valid.insert(field.clone(), value.clone());
            }
            for alternative in [[].as_slice(), &["region"], &["b", "c"]] {
                let mut row = valid.clone();
                for field in alternative {
                    row.remove(*field);
                }
                if reference.is_valid(&row.clone().into()) {
                    valid = row;
                    break;
                }
            }
            let row = Value::from(valid.clone());
            assert!(reference.is_valid(&row), "{name}: {row}");
            Case {
                name: name.clone(),
                reference,
                fields: fields
                    .keys()
                    .cloned()
                    .chain(["custom".to_owned()])
                    .collect(),
                valid,
            }
        })
        .collect()
});

fn quick(collection: &str, row: &Value) -> Result<(), String> {
    QUICK
        .check(collection, &serde_json::to_vec(row).unwrap())
        .map_err(|error| error.to_string())
}

#[test]
fn a_valid_row_of_every_collection_is_valid_to_both() {
    assert!(CASES.len() > 44);
    for case in CASES.iter() {
        let row = Value::from(case.valid.clone());
        assert_eq!(quick(&case.name, &row), Ok(()), "{}: {row}", case.name);
    }
}

#[test]
fn every_value_in_every_field_is_judged_alike() {
    let (mut valid, mut invalid) = (0, 0);
    for case in CASES.iter() {
        for field in &case.fields {
            for value in VALUES.iter() {
                let mut row = case.valid.clone();
                row.insert(field.clone(), value.clone());
                let row = Value::from(row);
                let expected = case.reference.is_valid(&row);
                let found = quick(&case.name, &row);
                assert_eq!(found.is_ok(), expected, "{} {row}: {found:?}", case.name);
                if let Err(reason) = &found {
                    assert!(reason.contains(&format!("`{field}`")), "{field}: {reason}");
                }
                *(if expected { &mut valid } else { &mut invalid }) += 1;
            }
            let mut row = case.valid.clone();
            row.remove(field);
            let row = Value::from(row);
            assert_eq!(
                quick(&case.name, &row).is_ok(),
                case.reference.is_valid(&row),
                "{} without {field}",
                case.name
            );
        }
    }
    assert!(
        valid > 5000 && invalid > 5000,
        "{valid} valid, {invalid} invalid"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn changed_rows_are_judged_alike(
        case in 0..CASES.len(),
        changes in proptest::collection::vec((any::<proptest::sample::Index>(), any::<proptest::sample::Index>()), 0..4),
        removed in proptest::collection::vec(any::<proptest::sample::Index>(), 0..4),
    ) {
        let case = &CASES[case];
        let mut row = case.valid.clone();
        for field in removed {
            row.remove(field.get(&case.fields));
        }
        for (field, value) in changes {
            row.insert(field.get(&case.fields).clone(), value.get(&VALUES).clone());
        }
        let row = Value::from(row);
        let found = quick(&case.name, &row);
        prop_assert_eq!(found.is_ok(), case.reference.is_valid(&row), "{} {}: {:?}", case.name, row, found);
    }

    #[test]
    fn texts_and_numbers_of_all_kinds_are_judged_alike(text in any::<String>(), number in any::<f64>()) {
        for (collection, field, value) in [
            ("ipaddress", "name", json!(text)),
            ("macaddress", "name", json!(text)),
            ("hostname", "external_id", json!(text)),
            ("everything", "code", json!(text)),
            ("asset", "risk", json!(number)),
            ("port", "port_number", json!(number)),
            ("everything", "below", json!(number)),
        ] {
            let case = CASES.iter().find(|case| case.name == collection).unwrap();
            let mut row = case.valid.clone();
            row.insert(field.to_owned(), value);
            let row = Value::from(row);
            let found = quick(collection, &row);
            prop_assert_eq!(found.is_ok(), case.reference.is_valid(&row), "{} {}: {:?}", collection, row, found);
        }
    }

    #[test]
    fn any_bytes_are_judged_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
        for collection in ["asset", "geolocation"] {
            let verdict = QUICK.check(collection, &bytes);
            let readable = serde_json::from_slice::<Map<String, Value>>(&bytes).is_ok();
            prop_assert!(readable || verdict.is_err());
        }
    }
}

/// Schemas of a field that ask for more than the quick check knows, or look as if they did.
fn unusual_fields() -> Vec<Value> {
    vec![
        json!(true),
        json!(false),
        json!({}),
        json!({ "enum": ["x", 1, null] }),
        json!({ "const": "x" }),
        json!({ "type": ["string", "null"] }),
        json!({ "type": "null" }),
        json!({ "type": "string", "enum": ["x", ""] }),
        json!({ "anyOf": [{ "type": "string", "maxLength": 1 }, { "type": "number", "minimum": 8 }] }),
        json!({ "allOf": [{ "type": "string" }, { "minLength": 2 }] }),
        json!({ "oneOf": [{ "type": "integer" }, { "type": "number", "minimum": 1 }] }),
        json!({ "not": { "type": "string" } }),
        json!({ "if": { "type": "string" }, "then": { "minLength": 2 }, "else": { "type": "number" } }),
        json!({ "type": "number", "exclusiveMinimum": 7 }),
        json!({ "type": "number", "exclusiveMaximum": 7 }),
        json!({ "type": "number", "multipleOf": 0.5 }),
        json!({ "type": "integer", "minimum": 7, "maximum": 7 }),
        json!({ "minimum": 7 }),
        json!({ "maxLength": 1 }),
        json!({ "minLength": 2 }),
        json!({ "pattern": "^x" }),
        json!({ "type": "string", "pattern": "^\\d+\\.\\d+\\.\\d+\\.\\d+$" }),
        json!({ "type": "string", "pattern": "\\bb" }),
        json!({ "type": "string", "pattern": "^\\w+$" }),
        json!({ "type": "string", "pattern": "^\\S+$" }),
        json!({ "type": "string", "pattern": "(?=a)a" }),
        json!({ "type": "string", "pattern": "^.$" }),
        json!({ "type": "string", "pattern": "^$" }),
        json!({ "type": "string", "pattern": "\\u00e9" }),
        json!({ "type": "string", "pattern": "\\p{L}" }),
        json!({ "type": "string", "pattern": "a\\/b|a" }),
        json!({ "type": "string", "format": "ipv4" }),
        json!({ "type": "array" }),
        json!({ "type": "array", "items": {} }),
        json!({ "type": "array", "items": true }),
        json!({ "type": "array", "items": { "type": "string" } }),
        json!({ "type": "array", "items": { "type": "string", "minLength": 2 } }),
        json!({ "type": "array", "items": { "type": "string" }, "maxItems": 1 }),
        json!({ "type": "array", "items": { "type": "string" }, "uniqueItems": true }),
        json!({ "type": "array", "minItems": 1 }),
        json!({ "type": "array", "contains": { "type": "integer" } }),
        json!({ "items": { "type": "string" } }),
        json!({ "type": "object", "properties": {} }),
        json!({ "type": "object", "properties": { "a": { "type": "string" } } }),
        json!({ "type": "object", "required": ["a"] }),
        json!({ "type": "object", "required": [] }),
        json!({ "type": "object", "additionalProperties": false }),
        json!({ "type": "object", "additionalProperties": true }),
        json!({ "type": "object", "additionalProperties": { "type": "integer" } }),
        json!({ "type": "object", "minProperties": 1 }),
        json!({ "type": "object", "propertyNames": { "maxLength": 0 } }),
        json!({ "type": "object", "patternProperties": { "a": { "type": "string" } } }),
        json!({ "type": "string", "indexed": true, "unique": true, "graphql_name": "x", "description": "x" }),
    ]
}

#[test]
fn unusual_fields_are_judged_alike() {
    for field in unusual_fields() {
        let items = json!({ "type": "object", "properties": { "f": field } });
        let reference = jsonschema::validator_for(&items).unwrap();
        let document = json!({ "properties": { "c": { "type": "array", "items": items } } });
        let quick = Validator::compile(&document).unwrap();
        for value in VALUES.iter() {
            let row = json!({ "f": value });
            let found = quick.check("c", &serde_json::to_vec(&row).unwrap());
            assert_eq!(
                found.is_ok(),
                reference.is_valid(&row),
                "{field} {row}: {found:?}"
            );
        }
    }
}

#[test]
fn unusual_rows_are_judged_alike() {
    let rows = [
        json!({}),
        json!({ "a": "x" }),
        json!({ "b": 1 }),
        json!({ "a": "x", "b": 1 }),
        json!({ "a": 1 }),
        json!({ "c": "x" }),
        json!({ "a": "x", "c": null }),
        json!({ "a": null }),
    ];
    for items in [
        json!({ "properties": { "a": { "type": "string" } } }),
        json!({ "type": "object", "additionalProperties": false, "properties": { "a": {} } }),
        json!({ "type": "object", "additionalProperties": { "type": "string" } }),
        json!({ "type": "object", "minProperties": 1, "maxProperties": 1 }),
        json!({ "type": "object", "required": ["c"] }),
        json!({ "type": "object", "dependentRequired": { "a": ["b"] } }),
        json!({ "type": "object", "anyOf": [{ "required": ["a"] }, { "required": ["b"] }] }),
        json!({ "type": "object", "oneOf": [{ "required": ["a"] }, { "required": ["b"] }] }),
        json!({ "type": "object", "oneOf": [{ "required": ["a"] }, { "properties": { "b": { "type": "integer" } } }] }),
        json!({ "type": "object", "oneOf": [{ "required": [] }, { "required": ["b"] }] }),
        json!({ "type": "object", "patternProperties": { "^a$": { "type": "string" } } }),
        json!({ "type": "object", "propertyNames": { "enum": ["a"] } }),
        json!({ "type": "array" }),
        json!({ "$defs": { "t": { "type": "string" } }, "properties": { "a": { "$ref": "#/properties/c/items/$defs/t" } } }),
        json!(true),
        json!(false),
    ] {
        let document = json!({ "properties": { "c": { "type": "array", "items": items } } });
        // The whole document is the reference here: references start at its root.
        let reference = jsonschema::validator_for(&document).unwrap();
        let quick = Validator::compile(&document).unwrap();
        for row in &rows {
            let found = quick.check("c", &serde_json::to_vec(row).unwrap());
            let expected = reference.is_valid(&json!({ "c": [row] }));
            assert_eq!(found.is_ok(), expected, "{items} {row}: {found:?}");
        }
    }
}

#[test]
fn more_fields_than_the_quick_check_can_hold_are_checked_too() {
    let fields: Map<String, Value> = (0..200)
        .map(|n| (format!("f{n}"), json!({ "type": "integer" })))
        .collect();
    let document = json!({ "properties": { "c": { "items": { "type": "object", "properties": fields, "required": ["f199"] } } } });
    let validator = Validator::compile(&document).unwrap();
    assert!(validator.check("c", br#"{"f199":1}"#).is_ok());
    assert!(validator.check("c", br#"{"f199":"x"}"#).is_err());
    assert!(validator.check("c", br#"{"f0":1}"#).is_err());
}

#[test]
fn reasons_name_the_field_and_the_rule() {
    for (collection, row, reason) in [
        ("asset", json!({ "name": "x" }), "`external_id` is missing"),
        (
            "asset",
            json!({ "external_id": 7, "name": "x" }),
            "`external_id` must be a string, is a whole number",
        ),
        (
            "asset",
            json!({ "external_id": "1", "name": "x", "risk": true }),
            "`risk` must be a number, is true or false",
        ),
        (
            "asset",
            json!({ "external_id": "1", "name": "x", "risk": null }),
            "`risk` must be a number, is null",
        ),
        (
            "asset",
            json!({ "external_id": "1", "name": "x", "risk": -1 }),
            "`risk` is too small: risk must be between 0 and 10",
        ),
        (
            "asset",
            json!({ "external_id": "1", "name": "x", "tag": "x" }),
            "`tag` must be a list of strings, is a string",
        ),
        (
            "port",
            json!({ "external_id": "1", "protocol": "tcp", "port_number": 80.5 }),
            "`port_number` must be a whole number, is a number",
        ),
        (
            "ipaddress",
            json!({ "_key": "1", "name": "" }),
            "`name` is too short",
        ),
        (
            "everything",
            json!({ "external_id": "1", "text": "x", "flag": true, "code": "a" }),
            "`code` does not match `^[A-Z]{2}[0-9]+$`: a code",
        ),
        (
            "geolocation",
            json!({ "external_id": "1" }),
            "exactly one of `latitude` and `longitude` or `region` must be there, none is",
        ),
        (
            "planet",
            json!({}),
            "the service does not know the collection",
        ),
    ] {
        assert_eq!(quick(collection, &row), Err(reason.to_owned()), "{row}");
    }
}

#[test]
fn whole_numbers_may_have_a_fraction_of_zero() {
    for (number, valid) in [
        ("80", true),
        ("80.0", true),
        ("8e1", true),
        ("80.5", false),
        ("true", false),
        ("\"80\"", false),
    ] {
        let row = format!(r#"{{"external_id":"1","protocol":"tcp","port_number":{number}}}"#);
        assert_eq!(QUICK.check("port", row.as_bytes()).is_ok(), valid, "{row}");
    }
}

#[test]
fn text_that_is_no_row_is_refused() {
    for text in [
        "",
        "null",
        "[]",
        "7",
        "\"x\"",
        "{",
        r#"{"external_id":"1","name":"x""#,
        r#"{"external_id":"1","name":"x"} {}"#,
        r#"{"external_id":"1","name":"x","risk":NaN}"#,
        r#"{"external_id":"1","name":"x","name":"y"}"#,
    ] {
        assert!(QUICK.check("asset", text.as_bytes()).is_err(), "{text}");
    }
}
