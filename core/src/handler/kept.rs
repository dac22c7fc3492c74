//! Names of rejected rows. The source has them, so they are not gone, and a sweep must not take
//! what the graph knows of them from earlier runs.

use car_schema::Identity;
use car_schema::wire::SessionPatch;
use serde_json::Value;

use crate::record::impossible_id;

/// Names that are kept in memory; with more rejects than this nothing is swept.
const MOST: usize = 100_000;

/// The rejected rows of a run, by name.
#[derive(Debug, Default)]
pub(super) struct Kept {
    rows: SessionPatch,
    named: usize,
    nameless: u64,
}

impl Kept {
    /// Notes a vertex.
    pub(super) fn vertex(&mut self, collection: &str, key: String) {
        // What no graph can have needs no keeping, and a service would not take the name.
        if impossible_id(&key).is_none() && self.has_room() {
            self.rows
                .vertices
                .entry(collection.to_owned())
                .or_default()
                .insert(key);
        }
    }

    /// Notes a row by what its JSON says of its identity.
    ///
    /// `identity` is that of a vertex collection, `None` for edges.
    pub(super) fn row(&mut self, collection: &str, identity: Option<Identity>, json: &[u8]) {
        let Ok(Value::Object(row)) = serde_json::from_slice(json) else {
            return self.nameless();
        };
        if let Some(identity) = identity {
            return match row.get(identity.field()).and_then(Value::as_str) {
                Some(key) => self.vertex(collection, key.to_owned()),
                None => self.nameless(),
            };
        }
        // A natural-key end is written as `collection/key`.
        let end = |plain: &str, prefixed: &str| {
            let prefixed = || {
                row.get(prefixed)?
                    .as_str()?
                    .split_once('/')
                    .map(|(_, key)| key)
            };
            row.get(plain)
                .and_then(Value::as_str)
                .or_else(prefixed)
                .map(str::to_owned)
        };
        match (
            end("_from_external_id", "_from"),
            end("_to_external_id", "_to"),
        ) {
            (Some(from), Some(to)) if [&from, &to].iter().any(|id| impossible_id(id).is_some()) => {
            }
            (Some(from), Some(to)) if self.has_room() => {
                self.rows
                    .edges
                    .entry(collection.to_owned())
                    .or_default()
                    .insert((from, to));
            }
            (Some(_), Some(_)) => {}
            _ => self.nameless(),
        }
    }

    /// Notes a row that nobody can name.
    pub(super) fn nameless(&mut self) {
        self.nameless = self.nameless.saturating_add(1);
    }

    /// Returns the names that were not taken yet.
    pub(super) fn take(&mut self) -> SessionPatch {
        std::mem::take(&mut self.rows)
    }

    /// Returns whether there are rejected rows without a name.
    pub(super) const fn has_nameless(&self) -> bool {
        self.nameless > 0
    }

    fn has_room(&mut self) -> bool {
        self.named = self.named.saturating_add(1);
        if self.named > MOST {
            self.nameless();
        }
        self.named <= MOST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_named_by_their_identity() {
        let mut kept = Kept::default();
        kept.row(
            "asset",
            Some(Identity::ExternalId),
            br#"{"external_id":"7"}"#,
        );
        kept.row(
            "ipaddress",
            Some(Identity::Key),
            br#"{"_key":"10.0.0.1","external_id":"x"}"#,
        );
        kept.row(
            "asset_ipaddress",
            None,
            br#"{"_from_external_id":"7","_to":"ipaddress/10.0.0.1"}"#,
        );
        assert!(!kept.has_nameless());
        let names = kept.take();
        assert!(names.vertices["asset"].contains("7"));
        assert!(names.vertices["ipaddress"].contains("10.0.0.1"));
        assert!(names.edges["asset_ipaddress"].contains(&("7".to_owned(), "10.0.0.1".to_owned())));
    }

    #[test]
    fn names_that_no_graph_has_are_not_kept() {
        let mut kept = Kept::default();
        for impossible in [String::new(), "a".repeat(1025), "a\0b".to_owned()] {
            kept.vertex("asset", impossible.clone());
            let edge =
                serde_json::json!({ "_from_external_id": impossible, "_to_external_id": "7" });
            kept.row("asset_vulnerability", None, edge.to_string().as_bytes());
        }
        assert_eq!(kept.take(), SessionPatch::default());
    }

    #[test]
    fn one_row_without_a_name_is_enough() {
        let vertex = Some(Identity::ExternalId);
        for (identity, json) in [
            (vertex, "{}"),
            (vertex, "no json"),
            (None, r#"{"_from_external_id":"7"}"#),
        ] {
            let mut kept = Kept::default();
            kept.row("asset", identity, json.as_bytes());
            assert!(kept.has_nameless(), "{json}");
        }
    }

    #[test]
    fn names_are_bounded() {
        let mut kept = Kept::default();
        for number in 0..=MOST {
            kept.vertex("asset", number.to_string());
        }
        assert!(kept.has_nameless());
    }
}
