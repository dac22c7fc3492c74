//! Random changes of a source.

use car_testkit::ReferenceSource;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Collection, fields with a value of their own, and links: name, target, whether there is at
/// most one.
type Shape = (
    &'static str,
    &'static [&'static str],
    &'static [(&'static str, &'static str, bool)],
);

const SHAPES: [Shape; 9] = [
    ("xrefproperties", &["value"], &[]),
    ("sites", &["name", "description"], &[]),
    (
        "assets",
        &["name", "asset_type", "risk"],
        &[("site", "sites", true)],
    ),
    (
        "vulnerabilities",
        &["external_id", "name", "base_score"],
        &[
            ("assets", "assets", false),
            ("xref_properties", "xrefproperties", false),
        ],
    ),
    ("ports", &["protocol", "status"], &[]),
    (
        "mac_addresses",
        &["address", "interface"],
        &[("assets", "assets", false)],
    ),
    (
        "ip_addresses",
        &["address"],
        &[
            ("assets", "assets", false),
            ("mac_addresses", "mac_addresses", false),
            ("ports", "ports", false),
        ],
    ),
    (
        "hosts",
        &["host_name"],
        &[
            ("assets", "assets", false),
            ("ip_addresses", "ip_addresses", false),
        ],
    ),
    (
        "apps",
        &["name", "version", "is_os"],
        &[
            ("assets", "assets", false),
            ("ports", "ports", false),
            ("vulnerabilities", "vulnerabilities", false),
        ],
    ),
];

/// One change; the numbers choose objects, fields and values of what is there at the time.
#[derive(Debug, Clone)]
pub(crate) enum Edit {
    /// Adds an object with links.
    Add(usize, u8),
    /// Sets a field of an object, possibly the one that it is known by.
    Set(usize, u8, u8),
    /// Replaces the links of an object.
    Link(usize, u8, u8),
    /// Deletes an object, and with it the links to it.
    Delete(usize, u8),
}

/// One change of each kind in every collection, by kind.
pub(crate) fn one_of_each() -> [Vec<Edit>; 5] {
    let all = 0..SHAPES.len();
    [
        all.clone()
            .map(|collection| Edit::Add(collection, 5))
            .collect(),
        all.clone()
            .map(|collection| Edit::Set(collection, 1, 0))
            .collect(),
        all.clone()
            .map(|collection| Edit::Set(collection, 2, 1))
            .collect(),
        all.clone()
            .map(|collection| Edit::Link(collection, 0, 2))
            .collect(),
        all.map(|collection| Edit::Delete(collection, 1)).collect(),
    ]
}

/// Makes up changes.
pub(crate) fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let collection = 0..SHAPES.len();
    let edit = prop_oneof![
        3 => (collection.clone(), any::<u8>()).prop_map(|(c, n)| Edit::Add(c, n)),
        3 => (collection.clone(), any::<u8>(), any::<u8>()).prop_map(|(c, n, m)| Edit::Set(c, n, m)),
        4 => (collection.clone(), any::<u8>(), any::<u8>()).prop_map(|(c, n, m)| Edit::Link(c, n, m)),
        3 => (collection, any::<u8>()).prop_map(|(c, n)| Edit::Delete(c, n)),
    ];
    prop::collection::vec(edit, 1..10)
}

impl Edit {
    /// Returns the change with this number: the same every time.
    pub(crate) fn numbered(number: u64) -> Self {
        // A multiplicative hash spreads numbers that follow each other.
        let mut bits = number.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let mut take = |most: u64| {
            bits ^= bits >> 29;
            bits = bits.wrapping_mul(0xBF58_476D_1CE4_E5B9);
            (bits >> 32) % most
        };
        let kind = take(4);
        let collection = take(SHAPES.len() as u64) as usize;
        let (n, m) = (take(256) as u8, take(256) as u8);
        match kind {
            0 => Self::Add(collection, n),
            1 => Self::Set(collection, n, m),
            2 => Self::Link(collection, n, m),
            _ => Self::Delete(collection, n),
        }
    }

    /// Makes the change; one that is not possible, such as deleting from nothing, does nothing.
    pub(crate) async fn apply(&self, source: &ReferenceSource) {
        match *self {
            Self::Add(collection, n) => {
                let (name, fields, _) = SHAPES[collection];
                let mut object = required(name);
                for (position, field) in fields.iter().enumerate() {
                    let value =
                        free_value(source, name, field, n.wrapping_add(position as u8)).await;
                    object.insert((*field).to_owned(), value);
                }
                object.extend(links(source, collection, n).await);
                source.add(name, &Value::Object(object)).await;
            }
            Self::Set(collection, n, m) => {
                let (name, fields, _) = SHAPES[collection];
                let field = fields[usize::from(m) % fields.len()];
                if let Some(pk) = pick(source, name, n).await {
                    let value = free_value(source, name, field, m).await;
                    source.change(name, pk, &json!({ field: value })).await;
                }
            }
            Self::Link(collection, n, m) => {
                let (name, _, relations) = SHAPES[collection];
                if relations.is_empty() {
                    return;
                }
                if let Some(pk) = pick(source, name, n).await {
                    let links = links(source, collection, m).await;
                    source.change(name, pk, &Value::Object(links)).await;
                }
            }
            Self::Delete(collection, n) => {
                let (name, ..) = SHAPES[collection];
                if let Some(pk) = pick(source, name, n).await {
                    source.delete(name, pk).await;
                }
            }
        }
    }
}

/// Fields that every object of the collection has to have.
fn required(collection: &str) -> Map<String, Value> {
    match collection {
        "xrefproperties" => json!({ "name": "CWE" }),
        "ports" => json!({ "port_number": 22 }),
        _ => json!({}),
    }
    .as_object()
    .unwrap()
    .clone()
}

async fn numbers(source: &ReferenceSource, collection: &str) -> Vec<u64> {
    source
        .all(collection)
        .await
        .iter()
        .map(|object| object["pk"].as_u64().unwrap())
        .collect()
}

async fn pick(source: &ReferenceSource, collection: &str, n: u8) -> Option<u64> {
    let all = numbers(source, collection).await;
    all.get(usize::from(n) % all.len().max(1)).copied()
}

/// Links to none, one or two targets.
async fn links(source: &ReferenceSource, collection: usize, n: u8) -> Map<String, Value> {
    let mut fields = Map::new();
    for (position, (field, target, single)) in SHAPES[collection].2.iter().enumerate() {
        let n = usize::from(n) + position;
        let mut targets = numbers(source, target).await;
        let start = n / 3 % targets.len().max(1);
        targets.rotate_left(start);
        targets.truncate(n % 3);
        let value = if *single {
            json!(targets.first())
        } else {
            json!(targets)
        };
        fields.insert((*field).to_owned(), value);
    }
    fields
}

/// Returns a value of a small set, so that a deleted key comes back at times; for a key, one that
/// is not taken.
async fn free_value(source: &ReferenceSource, collection: &str, field: &str, n: u8) -> Value {
    let taken = source.all(collection).await;
    let of = |n: usize| match field {
        "risk" | "base_score" => json!(n as f64 / 10.0),
        "is_os" => json!(n.is_multiple_of(2)),
        "address" if collection == "mac_addresses" => json!(format!("02:00:00:00:00:{n:02x}")),
        "address" if collection == "ip_addresses" => json!(format!("10.0.0.{n}")),
        _ => json!(format!("{field}-{n}")),
    };
    let unique = matches!(
        (collection, field),
        ("mac_addresses" | "ip_addresses", "address")
            | ("hosts", "host_name")
            | ("vulnerabilities", "external_id")
    );
    (0..100)
        .map(|step| of(usize::from(n % 6) + step))
        .find(|value| !unique || !taken.iter().any(|object| object[field] == *value))
        .unwrap()
}
