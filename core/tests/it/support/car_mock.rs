//! A CAR service that answers the protocol rightly unless it is told to misbehave, and remembers
//! what it was asked.

mod known;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use car_schema::{Model, import_schema};
use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use serde_json::{Value, json};
use tokio::sync::Notify;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

pub(crate) const KEY: &str = "the-key";
pub(crate) const PASSWORD: &str = "the-password";

const PREFIX: &str = "/api/car/";

/// How the service answers a call for once.
#[derive(Clone)]
pub(crate) enum Answer {
    /// With a status and an error document.
    Status(u16),
    /// With a status, and with `Retry-After: N`.
    RetryAfter(u16, u64),
    /// With a status and this text.
    Text(u16, &'static str),
    /// With 200 and this document.
    Json(Value),
    /// Rightly, after a time.
    After(Duration),
    /// Never.
    Never,
    /// By breaking the connection.
    Drop,
}

/// In which order imports are applied that came between two questions for their state.
#[derive(Clone, Copy)]
pub(crate) enum Order {
    /// As they came.
    Came,
    /// In any order, the same for the same number.
    Shuffled(u64),
}

/// A call as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Its name, as in the run report.
    pub(crate) call: &'static str,
    pub(crate) path: String,
    pub(crate) query: String,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

struct Fault {
    call: &'static str,
    skip: usize,
    times: usize,
    answer: Answer,
}

/// Identity of a row: collection and key, or collection and both ends.
pub(super) type RowId = (String, String);

struct State {
    asked: Vec<Asked>,
    faults: Vec<Fault>,
    ready: Option<bool>,
    sources: BTreeMap<String, Option<String>>,
    extensions: BTreeMap<String, Value>,
    schema: Value,
    features: Value,
    rows: BTreeMap<RowId, Value>,
    session: Option<BTreeSet<RowId>>,
    queued: Vec<Value>,
    report: Option<String>,
    hashes: BTreeMap<RowId, String>,
    order: Order,
    random: StdRng,
    next: u64,
}

/// A CAR service for one test.
pub(crate) struct CarMock {
    server: MockServer,
    state: Arc<Mutex<State>>,
    news: Arc<Notify>,
}

struct Responder(Arc<Mutex<State>>, Arc<Notify>);

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl CarMock {
    /// Starts a service whose database is ready and which knows no source.
    pub(crate) async fn start() -> Self {
        let state = Arc::new(Mutex::new(State {
            asked: Vec::new(),
            faults: Vec::new(),
            ready: Some(true),
            sources: BTreeMap::new(),
            extensions: BTreeMap::new(),
            schema: import_schema(&Model::core()),
            features: json!({}),
            rows: BTreeMap::new(),
            session: None,
            queued: Vec::new(),
            report: None,
            hashes: BTreeMap::new(),
            order: Order::Came,
            random: StdRng::seed_from_u64(0),
            next: 0,
        }));
        let news = Arc::new(Notify::new());
        let server = MockServer::builder()
            .disable_request_recording()
            .start()
            .await;
        let dropping = Arc::clone(&state);
        Mock::given(move |request: &Request| lock(&dropping).drops(request))
            .respond_with_err(|_: &Request| std::io::Error::other("the connection breaks"))
            .with_priority(1)
            .mount(&server)
            .await;
        Mock::given(|_: &Request| true)
            .respond_with(Responder(Arc::clone(&state), Arc::clone(&news)))
            .mount(&server)
            .await;
        Self {
            server,
            state,
            news,
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("{}{PREFIX}v2", self.server.uri())
    }

    fn change(self, change: impl FnOnce(&mut State)) -> Self {
        change(&mut lock(&self.state));
        self
    }

    /// Makes the source known, with or without a save point.
    pub(crate) fn knows(self, source: &str, save_point: Option<&str>) -> Self {
        self.change(|state| {
            state
                .sources
                .insert(source.to_owned(), save_point.map(str::to_owned));
        })
    }

    /// Takes the database away.
    pub(crate) fn without_database(self) -> Self {
        self.change(|state| state.ready = None)
    }

    /// Keeps the database from getting ready.
    pub(crate) fn never_ready(self) -> Self {
        self.change(|state| state.ready = Some(false))
    }

    /// Puts a row into the graph.
    pub(crate) fn holds(self, collection: &str, row: Value) -> Self {
        self.change(|state| {
            state.rows.insert(row_id(collection, &row), row);
        })
    }

    pub(crate) fn schema(self, schema: Value) -> Self {
        self.change(|state| state.schema = schema)
    }

    pub(crate) fn features(self, features: Value) -> Self {
        self.change(|state| state.features = features)
    }

    pub(crate) fn order(self, order: Order) -> Self {
        self.change(|state| {
            state.order = order;
            if let Order::Shuffled(seed) = order {
                state.random = StdRng::seed_from_u64(seed);
            }
        })
    }

    /// Answers every call of this name like that.
    pub(crate) fn always(self, call: &'static str, answer: Answer) -> Self {
        self.fault(call, 0, usize::MAX, answer)
    }

    /// Answers the first so many calls of this name like that.
    pub(crate) fn times(self, call: &'static str, times: usize, answer: Answer) -> Self {
        self.fault(call, 0, times, answer)
    }

    /// Answers so many calls of this name rightly, and the rest like that.
    pub(crate) fn after(self, call: &'static str, skip: usize, answer: Answer) -> Self {
        self.fault(call, skip, usize::MAX, answer)
    }

    fn fault(self, call: &'static str, skip: usize, times: usize, answer: Answer) -> Self {
        self.change(|state| {
            state.faults.push(Fault {
                call,
                skip,
                times,
                answer,
            });
        })
    }

    /// Answers everything rightly from now on.
    pub(crate) fn behave(&self) {
        lock(&self.state).faults.clear();
    }

    /// Forgets what was asked so far.
    pub(crate) fn forget(&self) {
        lock(&self.state).asked.clear();
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        lock(&self.state).asked.clone()
    }

    /// The names of the calls in their order.
    pub(crate) fn calls(&self) -> Vec<&'static str> {
        self.asked().iter().map(|asked| asked.call).collect()
    }

    pub(crate) fn count(&self, call: &str) -> usize {
        self.calls().iter().filter(|known| **known == call).count()
    }

    pub(crate) fn of(&self, call: &str) -> Vec<Asked> {
        let mut asked = self.asked();
        asked.retain(|asked| asked.call == call);
        asked
    }

    /// Waits until so many calls of this name came.
    pub(crate) async fn wait_for(&self, call: &str, count: usize) {
        loop {
            let news = self.news.notified();
            if self.count(call) >= count {
                return;
            }
            news.await;
        }
    }

    pub(crate) fn save_point(&self, source: &str) -> Option<String> {
        lock(&self.state).sources.get(source).cloned().flatten()
    }

    pub(crate) fn session_open(&self) -> bool {
        lock(&self.state).session.is_some()
    }

    /// The keys of a collection's rows.
    pub(crate) fn keys(&self, collection: &str) -> Vec<String> {
        lock(&self.state)
            .rows
            .keys()
            .filter(|(known, _)| known == collection)
            .map(|(_, key)| key.clone())
            .collect()
    }

    pub(crate) fn row(&self, collection: &str, key: &str) -> Option<Value> {
        lock(&self.state)
            .rows
            .get(&(collection.to_owned(), key.to_owned()))
            .cloned()
    }

    /// Everything in the graph, without what differs from run to run.
    pub(crate) fn graph(&self) -> BTreeMap<RowId, Value> {
        let mut rows = lock(&self.state).rows.clone();
        for row in rows.values_mut() {
            for name in ["report", "timestamp"] {
                row.as_object_mut().unwrap().remove(name);
            }
        }
        rows
    }
}

/// Which call of the protocol this is.
fn name(method: &str, path: &str, body: &[u8]) -> &'static str {
    let segments: Vec<&str> = path.split('/').collect();
    match (method, segments.as_slice()) {
        ("GET", ["v3", "carSchema", _]) => "get extension",
        ("GET", ["v3", "carSchema"]) => "list extensions",
        ("POST", ["v3", "carSchema"]) => "post extension",
        ("GET", ["v3", "importSchema"]) => "get import schema",
        ("GET", ["v3", "health"]) => "get health",
        ("GET", ["v2", "databases"]) => "get databases",
        ("POST", ["v2", "databases"]) => "create database",
        ("PATCH", ["v2", "databases"]) => "repair database",
        ("GET", ["v2", "source", _]) => "get source",
        ("PATCH", ["v2", "source"]) => match serde_json::from_slice::<Value>(body) {
            Ok(body) if body["model_state_id"] == "" => "clear save point",
            _ => "write save point",
        },
        ("POST", ["v2", "source", _, "full-import-in-progress"]) => "open session",
        ("GET", ["v2", "source", _, "full-import-in-progress"]) => "preview sweep",
        ("PATCH", ["v2", "source", _, "full-import-in-progress"]) => "keep rows",
        ("DELETE", ["v2", "source", _, "full-import-in-progress"]) => "close session",
        ("GET", ["v2", "jobstatus", _]) => "get job status",
        ("POST", ["v2", "imports"]) => "post import",
        ("POST", ["v3", "imports", "compare"]) => "compare import",
        ("POST", ["v3", "imports", "unchanged"]) => "report unchanged",
        ("GET", ["v3", "source", _, "rows"]) => "list rows",
        ("GET", ["v2", "importstatus"]) => "get import status",
        ("DELETE", ["v2", "source", _, collection]) if collection.contains('_') => "delete edge",
        ("DELETE", ["v2", "source", _, _]) => "delete vertices",
        ("PATCH", ["v2", _]) => "deactivate edge",
        _ => "unknown call",
    }
}

fn asked(request: &Request) -> Asked {
    let path = request.url.path();
    let path = path.strip_prefix(PREFIX).unwrap_or(path).to_owned();
    Asked {
        call: name(request.method.as_str(), &path, &request.body),
        path,
        query: request.url.query().unwrap_or_default().to_owned(),
        body: request.body.clone(),
    }
}

pub(super) fn row_id(collection: &str, row: &Value) -> RowId {
    let text = |names: [&str; 2]| {
        names
            .iter()
            .find_map(|name| row.get(name)?.as_str())
            .unwrap_or("?")
    };
    let key = if collection.contains('_') {
        let from = text(["_from_external_id", "_from"]);
        format!("{from} -> {}", text(["_to_external_id", "_to"]))
    } else {
        let natural = ["ipaddress", "macaddress", "hostname"].contains(&collection);
        text(if natural {
            ["_key", "host_name"]
        } else {
            ["external_id", "_key"]
        })
        .to_owned()
    };
    (collection.to_owned(), key)
}

pub(super) fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8()
        .unwrap()
        .into_owned()
}

fn ok(body: &Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

impl State {
    /// The fault that this call meets, if any.
    fn fault_of(&mut self, call: &str, drops: bool) -> Option<Answer> {
        for fault in self.faults.iter_mut().filter(|fault| fault.call == call) {
            if matches!(fault.answer, Answer::Drop) != drops || fault.times == 0 {
                continue;
            }
            if fault.skip > 0 {
                fault.skip -= 1;
                continue;
            }
            fault.times -= 1;
            return Some(fault.answer.clone());
        }
        None
    }

    fn drops(&mut self, request: &Request) -> bool {
        let asked = asked(request);
        let drops = self.fault_of(asked.call, true).is_some();
        if drops {
            self.asked.push(asked);
        }
        drops
    }

    fn new_id(&mut self, kind: &str) -> String {
        self.next += 1;
        format!("{kind}-{}", self.next)
    }

    /// Applies what was queued.
    fn apply(&mut self) {
        let mut queued = std::mem::take(&mut self.queued);
        if let Order::Shuffled(_) = self.order {
            queued.shuffle(&mut self.random);
        }
        for envelope in queued {
            let source = envelope["source"]["_key"].as_str().unwrap();
            self.sources.entry(source.to_owned()).or_default();
            for (collection, rows) in envelope.as_object().unwrap() {
                if matches!(collection.as_str(), "source" | "report") {
                    continue;
                }
                for row in rows.as_array().unwrap() {
                    let id = row_id(collection, row);
                    if let Some(session) = &mut self.session {
                        session.insert(id.clone());
                    }
                    self.rows.insert(id, row.clone());
                }
            }
        }
    }

    fn answer(&mut self, asked: &Asked) -> ResponseTemplate {
        let segments: Vec<String> = asked.path.split('/').map(decoded).collect();
        let segment = |index: usize| segments.get(index).cloned().unwrap_or_default();
        match asked.call {
            "get extension" => match self.extensions.get(&segment(2)) {
                Some(extension) => ok(extension),
                None => ResponseTemplate::new(404),
            },
            "list extensions" => {
                ok(&json!({ "schemas": self.extensions.values().collect::<Vec<_>>() }))
            }
            "post extension" => {
                let extension = asked.json();
                let mut model = Model::core();
                let schema = serde_json::from_value(extension["schema"].clone()).unwrap();
                model.extend(&schema).unwrap();
                self.schema = import_schema(&model);
                let key = extension["key"].as_str().unwrap().to_owned();
                self.extensions.insert(key, extension);
                ResponseTemplate::new(201)
            }
            "get import schema" => ok(&json!({ "version": "v2", "schema": self.schema })),
            "get health" => ok(&json!({ "status": "ok", "features": self.features })),
            "get databases" => match self.ready {
                None => ResponseTemplate::new(400),
                Some(ready) => ok(&json!({ "databases": [
                    { "name": "assets", "graph_name": "assets", "is_ready": ready,
                      "collections_without_indexes": if ready { json!([]) } else { json!(["asset"]) } },
                ] })),
            },
            "create database" => {
                self.ready = Some(true);
                ok(&json!({ "job_id": self.new_id("job") }))
            }
            "repair database" => ok(&json!({ "job_id": self.new_id("job") })),
            "get source" => match self.sources.get(&segment(2)) {
                None => ResponseTemplate::new(404),
                Some(state) => ok(&json!({
                    "_key": segment(2), "model_state_id": state, "report": self.report,
                })),
            },
            "clear save point" | "write save point" => {
                let key = decoded(asked.query.strip_prefix("key=").unwrap());
                let state = asked.json()["model_state_id"].as_str().unwrap().to_owned();
                let state = Some(state).filter(|state| !state.is_empty());
                self.sources.insert(key, state);
                ResponseTemplate::new(200)
            }
            "open session" => {
                self.session = Some(BTreeSet::new());
                ok(&json!({ "job_id": self.new_id("job") }))
            }
            "preview sweep" => {
                let mut counts = BTreeMap::<&str, u64>::new();
                let session = self.session.as_ref().unwrap();
                for id in self.rows.keys().filter(|id| !session.contains(*id)) {
                    *counts.entry(&id.0).or_default() += 1;
                }
                ok(&json!({ "open": true, "would_retire": counts }))
            }
            "close session" => {
                if let Some(session) = self.session.take() {
                    self.rows.retain(|id, _| session.contains(id));
                }
                ok(&json!({ "job_id": self.new_id("job") }))
            }
            "keep rows" => ok(&json!({})),
            "get job status" => ok(&json!({ "status": "COMPLETE" })),
            "post import" => {
                let envelope = asked.json();
                self.report = envelope["report"]["_key"].as_str().map(str::to_owned);
                self.hashes.extend(known::hashes(&asked.body));
                self.queued.push(envelope);
                ok(&json!({ "id": self.new_id("import"), "status": "INPROGRESS" }))
            }
            "get import status" => {
                self.apply();
                ok(&json!({ "error_imports": [], "incomplete_imports": [] }))
            }
            "delete vertices" => {
                let (_, list) = asked.query.split_once('=').unwrap();
                for key in list.split(',').map(decoded) {
                    known::retire_vertex(&mut self.rows, &segment(3), &key);
                }
                ResponseTemplate::new(200)
            }
            "delete edge" => {
                known::retire_edge(&mut self.rows, &segment(3), &asked.query);
                ResponseTemplate::new(200)
            }
            "deactivate edge" => ResponseTemplate::new(200),
            "compare import" => ok(&known::compare(&self.rows, &asked.json())),
            "list rows" => ok(&known::list(&self.rows, &asked.query)),
            "report unchanged" => {
                let (answer, same) = known::unchanged(&self.rows, &self.hashes, &asked.json());
                if let Some(session) = &mut self.session {
                    session.extend(same);
                }
                ok(&answer)
            }
            _ => ResponseTemplate::new(501),
        }
    }
}

impl Respond for Responder {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let mut state = lock(&self.0);
        let asked = asked(request);
        state.asked.push(asked.clone());
        self.1.notify_one();
        let expected = format!("Basic {}", STANDARD.encode(format!("{KEY}:{PASSWORD}")));
        let authorized = request
            .headers
            .get("authorization")
            .is_some_and(|value| *value == *expected);
        if !authorized {
            return ResponseTemplate::new(401);
        }
        let error = json!({ "code": "told_to", "message": "the test says so" });
        match state.fault_of(asked.call, false) {
            None | Some(Answer::Drop) => state.answer(&asked),
            Some(Answer::Status(status)) => ResponseTemplate::new(status).set_body_json(error),
            Some(Answer::RetryAfter(status, seconds)) => ResponseTemplate::new(status)
                .insert_header("retry-after", seconds.to_string().as_str()),
            Some(Answer::Text(status, text)) => {
                ResponseTemplate::new(status).set_body_raw(text, "text/html")
            }
            Some(Answer::Json(body)) => ok(&body),
            Some(Answer::After(time)) => state.answer(&asked).set_delay(time),
            Some(Answer::Never) => ResponseTemplate::new(503).set_delay(Duration::from_secs(3600)),
        }
    }
}
