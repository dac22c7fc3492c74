//! The rows of an envelope and what identifies each.

use std::collections::HashSet;

use bytes::Bytes;
use car_schema::{Collection, Envelope, Identity, Model};
use serde::Deserialize;
use serde_json::value::RawValue;
use xxhash_rust::xxh3::xxh3_64;

use crate::failure::{Failure, FailureKind};

/// What identifies a row among all rows of a source, as a hash.
pub(super) type RowHash = u64;

/// Rows as the bytes that they are.
pub(super) type RawEnvelope = Envelope<Box<RawValue>>;

/// Reads an envelope that the engine wrote.
pub(super) fn read(body: &[u8]) -> Result<RawEnvelope, Failure> {
    RawEnvelope::from_slice(body).map_err(|error| {
        Failure::new(FailureKind::General, "the engine's own envelope is not one").because(error)
    })
}

/// Writes an envelope; rows keep their bytes.
pub(super) fn write(envelope: &RawEnvelope) -> Result<Bytes, Failure> {
    serde_json::to_vec(envelope)
        .map(Bytes::from)
        .map_err(|error| {
            Failure::new(FailureKind::General, "an envelope cannot be written").because(error)
        })
}

/// The fields of a row that can identify it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Names {
    external_id: Option<String>,
    #[serde(rename = "_key")]
    key: Option<String>,
    #[serde(rename = "_from_external_id")]
    from_external_id: Option<String>,
    #[serde(rename = "_from")]
    from: Option<String>,
    #[serde(rename = "_to_external_id")]
    to_external_id: Option<String>,
    #[serde(rename = "_to")]
    to: Option<String>,
}

/// The identity of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RowName {
    /// External id or natural key.
    Vertex(String),
    /// External ids or natural keys of both ends.
    Edge(String, String),
}

impl RowName {
    /// Writes it for people.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Vertex(key) => key.clone(),
            Self::Edge(from, to) => format!("{from} → {to}"),
        }
    }
}

/// Returns the hash of a vertex.
pub(super) fn vertex_hash(collection: &str, key: &str) -> RowHash {
    hash([collection, key].map(key_hash))
}

/// Returns the hash of an edge; the ends are [hashes](key_hash) of their keys.
pub(super) fn edge_hash(collection: &str, from: u64, to: u64) -> RowHash {
    hash([key_hash(collection), from, to])
}

/// Returns the hash of a key.
pub(super) fn key_hash(key: &str) -> u64 {
    xxh3_64(key.as_bytes())
}

fn hash<const N: usize>(parts: [u64; N]) -> u64 {
    xxh3_64(parts.map(u64::to_le_bytes).as_flattened())
}

/// Tells rows apart as the model says.
#[derive(Debug)]
pub(super) struct Namer {
    model: Model,
    /// Natural-key collections whose vertices some edge names by their external id.
    aliased: HashSet<String>,
}

impl Namer {
    pub(super) fn new(model: Model) -> Self {
        let natural =
            |name: &str| model.get(name).and_then(Collection::identity) == Some(Identity::Key);
        let aliased = model
            .edges()
            .filter_map(Collection::ends)
            .flat_map(|(from, to)| [from, to])
            .filter(|end| end.by == Identity::ExternalId && natural(&end.collection))
            .map(|end| end.collection.to_string())
            .collect();
        Self { model, aliased }
    }

    /// Returns the model.
    pub(super) const fn model(&self) -> &Model {
        &self.model
    }

    /// Returns the hash of a vertex by its external id, and the hash of its key, where edges may
    /// name it by the former and the graph knows it by the latter.
    pub(super) fn alias(&self, collection: &str, names: &Names) -> Option<(RowHash, u64)> {
        if !self.aliased.contains(collection) {
            return None;
        }
        let id = names.external_id.as_deref()?;
        Some((vertex_hash(collection, id), key_hash(names.key.as_deref()?)))
    }

    /// Returns for each end of an edge the collection of its vertex if the row names the vertex
    /// by an external id and the graph does not.
    pub(super) fn renamed_ends(&self, collection: &str, names: &Names) -> [Option<&str>; 2] {
        let Some((from, to)) = self.model.get(collection).and_then(Collection::ends) else {
            return [None, None];
        };
        [(from, &names.from_external_id), (to, &names.to_external_id)].map(|(end, id)| {
            let vertex = self.model.get(&end.collection)?;
            (id.is_some() && vertex.identity() == Some(Identity::Key)).then_some(&*vertex.name)
        })
    }

    /// Reads what identifies a row.
    pub(super) fn name(&self, collection: &str, names: &Names) -> Option<RowName> {
        match self.model.get(collection)?.identity() {
            Some(Identity::ExternalId) => names.external_id.clone().map(RowName::Vertex),
            Some(Identity::Key) => names.key.clone().map(RowName::Vertex),
            None => {
                // A natural-key end is written as `collection/key`.
                let end = |plain: &Option<String>, prefixed: &Option<String>| {
                    plain.clone().or_else(|| {
                        let (_, key) = prefixed.as_deref()?.split_once('/')?;
                        Some(key.to_owned())
                    })
                };
                Some(RowName::Edge(
                    end(&names.from_external_id, &names.from)?,
                    end(&names.to_external_id, &names.to)?,
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(collection: &str, json: &str) -> Option<String> {
        let names: Names = serde_json::from_str(json).unwrap();
        let namer = Namer::new(Model::core());
        namer.name(collection, &names).map(|name| name.text())
    }

    #[test]
    fn rows_are_named_as_the_graph_names_them() {
        for (collection, json, text) in [
            ("asset", r#"{"external_id":"7"}"#, "7"),
            (
                "ipaddress",
                r#"{"_key":"10.0.0.1","external_id":"x"}"#,
                "10.0.0.1",
            ),
            (
                "asset_vulnerability",
                r#"{"_from_external_id":"7","_to_external_id":"v/1"}"#,
                "7 → v/1",
            ),
            (
                "asset_ipaddress",
                r#"{"_from_external_id":"7","_to":"ipaddress/10.0.0.0/8"}"#,
                "7 → 10.0.0.0/8",
            ),
        ] {
            assert_eq!(name(collection, json).as_deref(), Some(text), "{json}");
        }
        assert_eq!(name("asset", "{}"), None);
        assert_eq!(name("nothing", r#"{"external_id":"7"}"#), None);
    }

    #[test]
    fn hashes_depend_on_every_part() {
        let [a, b] = ["a", "b"].map(key_hash);
        let hashes = HashSet::from([
            vertex_hash("asset", "a"),
            vertex_hash("user", "a"),
            vertex_hash("asset", "b"),
            edge_hash("asset_user", a, b),
            edge_hash("asset_user", b, a),
        ]);
        assert_eq!(hashes.len(), 5);
    }

    #[test]
    fn an_edge_may_name_a_host_by_its_external_id() {
        let namer = Namer::new(Model::core());
        let names: Names =
            serde_json::from_str(r#"{"_from_external_id":"a","_to_external_id":"h"}"#).unwrap();
        assert_eq!(
            namer.renamed_ends("account_hostname", &names),
            [None, Some("hostname")]
        );
        assert_eq!(
            namer.renamed_ends("asset_vulnerability", &names),
            [None, None]
        );
        let host: Names = serde_json::from_str(r#"{"_key":"host","external_id":"h"}"#).unwrap();
        assert_eq!(
            namer.alias("hostname", &host),
            Some((vertex_hash("hostname", "h"), key_hash("host")))
        );
        assert_eq!(namer.alias("ipaddress", &host), None);
    }
}
