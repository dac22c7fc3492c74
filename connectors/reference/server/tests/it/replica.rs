//! A graph kept in step with the server the way a connector does it: by a full read, or by deltas.
//! Two replicas of one server must be equal however they got there.

use std::collections::{BTreeMap, BTreeSet};

use reference_server::model::{COLLECTIONS, Collection, Key};
use serde_json::Value;

use crate::support::Api;

/// Collection and key.
type Vertex = (String, String);

#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct Replica {
    pub(crate) state: String,
    pub(crate) vertices: BTreeMap<Vertex, Value>,
    /// Owner, field, target.
    pub(crate) edges: BTreeSet<(Vertex, String, Vertex)>,
}

fn key(collection: &Collection, object: &Value) -> String {
    match collection.key {
        Key::Pk => object["pk"].to_string(),
        Key::Field(name) => object[name].as_str().unwrap().to_owned(),
    }
}

fn addresses(value: &Value) -> Vec<&str> {
    match value {
        Value::Null => Vec::new(),
        Value::String(address) => vec![address],
        Value::Array(list) => list.iter().map(|v| v.as_str().unwrap()).collect(),
        other => panic!("not links: {other}"),
    }
}

/// Every object of the server by its address.
struct Lookup(BTreeMap<String, (&'static Collection, Value)>);

impl Lookup {
    async fn new(api: &Api) -> Self {
        let mut all = BTreeMap::new();
        for collection in &COLLECTIONS {
            let objects = api.get(&format!("/{}/", collection.name)).await;
            for object in objects.as_array().unwrap() {
                all.insert(text(&object["url"]), (collection, object.clone()));
            }
        }
        Self(all)
    }
}

impl Replica {
    /// Reads everything.
    pub(crate) async fn full(api: &Api) -> Self {
        let mut replica = Self {
            state: api.state().await,
            ..Self::default()
        };
        let lookup = Lookup::new(api).await;
        for (collection, object) in lookup.0.values() {
            replica.put(&lookup, collection, object);
        }
        replica
    }

    /// Adds an object and its edges; edges that are there already stay.
    fn put(&mut self, lookup: &Lookup, collection: &Collection, object: &Value) {
        let mut shown = object.clone();
        let vertex = (collection.name.to_owned(), key(collection, object));
        for relation in collection.relations {
            let mut embedded = Vec::new();
            for address in addresses(&object[relation.name]) {
                let (to, target) = &lookup.0[address];
                if relation.embedded {
                    embedded.push(target["name"].clone());
                } else {
                    let to = (to.name.to_owned(), key(to, target));
                    self.edges
                        .insert((vertex.clone(), relation.name.to_owned(), to));
                }
            }
            // Links are edges; what is embedded belongs to the vertex.
            shown[relation.name] = Value::from(embedded);
        }
        // The address has the port of the server, which differs between two runs.
        shown["url"] = Value::Null;
        self.vertices.insert(vertex, shown);
    }

    /// Applies the delta from the last state, in pages of `limit` change log rows or whole.
    pub(crate) async fn follow(&mut self, api: &Api, limit: Option<u32>) {
        let to = api.state().await;
        let mut path = format!("/delta/?from={}&to={to}", self.state);
        if let Some(limit) = limit {
            path += &format!("&limit={limit}");
        }
        let pages = api.pages(&path).await;
        for page in &pages {
            assert_eq!(page["to"], to.as_str());
            self.delete(page);
        }
        let lookup = Lookup::new(api).await;
        for page in &pages {
            for (name, changes) in page["collections"].as_object().unwrap() {
                let collection = reference_server::model::collection(name).unwrap();
                for object in changes["updates"].as_array().unwrap() {
                    self.put(&lookup, collection, object);
                }
            }
        }
        self.state = to;
    }

    fn delete(&mut self, page: &Value) {
        for (name, changes) in page["collections"].as_object().unwrap() {
            for deletion in changes["deletions"].as_array().unwrap() {
                let gone = (name.clone(), text(&deletion["key"]));
                let known = self.vertices.remove(&gone);
                assert!(known.is_some(), "{gone:?} is deleted but was never there");
                self.edges
                    .retain(|(from, _, to)| *from != gone && *to != gone);
            }
        }
        for link in page["removed_links"].as_array().unwrap() {
            if link["field"] == "xref_properties" {
                continue;
            }
            let edge = (
                (text(&link["collection"]), text(&link["key"])),
                text(&link["field"]),
                (text(&link["target_collection"]), text(&link["target_key"])),
            );
            assert!(self.edges.remove(&edge), "{edge:?} was never there");
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}
