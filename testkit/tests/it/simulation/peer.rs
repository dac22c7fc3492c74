//! The real service, called without a network, with the faults of a plan between.

use std::sync::{Arc, mpsc};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{Request, header};
use car_core::car::{Answer, Call, CarCall};
use car_core::{Effect, Failure, FailureKind, Retry};
use car_testkit::TestFolder;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};
use tower_service::Service as _;

use super::plan::{Plan, ServiceFault};
use super::world::{Id, Parts};

/// `key:password` in Base64.
const AUTHORIZATION: &str = "Basic a2V5OnBhc3N3b3Jk";

/// The service with threads of its own: it lives on when a run is killed.
pub(crate) struct Peer {
    router: Router,
    runtime: Runtime,
    _folder: TestFolder,
}

impl Peer {
    pub(crate) fn start() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let folder = TestFolder::new();
        let builder = car_service::Service::builder(folder.file("data"));
        let service = runtime
            .block_on(builder.credentials("key", "password").build())
            .unwrap();
        let peer = Self {
            router: service.router(),
            runtime,
            _folder: folder,
        };
        // The service lives as long as the process.
        std::mem::forget(service);
        let made = peer.request("POST", "/api/car/v2/databases", Body::from("{}"));
        assert!((200..300).contains(&made.0), "{made:?}");
        peer
    }

    /// Makes a request and stops this thread until it is answered, so that nothing in the
    /// simulation goes on meanwhile and each seed gives the same run every time.
    fn request(&self, method: &str, path: &str, body: Body) -> (u16, Bytes) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, AUTHORIZATION)
            .header(header::CONTENT_TYPE, "application/json")
            .body(body)
            .unwrap();
        let (answer, answered) = mpsc::channel();
        let mut router = self.router.clone();
        self.runtime.spawn(async move {
            let response = router.call(request).await.unwrap();
            let status = response.status().as_u16();
            let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
            answer.send((status, body)).unwrap();
        });
        answered.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    /// Reads what a source has in the graph.
    pub(crate) fn parts(&self, source: &str) -> Parts {
        let only = format!("where: {{source: {{_eq: {source:?}}}}}, limit: 10000");
        let query = format!(
            "{{ asset({only}) {{ external_id name }} ipaddress({only}) {{ _key }} \
             asset_ipaddress({only}) {{ asset_id ipaddress_id }} }}"
        );
        let body = Body::from(json!({ "query": query }).to_string());
        let (status, answer) = self.request("POST", "/api/car/v3/query", body);
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert!(status == 200 && answer["errors"].is_null(), "{answer}");
        let mut parts = Parts::new();
        for (collection, rows) in answer["data"].as_object().unwrap() {
            for row in rows.as_array().unwrap() {
                let number = |field: &str| -> u32 {
                    let text = row[field].as_str().unwrap();
                    let digits = text.rsplit(['-', '.']).next().unwrap();
                    digits.parse().unwrap()
                };
                let (id, name) = match collection.as_str() {
                    "asset" => (Id::Asset(number("external_id")), row["name"].as_str()),
                    "ipaddress" => (Id::Address(number("_key")), None),
                    _ => (Id::Link(number("asset_id"), number("ipaddress_id")), None),
                };
                let name = name.unwrap_or_default().to_owned();
                let before = parts.insert(id.clone(), name);
                assert_eq!(before, None, "{id:?} is there twice");
            }
        }
        parts
    }

    fn carry_out(&self, call: &Call) -> Result<Answer, Failure> {
        let query = match call.query.as_str() {
            "" => String::new(),
            query => format!("?{query}"),
        };
        let path = format!("/api/car/{}/{}{query}", call.version, call.path);
        let body = call.body.clone().map_or_else(Body::empty, Body::from);
        let (status, body) = self.request(call.method.as_str(), &path, body);
        Answer::of(call, status, body, None)
    }
}

/// Calls of one run.
pub(crate) struct Calls {
    pub(crate) peer: Arc<Peer>,
    pub(crate) plan: Arc<Plan>,
}

#[async_trait]
impl CarCall for Calls {
    async fn call(&self, call: &Call) -> Result<Answer, Failure> {
        let unreachable = |effect| {
            Failure::new(FailureKind::CarUnreachable, "the plan says so")
                .with_retry(Retry::Backoff)
                .with_effect(effect)
        };
        match self.plan.next_service_call(call.name) {
            None => self.peer.carry_out(call),
            Some(ServiceFault::Refused) => Err(unreachable(Effect::NotApplied)),
            Some(ServiceFault::AnswerLost) => {
                drop(self.peer.carry_out(call));
                Err(unreachable(Effect::Unknown))
            }
            Some(ServiceFault::Status(status)) => Answer::of(call, status, Bytes::new(), None),
            Some(ServiceFault::StatusAfterAll(status)) => {
                drop(self.peer.carry_out(call));
                Answer::of(call, status, Bytes::new(), None)
            }
            Some(ServiceFault::Twice) => {
                drop(self.peer.carry_out(call));
                self.peer.carry_out(call)
            }
            Some(ServiceFault::KillBefore) => self.die().await,
            Some(ServiceFault::KillAfter) => {
                drop(self.peer.carry_out(call));
                self.die().await
            }
        }
    }
}

impl Calls {
    async fn die(&self) -> ! {
        self.plan.killed.notify_one();
        std::future::pending().await
    }
}
