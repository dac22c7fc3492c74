//! Typed and generic rows serialise as the protocol asks, and every typed row is valid.

use std::collections::BTreeMap;

use car_schema::edges::{
    AccountHostname, AssetIpaddress, AssetVulnerability, IpaddressMacaddress, IpaddressPort,
};
use car_schema::vertices::{
    Account, Application, Asset, Businessprocess, Container, Database, Geolocation, Hostname,
    Ipaddress, Ipregion, Macaddress, Port, User, Vulnerability,
};
use car_schema::{
    EndRef, GenericEdge, GenericVertex, Identity, Model, Object, Row, RowKey, import_schema,
};
use proptest::prelude::*;
use serde_json::{Value, json};

fn written(row: &impl Row) -> Value {
    serde_json::to_value(row).unwrap()
}

#[test]
fn a_vertex_has_its_external_id_and_no_empty_fields() {
    let mut asset = Asset::new("7", "server").with("site", "Munich");
    asset.risk = Some(4.5);
    asset.tag = Some(vec!["prod".to_owned()]);
    assert_eq!(
        written(&asset),
        json!({ "external_id": "7", "name": "server", "risk": 4.5, "tag": ["prod"], "site": "Munich" })
    );
    assert_eq!(asset.key(), RowKey::Vertex("7"));
    assert_eq!(asset.collection(), "asset");
}

#[test]
fn a_field_with_the_name_of_a_keyword_keeps_it_on_the_wire() {
    let mut database = Database::new("1", "orders");
    database.r#type = Some("relational".to_owned());
    assert_eq!(written(&database)["type"], "relational");
}

#[test]
fn natural_key_vertices_are_identified_by_their_key() {
    let address = Ipaddress::new("10.0.0.1");
    assert_eq!(written(&address), json!({ "_key": "10.0.0.1" }));
    assert_eq!(address.key(), RowKey::Vertex("10.0.0.1"));
    assert_eq!(
        written(&Macaddress::new("01:23:45:67:89:ab")),
        json!({ "_key": "01:23:45:67:89:ab" })
    );
    assert_eq!(
        written(&Hostname::new("a.example", "a.example")),
        json!({ "_key": "a.example", "host_name": "a.example" })
    );
    let natural: Vec<String> = Model::core()
        .vertices()
        .filter(|vertex| vertex.identity() == Some(Identity::Key))
        .map(|vertex| vertex.name.to_string())
        .collect();
    assert_eq!(natural, ["hostname", "ipaddress", "macaddress"]);
}

#[test]
fn edges_name_their_ends_in_the_form_of_each_end() {
    assert_eq!(
        written(&AssetVulnerability::new("7", "CVE-1")),
        json!({ "_from_external_id": "7", "_to_external_id": "CVE-1" })
    );
    assert_eq!(
        written(&AssetIpaddress::new("7", "10.0.0.1")),
        json!({ "_from_external_id": "7", "_to": "ipaddress/10.0.0.1" })
    );
    assert_eq!(
        written(&IpaddressMacaddress::new("10.0.0.1", "01:23:45:67:89:ab")),
        json!({ "_from": "ipaddress/10.0.0.1", "_to": "macaddress/01:23:45:67:89:ab" })
    );
    assert_eq!(
        written(&IpaddressPort::new("10.0.0.1", "80")),
        json!({ "_from": "ipaddress/10.0.0.1", "_to_external_id": "80" })
    );
    // The one edge that names a natural-key vertex by its external id.
    assert_eq!(
        written(&AccountHostname::new("a", "h")),
        json!({ "_from_external_id": "a", "_to_external_id": "h" })
    );
    assert_eq!(
        AssetIpaddress::new("7", "10.0.0.1").key(),
        RowKey::Edge {
            from: "7",
            to: "10.0.0.1"
        },
        "the key is the vertex's, without its collection"
    );
}

#[test]
fn an_edge_writes_its_own_fields_and_custom_ones() {
    let mut edge = AssetVulnerability::new("7", "CVE-1").with("note", "seen twice");
    edge.risk_score = Some(1.0);
    edge.active = Some(false);
    assert_eq!(
        written(&edge),
        json!({
            "_from_external_id": "7", "_to_external_id": "CVE-1",
            "risk_score": 1.0, "active": false, "note": "seen twice",
        })
    );
}

#[test]
fn generic_rows_are_written_like_typed_ones() {
    assert_eq!(
        written(&GenericVertex::new("asset", "7").with("name", "server")),
        written(&Asset::new("7", "server"))
    );
    assert_eq!(
        written(&GenericVertex::with_key("ipaddress", "10.0.0.1")),
        written(&Ipaddress::new("10.0.0.1"))
    );
    let key = EndRef::Key {
        collection: "ipaddress".to_owned(),
        key: "10.0.0.1".to_owned(),
    };
    let edge = GenericEdge::new("asset_ipaddress", EndRef::ExternalId("7".to_owned()), key);
    assert_eq!(
        written(&edge),
        written(&AssetIpaddress::new("7", "10.0.0.1"))
    );
    assert_eq!(edge.key(), AssetIpaddress::new("7", "10.0.0.1").key());
}

#[test]
fn a_generic_row_writes_its_identity_once() {
    let vertex = GenericVertex::new("site", "1").with("external_id", "2");
    assert_eq!(
        serde_json::to_string(&vertex).unwrap(),
        r#"{"external_id":"1"}"#
    );
    let end = || EndRef::ExternalId("1".to_owned());
    let edge = GenericEdge::new("site_asset", end(), end()).with("_to_external_id", "2");
    assert_eq!(
        serde_json::to_string(&edge).unwrap(),
        r#"{"_from_external_id":"1","_to_external_id":"1"}"#
    );
}

#[test]
fn every_core_collection_has_both_ends_in_the_model() {
    let model = Model::core();
    for edge in model.edges() {
        let (from, to) = edge.ends().unwrap();
        assert_eq!(edge.name, format!("{}_{}", from.collection, to.collection));
        for end in [from, to] {
            assert!(model.get(&end.collection).is_some(), "{}", edge.name);
        }
    }
    let of_ports: Vec<_> = model.edges_of("port").map(|edge| &*edge.name).collect();
    assert_eq!(
        of_ports,
        ["application_port", "ipaddress_port", "port_vulnerability"]
    );
}

/// Any text that can be an id, among them such as addresses and queries would trip over.
fn id() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z0-9]{1,8}", "[#&=,%/ \"\\\\éü漢🦀\u{1}-\u{1f}]{1,6}"]
}

fn number() -> impl Strategy<Value = Option<f64>> {
    proptest::option::of(-1e300..1e300_f64)
}

fn text() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(any::<String>())
}

fn object() -> impl Strategy<Value = Object> {
    proptest::collection::btree_map("[a-z]{1,5}_x", any::<Option<i64>>(), 0..3).prop_map(
        |map: BTreeMap<String, Option<i64>>| {
            map.into_iter()
                .map(|(name, value)| (name, value.into()))
                .collect()
        },
    )
}

fn check(row: &impl Row) -> Result<(), TestCaseError> {
    thread_local! {
        static SCHEMA: Value = import_schema(&Model::core());
    }
    SCHEMA.with(|schema| {
        let items = &schema["properties"][row.collection()]["items"];
        let validator = jsonschema::validator_for(items).unwrap();
        let row = serde_json::to_value(row).unwrap();
        let errors: Vec<String> = validator
            .iter_errors(&row)
            .map(|error| error.to_string())
            .collect();
        prop_assert!(errors.is_empty(), "{row}: {errors:?}");
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn typed_vertices_are_valid(
        id in id(), name in any::<String>(), number in number(), text in text(),
        custom in object(), flag in any::<Option<bool>>(), risk in proptest::option::of(0.0..=10.0),
    ) {
        let asset = Asset {
            business_value: number, risk, description: text.clone(),
            tag: text.clone().map(|tag| vec![tag]), custom: custom.clone(),
            ..Asset::new(&id, &name)
        };
        check(&asset)?;
        check(&Container { image: text.clone(), ..Container::new(&id, &name) })?;
        check(&Ipaddress { region_id: text.clone(), ..Ipaddress::new(&id) })?;
        check(&Ipregion { name: text.clone(), ..Ipregion::new(&id, &name) })?;
        check(&User { email: text.clone(), active: flag, high: number, ..User::new(&id) })?;
        check(&Account { compliance_status: flag, created: number, ..Account::new(&id, &name) })?;
        check(&Application { is_os: flag, status: text.clone(), ..Application::new(&id, &name) })?;
        check(&Hostname { custom, ..Hostname::new(&id, &name) })?;
        check(&Businessprocess { description: text.clone(), ..Businessprocess::new(&id, &name) })?;
        check(&Database { r#type: text.clone(), traffic_seen: flag, ..Database::new(&id, &name) })?;
        check(&Macaddress { interface: text.clone(), ..Macaddress::new(&id) })?;
        check(&Port { status: text.clone(), ..Port::new(&id, 80, &name) })?;
        check(&Vulnerability { base_score: number, external_reference: text, ..Vulnerability::new(&id, &name) })?;
        check(&Geolocation { region: Some(name), ..Geolocation::new(&id) })?;
    }

    #[test]
    fn typed_edges_are_valid(from in id(), to in id(), number in number(), custom in object(), port in object()) {
        check(&AssetVulnerability {
            risk_score: number, port: Some(port), created: number, active: Some(false), custom,
            ..AssetVulnerability::new(&from, &to)
        })?;
        check(&AssetIpaddress { modified: number, ..AssetIpaddress::new(&from, &to) })?;
        check(&IpaddressMacaddress::new(&from, &to))?;
        check(&AccountHostname::new(&from, &to))?;
    }

    #[test]
    fn the_key_of_a_row_is_the_identity_on_the_wire(from in id(), to in id()) {
        let vertex = Asset::new(&from, "x");
        prop_assert_eq!(vertex.key(), RowKey::Vertex(&from));
        prop_assert_eq!(&written(&vertex)["external_id"], &from);
        let edge = AssetIpaddress::new(&from, &to);
        prop_assert_eq!(edge.key(), RowKey::Edge { from: &from, to: &to });
        prop_assert_eq!(&written(&edge)["_from_external_id"], &from);
        prop_assert_eq!(&written(&edge)["_to"], &format!("ipaddress/{to}"));
    }
}
