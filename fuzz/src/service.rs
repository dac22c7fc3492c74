//! One service for all inputs, without a network.

use std::sync::OnceLock;

use axum::body::Body;
use axum::http::{Request, header};
use car_service::Service;
use serde_json::Value;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use tower_service::Service as _;

/// What the graph holds that queries are asked over.
const GRAPH: &str = include_str!("graph.json");

/// `key:password` in Base64.
const AUTHORIZATION: &str = "Basic a2V5OnBhc3N3b3Jk";

/// A service with a small graph.
pub(crate) struct Peer {
    service: Service,
    runtime: Runtime,
    _folder: TempDir,
}

impl Peer {
    /// Returns the service of this process; the first call starts it.
    pub(crate) fn get() -> &'static Self {
        static PEER: OnceLock<Peer> = OnceLock::new();
        PEER.get_or_init(Self::start)
    }

    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let service = runtime.block_on(async {
            let builder = Service::builder(folder.path()).credentials("key", "password");
            let service = builder.build().await.unwrap();
            for (path, body) in [("databases", "{}"), ("imports", GRAPH)] {
                let request = Request::post(format!("/api/car/v2/{path}"))
                    .header(header::AUTHORIZATION, AUTHORIZATION)
                    .header(header::CONTENT_TYPE, "application/json")
                    .body(Body::from(body))
                    .unwrap();
                let answer = service.router().call(request).await.unwrap();
                assert!(answer.status().is_success(), "{path}: {answer:?}");
            }
            service
        });
        Self {
            service,
            runtime,
            _folder: folder,
        }
    }

    /// Reads an envelope.
    pub(crate) fn read_envelope(&self, body: &[u8]) -> Result<usize, String> {
        self.service
            .read_envelope(body)
            .map_err(|error| error.to_string())
    }

    /// Answers a query.
    pub(crate) fn query(&self, query: &str) -> Value {
        let request = serde_json::json!({ "query": query }).to_string();
        self.runtime
            .block_on(self.service.query(request.as_bytes()))
            .unwrap_or_else(crate::refused)
    }
}
