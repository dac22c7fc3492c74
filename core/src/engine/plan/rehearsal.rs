//! A rehearsed import: the engine runs as always, and its calls end here. Reads go through to the
//! service; writes are noted and answered as the service would, and never leave this process.
//!
//! So a plan does what an import does, because it is one.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use car_schema::wire::{
    CollectionComparison, Comparison, Databases, Extensions, Features, Health, SessionPatch,
};
use car_schema::{Extension, Model, import_schema};
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use serde_json::{Value, json};

use super::file::Before;
use super::gone::Named;
use super::ledger::Ledger;
use super::summary::Cost;
use crate::car::{Answer, Call, CarCall, CarClient, Method};
use crate::engine::rows;
use crate::failure::{Failure, FailureKind};

/// Takes an import's calls.
pub(super) struct Rehearsal {
    car: CarClient,
    features: Features,
    state: Mutex<State>,
}

/// What an import would have done so far.
pub(super) struct State {
    pub(super) ledger: Ledger,
    pub(super) before: Before,
    /// The database would be made or repaired first.
    pub(super) database_made: bool,
    /// Collections that the service has.
    pub(super) collections: Vec<String>,
    /// The schema extension that would be uploaded.
    pub(super) extension: Option<Extension>,
    /// The envelope that makes source and report known.
    pub(super) header: Option<String>,
    pub(super) report: Option<String>,
    pub(super) save_point: Option<String>,
    /// Rows that a delta says are gone.
    pub(super) deleted: Named,
    /// Rows that the source has and that could not be sent.
    pub(super) kept: Named,
    pub(super) cost: Cost,
}

#[derive(Deserialize)]
struct SourceDocument {
    #[serde(default)]
    model_state_id: Option<String>,
    #[serde(default)]
    report: Option<String>,
}

impl State {
    fn new(ledger: Ledger) -> Self {
        Self {
            ledger,
            before: Before::default(),
            database_made: false,
            collections: Vec::new(),
            extension: None,
            header: None,
            report: None,
            save_point: None,
            deleted: Named::default(),
            kept: Named::default(),
            cost: Cost::default(),
        }
    }
}

impl Rehearsal {
    pub(super) fn new(car: CarClient, features: Features, ledger: Ledger) -> Self {
        Self {
            car,
            features,
            state: Mutex::new(State::new(ledger)),
        }
    }

    /// Returns what the import would have done, once it is over.
    pub(super) fn take(&self) -> State {
        let empty = State::new(Ledger::new(Model::core(), None));
        std::mem::replace(&mut *self.state(), empty)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read(&self, call: &Call, path: &[&str]) -> Result<Answer, Failure> {
        let made = self.state().database_made;
        match path {
            ["jobstatus", ..] => Ok(ok(&json!({ "status": "COMPLETE" }))),
            ["importstatus", ..] => Ok(ok(
                &json!({ "error_imports": [], "incomplete_imports": [] }),
            )),
            // What would be retired is found out at the end, so nothing is known here.
            ["source", _, "full-import-in-progress"] => {
                Ok(ok(&json!({ "open": true, "would_retire": {} })))
            }
            ["health"] => {
                let features = Features {
                    sweep_preview: self.features.compare,
                    keep_rows: self.features.keep_rows,
                    edge_deletion: true,
                    scopes: self.features.scopes,
                    content_hashes: self.features.content_hashes,
                    ..Features::default()
                };
                let health = Health {
                    features,
                    ..Health::default()
                };
                Ok(ok(&serde_json::to_value(health).unwrap_or_default()))
            }
            ["databases"] if made => Ok(ok(&json!({ "databases": [{ "is_ready": true }] }))),
            ["databases"] => {
                let answer = self.car.calls().call(call).await?;
                let known: Databases = serde_json::from_slice(&answer.body).unwrap_or_default();
                let mut state = self.state();
                state.collections = known
                    .databases
                    .into_iter()
                    .flat_map(|database| database.collections)
                    .collect();
                Ok(answer)
            }
            ["source", _] if made => Ok(Answer {
                status: 404,
                ..ok(&json!({}))
            }),
            ["source", _] => {
                let answer = self.car.calls().call(call).await?;
                let known = answer.status == 200;
                let document: Option<SourceDocument> = serde_json::from_slice(&answer.body).ok();
                let document = document.filter(|_| known);
                self.state().before = Before {
                    known,
                    save_point: document
                        .as_ref()
                        .and_then(|document| document.model_state_id.clone())
                        .filter(|state| !state.is_empty()),
                    report: document.and_then(|document| document.report),
                };
                Ok(answer)
            }
            ["importSchema"] if made || self.state().extension.is_some() => self.schema().await,
            _ => self.car.calls().call(call).await,
        }
    }

    fn write(&self, call: &Call, path: &[&str]) -> Result<Answer, Failure> {
        let body = call.body.clone().unwrap_or_default();
        let document: Value = serde_json::from_slice(&body).unwrap_or_default();
        let mut state = self.state();
        state.cost.add(body.len());
        let job = || ok(&json!({ "job_id": "rehearsed" }));
        match (call.method, path) {
            (Method::Post | Method::Patch, ["databases"]) => {
                state.database_made = true;
                Ok(job())
            }
            (Method::Post, ["carSchema"]) => {
                state.extension = serde_json::from_value(document).ok();
                Ok(ok(&json!({})))
            }
            (Method::Post, ["source", _, "full-import-in-progress"]) => {
                state.ledger.reset();
                state.deleted = Named::default();
                Ok(job())
            }
            (Method::Delete, ["source", _, "full-import-in-progress"]) => Ok(job()),
            (Method::Patch, ["source", _, "full-import-in-progress"]) => {
                let kept: SessionPatch = serde_json::from_value(document).unwrap_or_default();
                for (collection, keys) in kept.vertices {
                    state
                        .kept
                        .vertices
                        .entry(collection)
                        .or_default()
                        .extend(keys);
                }
                for (collection, edges) in kept.edges {
                    state
                        .kept
                        .edges
                        .entry(collection)
                        .or_default()
                        .extend(edges);
                }
                Ok(ok(&json!({})))
            }
            (Method::Patch, ["source", ..]) => {
                let save_point = document.get("model_state_id").and_then(Value::as_str);
                state.save_point = save_point
                    .filter(|save_point| !save_point.is_empty())
                    .map(str::to_owned);
                Ok(ok(&json!({})))
            }
            (Method::Delete, ["source", _, collection]) => {
                delete(&mut state.deleted, collection, &call.query);
                Ok(ok(&json!({})))
            }
            (Method::Patch, [edge]) => {
                delete(&mut state.deleted, edge, &call.query);
                Ok(ok(&json!({})))
            }
            _ => Err(Failure::new(
                FailureKind::General,
                "an import makes a call that a plan does not know",
            )
            .with("call", call.name)
            .hint("this is a defect; nothing was written")),
        }
    }

    /// Takes an envelope, and asks what it would change.
    async fn import(&self, call: &Call) -> Result<Answer, Failure> {
        let body = call.body.clone().unwrap_or_default();
        let envelope = rows::read(&body)?;
        let (noted, known) = {
            let mut state = self.state();
            state.cost.add(body.len());
            if state.header.is_none() {
                state.header = Some(super::ledger::header(&envelope)?);
                state.report.clone_from(&envelope.report.key);
            }
            let noted = state.ledger.note(&envelope)?;
            (noted, !state.database_made && state.before.known)
        };
        // With a source that the graph does not know, everything is new.
        let compared = match self.features.compare && !envelope.collections.is_empty() {
            true if known => Some(self.compare(&envelope, body).await?),
            true => None,
            false => return Ok(started()),
        };
        self.state().ledger.keep(noted, &envelope, |name, rows| {
            compared
                .as_ref()
                .and_then(|compared| compared.collections.get(name).cloned())
                .unwrap_or_else(|| match compared {
                    Some(_) => CollectionComparison::default(),
                    None => CollectionComparison {
                        created: (0..rows as u64).collect(),
                        ..CollectionComparison::default()
                    },
                })
        })?;
        Ok(started())
    }

    async fn compare(
        &self,
        envelope: &rows::RawEnvelope,
        body: Bytes,
    ) -> Result<Comparison, Failure> {
        let new = self.new_collections();
        let mut compared = Comparison::default();
        for (name, rows) in &envelope.collections {
            if new.contains(name) {
                let all = CollectionComparison {
                    created: (0..rows.len() as u64).collect(),
                    ..CollectionComparison::default()
                };
                compared.collections.insert(name.clone(), all);
            }
        }
        // The engine sends one collection at a time.
        if compared.collections.is_empty() {
            compared = self.car.compare(body).await?;
        }
        Ok(compared)
    }

    /// Returns the collections that only an extension which is not uploaded brings.
    fn new_collections(&self) -> BTreeSet<String> {
        let state = self.state();
        let Some(extension) = &state.extension else {
            return BTreeSet::new();
        };
        let mut model = Model::core();
        if model.extend(&extension.schema).is_err() {
            return BTreeSet::new();
        }
        let core = Model::core();
        model
            .collections()
            .map(|collection| collection.name.to_string())
            .filter(|name| core.get(name).is_none() && !state.collections.contains(name))
            .collect()
    }

    /// Answers with the import schema that the service would have.
    async fn schema(&self) -> Result<Answer, Failure> {
        let list = Call::new("list extensions", Method::Get, "carSchema")
            .v3()
            .accept(&[400, 404]);
        let answer = self.car.calls().call(&list).await?;
        let known: Extensions = serde_json::from_slice(&answer.body).unwrap_or_default();
        let state = self.state();
        let mut model = Model::core();
        let ours = state.extension.as_ref();
        let others = known
            .schemas
            .iter()
            .filter(|known| ours.is_none_or(|ours| ours.key != known.key));
        for extension in others.chain(ours) {
            model.extend(&extension.schema).map_err(|error| {
                Failure::new(FailureKind::General, "a schema extension is not valid")
                    .with("extension", &extension.key)
                    .because(error)
            })?;
        }
        Ok(ok(
            &json!({ "version": "v2", "schema": import_schema(&model) }),
        ))
    }
}

#[async_trait]
impl CarCall for Rehearsal {
    async fn call(&self, call: &Call) -> Result<Answer, Failure> {
        let path: Vec<&str> = call.path.split('/').collect();
        match (call.method, path.as_slice()) {
            (Method::Get, path) => self.read(call, path).await,
            (Method::Post, ["imports"]) => self.import(call).await,
            (Method::Post, ["query"]) => self.car.calls().call(call).await,
            (_, path) => self.write(call, path),
        }
    }
}

fn ok(document: &Value) -> Answer {
    Answer {
        status: 200,
        body: document.to_string().into(),
        retry_after: None,
    }
}

fn started() -> Answer {
    ok(&json!({ "id": "rehearsed", "status": "COMPLETE" }))
}

/// Notes what a call would delete: `external_ids=a,b`, `keys=a,b` or `from=a&to=b`.
fn delete(deleted: &mut Named, collection: &str, query: &str) {
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let collection = decoded(collection);
    let mut ends = (None, None);
    for pair in query.split('&') {
        let Some((name, value)) = pair.split_once('=') else {
            continue;
        };
        match name {
            "from" => ends.0 = Some(decoded(value)),
            "to" => ends.1 = Some(decoded(value)),
            // Commas that belong to an id are encoded.
            "external_ids" | "keys" => deleted
                .vertices
                .entry(collection.clone())
                .or_default()
                .extend(value.split(',').map(decoded)),
            _ => {}
        }
    }
    if let (Some(from), Some(to)) = ends {
        deleted
            .edges
            .entry(collection)
            .or_default()
            .insert((from, to));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deletions_are_read_from_the_address() {
        let mut deleted = Named::default();
        delete(&mut deleted, "asset", "external_ids=a%2Cb");
        delete(&mut deleted, "asset", "external_ids=c,100%25");
        delete(&mut deleted, "asset_user", "source=s&from=a%26b&to=c");
        assert!(
            ["a,b", "c", "100%"]
                .iter()
                .all(|key| deleted.vertices["asset"].contains(*key))
        );
        assert_eq!(deleted.vertices["asset"].len(), 3);
        assert!(deleted.edges["asset_user"].contains(&("a&b".to_owned(), "c".to_owned())));
    }
}
