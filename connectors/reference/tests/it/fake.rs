//! A source that answers what a test wants, for what a real one never does.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::expected::{COLLECTIONS, Objects};

/// What the source has, and how it behaves.
#[derive(Default)]
pub(crate) struct Behaviour {
    pub(crate) objects: Objects,
    /// Whether `limit` and `after` mean nothing to it.
    pub(crate) ignores_paging: bool,
    /// A collection whose pages never end: each leads to itself.
    pub(crate) circle: Option<&'static str>,
    /// The name of its state; it has none without.
    pub(crate) state: Option<&'static str>,
    /// How many requests it allows in a second, and what came of that.
    pub(crate) allowance: Option<Allowance>,
    /// Answers that come first: the path, and how often.
    pub(crate) first: Vec<(&'static str, u32, ResponseTemplate)>,
}

/// A limit of requests in any second, by the clock of the source.
pub(crate) struct Allowance {
    pub(crate) each_second: usize,
    /// When requests came.
    pub(crate) came: Vec<Instant>,
    pub(crate) refused: usize,
}

impl Allowance {
    pub(crate) fn new(each_second: usize) -> Self {
        Self {
            each_second,
            came: Vec::new(),
            refused: 0,
        }
    }

    /// Counts a request; returns whether it is one too many.
    fn is_exceeded(&mut self) -> bool {
        let now = Instant::now();
        let recent = self.came.iter().rev();
        let in_window = recent.take_while(|came| now - **came < Duration::from_secs(1));
        let exceeded = in_window.count() >= self.each_second;
        self.came.push(now);
        self.refused += usize::from(exceeded);
        exceeded
    }
}

/// A source that can be told what to do.
pub(crate) struct Fake {
    server: MockServer,
    behaviour: Arc<Mutex<Behaviour>>,
}

impl Fake {
    /// Starts a source.
    pub(crate) async fn start(behaviour: Behaviour) -> Self {
        let server = MockServer::start().await;
        let behaviour = Arc::new(Mutex::new(behaviour));
        let own = Arc::clone(&behaviour);
        let answer = move |request: &Request| own.lock().unwrap().answer(request);
        Mock::given(any()).respond_with(answer).mount(&server).await;
        Self { server, behaviour }
    }

    /// Returns the address.
    pub(crate) fn url(&self) -> String {
        self.server.uri()
    }

    /// Returns where it listens, `HOST:PORT`.
    pub(crate) fn address(&self) -> String {
        self.server.address().to_string()
    }

    /// Changes what it does, or looks at it.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Behaviour) -> T) -> T {
        change(&mut self.behaviour.lock().unwrap())
    }
}

impl Behaviour {
    fn answer(&mut self, request: &Request) -> ResponseTemplate {
        if self.allowance.as_mut().is_some_and(Allowance::is_exceeded) {
            return ResponseTemplate::new(429).insert_header("retry-after", "1");
        }
        let path = request.url.path();
        for (wanted, times, answer) in &mut self.first {
            if path == *wanted && *times > 0 {
                *times -= 1;
                return answer.clone();
            }
        }
        // Addresses without the last slash are not redirected but unknown.
        let Some(name) = path
            .strip_suffix('/')
            .and_then(|path| path.strip_prefix('/'))
        else {
            return ResponseTemplate::new(404);
        };
        if name == "model_state_id" {
            return ResponseTemplate::new(200)
                .set_body_json(json!({ "model_state_id": self.state }));
        }
        if COLLECTIONS.contains(&name) {
            self.list(name, request)
        } else {
            ResponseTemplate::new(404)
        }
    }

    fn list(&self, name: &str, request: &Request) -> ResponseTemplate {
        let parameter = |wanted: &str| {
            let mut pairs = request.url.query_pairs();
            pairs
                .find(|(name, _)| name == wanted)
                .map(|(_, value)| value.into_owned())
        };
        let all = self
            .objects
            .get(name)
            .map(Vec::as_slice)
            .unwrap_or_default();
        if let Some(pks) = parameter("pk") {
            let wanted: Vec<u64> = pks.split(',').map(|pk| pk.parse().unwrap()).collect();
            let found: Vec<&Value> = all
                .iter()
                .filter(|object| wanted.contains(&object["pk"].as_u64().unwrap()))
                .collect();
            return ResponseTemplate::new(200).set_body_json(found);
        }
        if self.ignores_paging {
            return ResponseTemplate::new(200).set_body_json(all);
        }
        let number = |name| parameter(name).and_then(|value| value.parse().ok());
        let (limit, after) = (
            number("limit").unwrap_or(usize::MAX),
            number("after").unwrap_or(0),
        );
        let page: Vec<&Value> = all.iter().skip(after).take(limit).collect();
        let end = after + page.len();
        let answer = ResponseTemplate::new(200).set_body_json(&page);
        let next = if self.circle == Some(name) { 1 } else { end };
        if end < all.len() || self.circle == Some(name) {
            answer.insert_header(
                "link",
                format!("</{name}/?limit={limit}&after={next}>; rel=\"next\""),
            )
        } else {
            answer
        }
    }
}

/// A small inventory in which every kind of link is there. Links lack the last slash.
pub(crate) fn inventory() -> Objects {
    let link = |collection: &str, pk: u64| format!("http://source.example/{collection}/{pk}");
    Objects::from([
        (
            "xrefproperties",
            vec![json!({ "pk": 1, "name": "CWE", "value": "CWE-79" })],
        ),
        (
            "sites",
            vec![json!({ "pk": 1, "name": "Here", "address": null })],
        ),
        (
            "assets",
            vec![
                json!({ "pk": 1, "name": "One", "risk": 5, "site": link("sites", 1) }),
                json!({ "pk": 2, "name": "Two", "site": null }),
                json!({ "pk": 3, "name": "Three", "initial_value": 80.0 }),
            ],
        ),
        (
            "vulnerabilities",
            vec![json!({
                "pk": 7, "external_id": "CVE-1", "name": "Weak", "base_score": 9.8,
                "xref_properties": [link("xrefproperties", 1)],
                "assets": [link("assets", 1), link("assets", 2)],
            })],
        ),
        (
            "ports",
            vec![json!({ "pk": 4, "port_number": 443, "protocol": "tcp" })],
        ),
        (
            "mac_addresses",
            vec![json!({ "pk": 5, "address": "02:00:00:00:00:01", "assets": [link("assets", 1)] })],
        ),
        (
            "ip_addresses",
            vec![json!({
                "pk": 6, "address": "10.0.0.1", "assets": [link("assets", 1)],
                "mac_addresses": [link("mac_addresses", 5)], "ports": [link("ports", 4)],
            })],
        ),
        (
            "hosts",
            vec![json!({
                "pk": 8, "host_name": "one.example", "assets": [link("assets", 1)],
                "ip_addresses": [link("ip_addresses", 6)],
            })],
        ),
        (
            "apps",
            vec![json!({
                "pk": 9, "name": "Web", "version": "1.2", "is_os": false, "assets": [link("assets", 2)],
                "ports": [link("ports", 4)], "vulnerabilities": [link("vulnerabilities", 7)],
            })],
        ),
    ])
}
