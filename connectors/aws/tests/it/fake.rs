//! An AWS of canned pages in the test's process: one account in one region that a test can change,
//! in the protocols that the services speak. Fast, and counted call by call; moto is the
//! independent one.

mod answers;
mod changes;
mod wire;
mod world;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use tokio::task::JoinHandle;

use wire::{Asked, Protocol};
pub(crate) use world::World;

/// The access key that it knows.
pub(crate) const KEY: &str = "test-key";

/// The region that has everything.
pub(crate) const REGION: &str = "eu-west-1";

/// An AWS on a loopback port. Dropping it ends it.
pub(crate) struct Fake {
    address: String,
    shared: Arc<Shared>,
    serving: JoinHandle<()>,
}

struct Shared {
    world: Mutex<World>,
    calls: Mutex<BTreeMap<String, usize>>,
}

impl Fake {
    /// Starts an AWS that has this.
    pub(crate) async fn start(world: World) -> Self {
        let shared = Arc::new(Shared {
            world: Mutex::new(world),
            calls: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            shared,
            serving,
        }
    }

    /// Returns where it listens, `HOST:PORT`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Returns what it has.
    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.shared.world.lock().unwrap()
    }

    /// Returns how often each call was made since the last time, by `service:Action`.
    pub(crate) fn calls(&self) -> BTreeMap<String, usize> {
        std::mem::take(&mut *self.shared.calls.lock().unwrap())
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(asked) = Asked::read(&method, &uri, &headers, &body) else {
        return (StatusCode::FORBIDDEN, "this is not signed").into_response();
    };
    let name = format!("{}:{}", asked.service, asked.action);
    *shared.calls.lock().unwrap().entry(name).or_default() += 1;
    if asked.key != KEY {
        let protocol = Protocol::of(&asked.service);
        return protocol.refuse(403, "InvalidClientTokenId", "no such key");
    }
    let world = shared.world.lock().unwrap();
    answers::answer(&world, &asked)
}
