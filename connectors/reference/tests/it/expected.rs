//! The graph that should come out, made from the server's JSON without the connector's code.

use std::collections::BTreeMap;

use car_testkit::{Graph, ReferenceSource};
use serde_json::{Value, json};

/// Objects by collection.
pub(crate) type Objects = BTreeMap<&'static str, Vec<Value>>;

pub(crate) const COLLECTIONS: [&str; 9] = [
    "xrefproperties",
    "sites",
    "assets",
    "vulnerabilities",
    "ports",
    "mac_addresses",
    "ip_addresses",
    "hosts",
    "apps",
];

/// Vertex collection, field with its identity, and fields that are taken as they are.
const VERTICES: [(&str, &str, &str, &[&str]); 8] = [
    ("sites", "site", "pk", &["name", "address", "description"]),
    (
        "assets",
        "asset",
        "pk",
        &[
            "name",
            "description",
            "asset_type",
            "initial_value",
            "business_value",
            "risk",
        ],
    ),
    (
        "vulnerabilities",
        "vulnerability",
        "external_id",
        &[
            "name",
            "description",
            "base_score",
            "disclosed_on",
            "published_on",
        ],
    ),
    (
        "ports",
        "port",
        "pk",
        &["port_number", "protocol", "status", "description"],
    ),
    ("mac_addresses", "macaddress", "address", &["interface"]),
    ("ip_addresses", "ipaddress", "address", &[]),
    ("hosts", "hostname", "host_name", &["host_name"]),
    (
        "apps",
        "application",
        "pk",
        &["name", "version", "description", "cpe", "owner", "is_os"],
    ),
];

/// Owner, its field, the edge collection, and whether the owner is where the edge starts.
const EDGES: [(&str, &str, &str, bool); 11] = [
    ("assets", "site", "site_asset", false),
    ("vulnerabilities", "assets", "asset_vulnerability", false),
    ("mac_addresses", "assets", "asset_macaddress", false),
    ("ip_addresses", "assets", "asset_ipaddress", false),
    (
        "ip_addresses",
        "mac_addresses",
        "ipaddress_macaddress",
        true,
    ),
    ("ip_addresses", "ports", "ipaddress_port", true),
    ("hosts", "assets", "asset_hostname", false),
    ("hosts", "ip_addresses", "ipaddress_hostname", false),
    ("apps", "assets", "asset_application", false),
    ("apps", "ports", "application_port", true),
    ("apps", "vulnerabilities", "application_vulnerability", true),
];

/// Reads everything that the source has, and makes the graph of it.
pub(crate) async fn graph(source: &ReferenceSource) -> Graph {
    let mut objects = Objects::new();
    for collection in COLLECTIONS {
        objects.insert(collection, source.all(collection).await);
    }
    graph_of(&objects)
}

/// Makes the graph of objects.
pub(crate) fn graph_of(objects: &Objects) -> Graph {
    let mut graph = Graph::default();
    // What an object is called, and the object, by collection and number.
    let mut known = BTreeMap::new();
    for (collection, list) in objects {
        let key = VERTICES
            .iter()
            .find(|row| row.0 == *collection)
            .map_or("pk", |row| row.2);
        for object in list {
            known.insert(
                (*collection, object["pk"].as_u64().unwrap()),
                (text(&object[key]), object),
            );
        }
    }
    for ((collection, _), (identity, object)) in &known {
        if let Some((_, vertex, _, fields)) = VERTICES.iter().find(|row| row.0 == *collection) {
            let mut fields: Vec<(&str, Value)> = fields
                .iter()
                .map(|field| (*field, object[field].clone()))
                .collect();
            if *collection == "vulnerabilities" {
                fields.push(("xref_properties", references(object, &known)));
            }
            graph.add(vertex, identity, fields);
        }
        for (_, field, edge, starts) in EDGES.iter().filter(|row| row.0 == *collection) {
            for link in links(&object[field]) {
                let (target, _) = &known[&link];
                match starts {
                    true => graph.link(edge, identity, target),
                    false => graph.link(edge, target, identity),
                }
            }
        }
    }
    graph
}

fn references(object: &Value, known: &BTreeMap<(&str, u64), (String, &Value)>) -> Value {
    let mut all: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    for link in links(&object["xref_properties"]) {
        let reference = known[&link].1;
        all.entry(text(&reference["name"]))
            .or_default()
            .push(match &reference["value"] {
                Value::Null => json!(""),
                value => value.clone(),
            });
    }
    if all.is_empty() {
        Value::Null
    } else {
        json!(all)
    }
}

/// Reads addresses such as `http://host/assets/7/`.
fn links(value: &Value) -> Vec<(&str, u64)> {
    let list = match value {
        Value::Null => &[],
        Value::Array(list) => list.as_slice(),
        one => std::slice::from_ref(one),
    };
    list.iter()
        .map(|link| {
            let mut parts = link.as_str().unwrap().trim_end_matches('/').rsplit('/');
            let pk = parts.next().unwrap().parse().unwrap();
            (parts.next().unwrap(), pk)
        })
        .collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        other => panic!("neither text nor number: {other}"),
    }
}
