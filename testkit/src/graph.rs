//! The graph of a source as a value that can be compared.

use std::collections::BTreeMap;
use std::fmt;

use car_schema::{Collection, Kind};
use serde_json::Value;

/// Fields of one entity, by name.
pub type Fields = BTreeMap<String, Value>;

/// Differences that are named; more are only counted.
const NAMED: usize = 20;

/// Everything that a source has in a graph, by collection and identity, without what differs from
/// run to run: times and the names of reports.
///
/// A vertex is identified by its external id or natural key, an edge by `FROM -> TO` of these.
#[derive(Clone, PartialEq, Default)]
pub struct Graph(BTreeMap<String, BTreeMap<String, Fields>>);

impl Graph {
    /// Adds an entity. Fields without a value are left out, as the service has no nulls.
    ///
    /// # Panics
    ///
    /// When it is there already.
    pub fn add<'a>(
        &mut self,
        collection: &str,
        identity: impl Into<String>,
        fields: impl IntoIterator<Item = (&'a str, Value)>,
    ) {
        let identity = identity.into();
        let fields = fields
            .into_iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.to_owned(), canonical(value)))
            .collect();
        let rows = self.0.entry(collection.to_owned()).or_default();
        let before = rows.insert(identity.clone(), fields);
        assert!(before.is_none(), "{collection} `{identity}` is there twice");
    }

    /// Adds an edge without fields.
    pub fn link(&mut self, collection: &str, from: &str, to: &str) {
        self.add(collection, edge(from, to), []);
    }

    /// Returns the fields of a vertex.
    #[must_use]
    pub fn get(&self, collection: &str, identity: &str) -> Option<&Fields> {
        self.0.get(collection)?.get(identity)
    }

    /// Tells whether there is an edge.
    #[must_use]
    pub fn has_edge(&self, collection: &str, from: &str, to: &str) -> bool {
        self.get(collection, &edge(from, to)).is_some()
    }

    /// Returns the identities of a collection.
    pub fn identities(&self, collection: &str) -> impl Iterator<Item = &str> {
        self.0
            .get(collection)
            .into_iter()
            .flat_map(BTreeMap::keys)
            .map(String::as_str)
    }

    /// Returns the number of entities by collection, without empty ones.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, u64> {
        self.0
            .iter()
            .map(|(name, rows)| (name.clone(), rows.len() as u64))
            .collect()
    }

    /// Returns the number of all entities.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.counts().values().sum()
    }

    /// Tells whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns what this graph has more, less or other than another one, a line each.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let names = self
            .0
            .keys()
            .chain(other.0.keys())
            .collect::<std::collections::BTreeSet<_>>();
        let none = BTreeMap::new();
        let mut differences = Vec::new();
        for name in names {
            let ours = self.0.get(name).unwrap_or(&none);
            let theirs = other.0.get(name).unwrap_or(&none);
            for (identity, fields) in ours {
                match theirs.get(identity) {
                    None => differences.push(format!("{name} `{identity}` is more: {fields:?}")),
                    Some(theirs) if theirs != fields => differences.push(format!(
                        "{name} `{identity}` is {fields:?} and should be {theirs:?}"
                    )),
                    Some(_) => {}
                }
            }
            let missing = theirs
                .keys()
                .filter(|identity| !ours.contains_key(*identity));
            differences.extend(missing.map(|identity| format!("{name} `{identity}` is missing")));
        }
        differences
    }

    /// Compares this graph with the one that it should be.
    ///
    /// # Panics
    ///
    /// When they differ; the message names the differences.
    #[track_caller]
    pub fn assert_is(&self, expected: &Self, what: &str) {
        let differences = self.differences(expected);
        let shown = differences
            .iter()
            .take(NAMED)
            .cloned()
            .collect::<Vec<_>>()
            .join("\n  ");
        assert!(
            differences.is_empty(),
            "{what}: {} differences:\n  {shown}",
            differences.len()
        );
    }

    /// Adds an entity as the service tells it.
    pub(crate) fn add_row(&mut self, collection: &Collection, source: &str, row: Value) {
        let Value::Object(mut fields) = row else {
            panic!("a row of {} is not an object: {row}", collection.name);
        };
        let mut take = |name: &str| match fields.remove(name) {
            Some(Value::String(text)) => text,
            other => panic!("`{name}` of {} is not text: {other:?}", collection.name),
        };
        let prefix = format!("{source}/");
        let end = |id: String| id.strip_prefix(&prefix).unwrap_or(&id).to_owned();
        let identity = match &collection.kind {
            Kind::Vertex { identity } => take(identity.field()),
            Kind::Edge { from, to } => edge(
                &end(take(&format!("{}_id", from.collection))),
                &end(take(&format!("{}_id", to.collection))),
            ),
        };
        // An edge that is marked as inactive is not gone, so the mark is seen.
        if collection.is_edge() && fields.get("active") == Some(&Value::Bool(true)) {
            fields.remove("active");
        }
        if let Some(Value::Object(properties)) = fields.remove("properties") {
            fields.extend(properties);
        }
        let fields = fields
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone()));
        self.add(&collection.name, identity, fields);
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.counts()).finish()
    }
}

fn edge(from: &str, to: &str) -> String {
    format!("{from} -> {to}")
}

/// Writes whole numbers without a fraction: 80.0 and 80 are the same value.
fn canonical(value: Value) -> Value {
    match value {
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
            if number.fract() == 0.0 && number.abs() < 9.0e15 {
                Value::from(number as i64)
            } else {
                Value::from(number)
            }
        }
        Value::Array(values) => values.into_iter().map(canonical).collect(),
        Value::Object(map) => map
            .into_iter()
            .map(|(name, value)| (name, canonical(value)))
            .collect(),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_name_what_is_more_other_and_missing() {
        let (mut ours, mut theirs) = (Graph::default(), Graph::default());
        ours.add(
            "asset",
            "1",
            [
                ("name", json!("a")),
                ("risk", json!(8.0)),
                ("note", json!(null)),
            ],
        );
        theirs.add("asset", "1", [("name", json!("a")), ("risk", json!(8))]);
        assert_eq!(ours.differences(&theirs), Vec::<String>::new());
        ours.link("asset_ipaddress", "1", "10.0.0.1");
        theirs.add("asset", "2", []);
        theirs.link("asset_ipaddress", "1", "10.0.0.2");
        let differences = ours.differences(&theirs);
        assert_eq!(
            differences,
            [
                "asset `2` is missing",
                "asset_ipaddress `1 -> 10.0.0.1` is more: {}",
                "asset_ipaddress `1 -> 10.0.0.2` is missing",
            ]
        );
    }
}
