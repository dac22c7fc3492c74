//! What the service knows of a source's rows, and the calls that ask for it.

use std::collections::BTreeMap;

use car_schema::wire::content_hash;
use car_schema::{Envelope, Model};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{RowId, decoded, row_id};

type Rows = BTreeMap<RowId, Value>;

/// Rows in a page, few so that tests meet several pages.
const PAGE: usize = 3;

/// Both ends of an edge, without the names of their collections.
fn ends(row: &Value) -> (String, String) {
    let end = |plain: &str, prefixed: &str| {
        let text = |name: &str| row.get(name).and_then(Value::as_str);
        text(plain)
            .or_else(|| Some(text(prefixed)?.split_once('/')?.1))
            .unwrap_or("?")
            .to_owned()
    };
    (
        end("_from_external_id", "_from"),
        end("_to_external_id", "_to"),
    )
}

pub(super) fn hashes(body: &[u8]) -> Vec<(RowId, String)> {
    let envelope: Envelope<Box<RawValue>> = Envelope::from_slice(body).unwrap();
    let rows = envelope
        .collections
        .iter()
        .flat_map(|(collection, rows)| rows.iter().map(move |row| (collection, row)));
    rows.map(|(collection, row)| {
        let value: Value = serde_json::from_str(row.get()).unwrap();
        (
            row_id(collection, &value),
            content_hash(row.get().as_bytes()),
        )
    })
    .collect()
}

pub(super) fn retire_vertex(rows: &mut Rows, collection: &str, key: &str) {
    rows.remove(&(collection.to_owned(), key.to_owned()));
    for edge in Model::core().edges_of(collection) {
        let (from, to) = edge.ends().unwrap();
        rows.retain(|(name, _), row| {
            let (start, end) = ends(row);
            let at = (from.collection == collection && start == key)
                || (to.collection == collection && end == key);
            name != &edge.name || !at
        });
    }
}

pub(super) fn retire_edge(rows: &mut Rows, collection: &str, query: &str) {
    let (from, to) = query.split_once('&').unwrap();
    let gone = (
        decoded(from.strip_prefix("from=").unwrap()),
        decoded(to.strip_prefix("to=").unwrap()),
    );
    rows.retain(|(name, _), row| name != collection || ends(row) != gone);
}

pub(super) fn compare(rows: &Rows, envelope: &Value) -> Value {
    let mut collections = Map::new();
    for (collection, sent) in envelope.as_object().unwrap() {
        if matches!(collection.as_str(), "source" | "report") {
            continue;
        }
        let (mut created, mut changed, mut unchanged) = (Vec::new(), Vec::new(), 0);
        for (position, row) in sent.as_array().unwrap().iter().enumerate() {
            let Some(known) = rows.get(&row_id(collection, row)) else {
                created.push(position);
                continue;
            };
            let mut fields = Map::new();
            let names = row.as_object().unwrap().keys();
            for name in names.chain(known.as_object().unwrap().keys()) {
                if !["report", "timestamp"].contains(&name.as_str())
                    && row.get(name) != known.get(name)
                {
                    fields.insert(name.clone(), json!([known.get(name), row.get(name)]));
                }
            }
            match fields.is_empty() {
                true => unchanged += 1,
                false => changed.push(json!({ "row": position, "fields": fields })),
            }
        }
        collections.insert(
            collection.clone(),
            json!({ "created": created, "changed": changed, "unchanged": unchanged }),
        );
    }
    json!({ "collections": collections })
}

pub(super) fn list(rows: &Rows, query: &str) -> Value {
    let parameter = |name: &str| {
        let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
        pairs
            .filter(|(known, _)| *known == name)
            .map(|(_, value)| decoded(value))
            .next()
    };
    let collection = parameter("collection").unwrap();
    let start: usize = parameter("after").map_or(0, |after| after.parse().unwrap());
    let all: Vec<(&RowId, &Value)> = rows
        .iter()
        .filter(|((name, _), _)| *name == collection)
        .collect();
    let page = all.iter().skip(start).take(PAGE);
    let next = (start + PAGE < all.len()).then(|| (start + PAGE).to_string());
    if collection.contains('_') {
        let edges: Vec<(String, String)> = page.map(|(_, row)| ends(row)).collect();
        json!({ "edges": edges, "next": next })
    } else {
        let vertices: Vec<&String> = page.map(|((_, key), _)| key).collect();
        json!({ "vertices": vertices, "next": next })
    }
}

/// The answer, and the rows that need not be sent.
pub(super) fn unchanged(
    rows: &Rows,
    hashes: &BTreeMap<RowId, String>,
    asked: &Value,
) -> (Value, Vec<RowId>) {
    let (mut changed, mut same) = (Map::new(), Vec::new());
    for (collection, named) in asked["rows"].as_object().unwrap() {
        let mut positions = Vec::new();
        for (position, row) in named.as_array().unwrap().iter().enumerate() {
            let texts: Vec<&str> = row
                .as_array()
                .unwrap()
                .iter()
                .map(|text| text.as_str().unwrap())
                .collect();
            let id = match *texts.as_slice() {
                [key, _] => Some((collection.clone(), key.to_owned())),
                [from, to, _] => rows
                    .iter()
                    .find(|((name, _), row)| {
                        name == collection && ends(row) == (from.to_owned(), to.to_owned())
                    })
                    .map(|(id, _)| id.clone()),
                _ => panic!("{row}"),
            };
            match id.filter(|id| {
                rows.contains_key(id) && hashes.get(id).map(String::as_str) == texts.last().copied()
            }) {
                Some(id) => same.push(id),
                None => positions.push(position),
            }
        }
        if !positions.is_empty() {
            changed.insert(collection.clone(), json!(positions));
        }
    }
    (json!({ "changed": changed }), same)
}
