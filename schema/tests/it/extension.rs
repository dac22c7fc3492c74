//! What an extension may add, and what it may not.

use car_schema::{
    Extension, ExtensionError, ExtensionSchema, FieldType, Identity, Model, import_schema,
};
use serde_json::{Value, json};

fn schema(document: Value) -> ExtensionSchema {
    serde_json::from_value(document).unwrap()
}

/// Applies an extension to the core model.
fn extend(document: Value) -> Result<Model, ExtensionError> {
    let mut model = Model::core();
    model.extend(&schema(document)).map(|()| model)
}

fn vertex(name: &str, properties: Value) -> Value {
    json!({ "vertices": [{ "name": name, "properties": properties }] })
}

#[test]
fn new_collections_and_new_properties_are_added() {
    let model = extend(json!({
        "vertices": [
            { "name": "site", "properties": { "name": { "type": "text", "indexed": true, "required": true } } },
            { "name": "asset", "properties": { "initial_value": { "type": "numeric" } } },
        ],
        "edges": [
            { "end1": "site", "end2": "asset" },
            { "end1": "site", "end2": "ipaddress", "properties": { "since": { "type": "timestamp" } } },
        ],
    }))
    .unwrap();
    let site = model.get("site").unwrap();
    assert_eq!(site.identity(), Some(Identity::ExternalId));
    let name = site.field("name").unwrap();
    assert!(name.required && name.indexed);
    assert_eq!(
        model
            .get("asset")
            .unwrap()
            .field("initial_value")
            .unwrap()
            .ty,
        FieldType::Number
    );
    let (from, to) = model.get("site_ipaddress").unwrap().ends().unwrap();
    assert_eq!((from.by, to.by), (Identity::ExternalId, Identity::Key));
    assert!(model.get("site_asset").unwrap().is_edge());

    let schema = import_schema(&model);
    let items = &schema["properties"]["site"]["items"];
    assert_eq!(items["required"], json!(["external_id", "name"]));
    assert_eq!(
        schema["properties"]["site_ipaddress"]["items"]["properties"]["since"]["type"],
        "number"
    );
}

#[test]
fn every_type_is_known_and_means_a_field_type() {
    for (name, ty) in [
        ("text", FieldType::Text),
        ("numeric", FieldType::Number),
        ("boolean", FieldType::Boolean),
        ("integer", FieldType::Integer),
        ("bigint", FieldType::Integer),
        ("jsonb", FieldType::Any),
        ("timestamp", FieldType::Number),
        ("inet", FieldType::Text),
        ("macaddr", FieldType::Text),
        ("bigserial", FieldType::Integer),
        ("float", FieldType::Number),
    ] {
        let model = extend(vertex("site", json!({ "p": { "type": name } }))).unwrap();
        let field = model.get("site").unwrap().field("p").unwrap().ty;
        assert_eq!(field, ty, "{name}");
    }
}

#[test]
fn limits_reach_the_import_schema() {
    let model = extend(json!({ "vertices": [{
        "name": "site",
        "properties": {
            "code": { "type": "text", "validation": { "regex": { "pattern": "^[A-Z]{2}$", "error_message": "two letters" } } },
            "floors": { "type": "integer", "validation": { "range": { "minimum": 1, "maximum": 200, "error_message": "1 to 200" } } },
            "city": { "type": "text" },
        },
        "validation": { "oneOf": [["code"], ["city", "floors"]] },
    }] }))
    .unwrap();
    let schema = import_schema(&model);
    let items = &schema["properties"]["site"]["items"];
    assert_eq!(items["properties"]["code"]["pattern"], "^[A-Z]{2}$");
    assert_eq!(items["properties"]["code"]["error_message"], "two letters");
    assert_eq!(items["properties"]["floors"]["minimum"], 1.0);
    assert_eq!(items["properties"]["floors"]["maximum"], 200.0);
    let validator = jsonschema::validator_for(items).unwrap();
    for (row, valid) in [
        (json!({ "external_id": "1", "code": "DE" }), true),
        (
            json!({ "external_id": "1", "city": "Munich", "floors": 3 }),
            true,
        ),
        (json!({ "external_id": "1", "code": "D" }), false),
        (
            json!({ "external_id": "1", "city": "Munich", "floors": 0 }),
            false,
        ),
        (json!({ "external_id": "1", "city": "Munich" }), false),
        (json!({ "code": "DE" }), false),
    ] {
        assert_eq!(validator.is_valid(&row), valid, "{row}");
    }
}

#[test]
fn the_same_property_again_is_no_change_and_another_type_is_refused() {
    let mut model = Model::core();
    let site = schema(vertex("site", json!({ "name": { "type": "text" } })));
    model.extend(&site).unwrap();
    let once = model.clone();
    model.extend(&site).unwrap();
    assert_eq!(model, once, "an extension may be applied twice");

    let other = schema(vertex("site", json!({ "name": { "type": "integer" } })));
    assert_eq!(
        model.extend(&other),
        Err(ExtensionError::Redefined {
            collection: "site".to_owned(),
            property: "name".to_owned()
        })
    );
    assert_eq!(model, once, "a refused extension changes nothing");
}

#[test]
fn core_fields_cannot_change_their_meaning() {
    let error = extend(vertex("asset", json!({ "risk": { "type": "text" } }))).unwrap_err();
    assert!(matches!(error, ExtensionError::Redefined { .. }), "{error}");
}

#[test]
fn reserved_names_are_refused() {
    for name in [
        "id",
        "source",
        "report",
        "connecting_id",
        "reported_at",
        "properties",
        "tags",
        "instances",
        "timestamp",
        "active",
    ] {
        let error = extend(vertex("site", json!({ name: { "type": "integer" } }))).unwrap_err();
        assert!(
            matches!(error, ExtensionError::Reserved { .. }),
            "{name}: {error}"
        );
        let error = extend(vertex(name, json!({}))).unwrap_err();
        assert!(
            matches!(error, ExtensionError::Reserved { .. }),
            "{name}: {error}"
        );
    }
    for (collection, name) in [
        ("asset", "external_id"),
        ("ipaddress", "_key"),
        ("site", "_from"),
    ] {
        let error = extend(vertex(collection, json!({ name: { "type": "text" } }))).unwrap_err();
        assert!(
            matches!(
                error,
                ExtensionError::Reserved { .. } | ExtensionError::Name { .. }
            ),
            "{collection}.{name}: {error}"
        );
    }
}

#[test]
fn names_that_no_database_could_carry_are_refused() {
    let long = "x".repeat(57);
    for name in [
        "", "Site", "1site", "_site", "si-te", "si te", "séte", "a\"b", &long,
    ] {
        let error = extend(vertex(name, json!({}))).unwrap_err();
        assert!(
            matches!(error, ExtensionError::Name { .. }),
            "{name:?}: {error}"
        );
        let error = extend(vertex("site", json!({ name: { "type": "text" } }))).unwrap_err();
        assert!(
            matches!(error, ExtensionError::Name { .. }),
            "{name:?}: {error}"
        );
    }
    assert!(extend(vertex(&"x".repeat(56), json!({}))).is_ok());
}

#[test]
fn edges_need_two_vertex_collections() {
    let edge =
        |end1: &str, end2: &str| extend(json!({ "edges": [{ "end1": end1, "end2": end2 }] }));
    for (end1, end2, unknown) in [
        ("asset", "site", "site"),
        ("site", "asset", "site"),
        ("asset", "asset_vulnerability", "asset_vulnerability"),
    ] {
        let error = edge(end1, end2).unwrap_err();
        assert_eq!(
            error,
            ExtensionError::UnknownEnd {
                edge: format!("{end1}_{end2}"),
                end: unknown.to_owned()
            }
        );
        assert!(error.to_string().contains(unknown));
    }
    assert!(edge("asset", "asset").is_ok());
}

#[test]
fn a_name_is_a_vertex_or_an_edge_and_not_both() {
    let error = extend(vertex("asset_vulnerability", json!({}))).unwrap_err();
    assert!(matches!(error, ExtensionError::Reserved { .. }), "{error}");
    let error = extend(json!({
        "vertices": [{ "name": "site" }, { "name": "site_asset" }],
        "edges": [{ "end1": "site", "end2": "asset" }],
    }))
    .unwrap_err();
    assert!(matches!(error, ExtensionError::Reserved { .. }), "{error}");
}

#[test]
fn groups_name_properties_of_the_collection() {
    let error = extend(json!({ "vertices": [{
        "name": "site", "validation": { "oneOf": [["nowhere"]] },
    }] }))
    .unwrap_err();
    assert_eq!(
        error,
        ExtensionError::UnknownField {
            collection: "site".to_owned(),
            field: "nowhere".to_owned()
        }
    );
}

#[test]
fn unknown_words_in_an_extension_are_refused() {
    for document in [
        json!({ "vertexes": [] }),
        json!({ "vertices": [{ "name": "site", "propertys": {} }] }),
        json!({ "vertices": [{ "name": "site", "properties": { "p": { "type": "string" } } }] }),
        json!({ "vertices": [{ "properties": {} }] }),
        json!({ "edges": [{ "end1": "asset" }] }),
        json!({ "vertices": [{ "name": "site", "properties": { "p": { "type": "text", "validation": { "regexp": {} } } } }] }),
    ] {
        assert!(
            serde_json::from_value::<ExtensionSchema>(document.clone()).is_err(),
            "{document}"
        );
    }
}

#[test]
fn versions_are_whole_numbers_as_text() {
    let extension = |version: &str| Extension {
        key: "67d3f4f0-6e7d-4a5e-9d3a-0e2f6b1c2d3e".to_owned(),
        owner: "test".to_owned(),
        version: version.to_owned(),
        schema: ExtensionSchema::default(),
    };
    assert_eq!(extension("12").version_number(), Ok(12));
    for version in ["", "1.0", "-1", "one", "99999999999999999999"] {
        let error = extension(version).version_number().unwrap_err();
        assert!(error.to_string().contains(version), "{error}");
    }
}

#[test]
fn an_extension_travels_unchanged() {
    let document = json!({
        "key": "67d3f4f0-6e7d-4a5e-9d3a-0e2f6b1c2d3e", "owner": "test", "version": "3",
        "schema": {
            "vertices": [{ "name": "site", "properties": { "name": { "type": "text", "required": true, "description": "Name." } } }],
            "edges": [{ "end1": "site", "end2": "asset", "properties": {} }],
        },
    });
    let extension: Extension = serde_json::from_value(document.clone()).unwrap();
    assert_eq!(serde_json::to_value(extension).unwrap(), document);
}
