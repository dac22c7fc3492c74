//! A proxy that understands requests, so that a test can say which one goes wrong, and how.

mod forward;
mod rule;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::record::{Exchange, Recording};
use crate::within;

use rule::Rules;
pub use rule::{At, Deed};

/// A proxy for HTTP on a loopback port. Dropping it ends all connections.
///
/// Requests pass one by one through the rules, in the order in which the rules were given; the
/// first that fits decides. The address that a client named as `Host` goes to the server as it
/// is, so that links in answers lead to the proxy, too.
///
/// ```no_run
/// # async fn test() {
/// use car_testkit::{At, Deed, HttpProxy};
///
/// let proxy = HttpProxy::start("127.0.0.1:8000").await;
/// // The third request is answered with 403, and from then on all that ask for users.
/// proxy.on(At::Nth(3), Deed::Answer(403));
/// proxy.on(At::With("GET /users".to_owned()), Deed::Answer(403));
/// # }
/// ```
#[derive(Debug)]
pub struct HttpProxy {
    address: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    http: reqwest::Client,
    rules: Mutex<Rules>,
    exchanges: Mutex<Vec<Exchange>>,
    /// How many exchanges there were when the rules were last cleared.
    earlier: AtomicUsize,
    /// Requests that were answered.
    answered: watch::Sender<u32>,
    /// Requests that are held.
    held: watch::Sender<u32>,
    /// Counts how often all connections were cut.
    cut: watch::Sender<u32>,
}

impl HttpProxy {
    /// Starts a proxy to `HOST:PORT`.
    pub async fn start(upstream: impl Into<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let http = car_core::http::client_builder()
            .timeout(std::time::Duration::from_secs(120))
            .build()
            .unwrap();
        let shared = Arc::new(Shared {
            upstream: upstream.into(),
            http,
            rules: Mutex::default(),
            exchanges: Mutex::default(),
            earlier: AtomicUsize::new(0),
            answered: watch::Sender::new(0),
            held: watch::Sender::new(0),
            cut: watch::Sender::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Self {
            address,
            shared,
            accepting,
        }
    }

    /// Returns where it listens, `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Adds a rule. Requests are counted from the last [`clear`](Self::clear) on.
    pub fn on(&self, at: At, deed: Deed) {
        self.shared.rules.lock().unwrap().add(at, deed);
    }

    /// Takes all rules away, cuts connections that are held, and counts requests from 1 again.
    pub fn clear(&self) {
        self.shared.rules.lock().unwrap().clear();
        let earlier = self.shared.exchanges.lock().unwrap().len();
        self.shared.earlier.store(earlier, Ordering::Relaxed);
        self.shared.held.send_replace(0);
        self.shared.cut.send_modify(|times| *times += 1);
    }

    /// Returns the requests since the last [`clear`](Self::clear), as `GET /path?query`.
    #[must_use]
    pub fn requests(&self) -> Vec<String> {
        self.shared.rules.lock().unwrap().requests().to_vec()
    }

    /// Waits until a request is held.
    ///
    /// # Panics
    ///
    /// When that takes more than 120 s.
    pub async fn held(&self) {
        let mut held = self.shared.held.subscribe();
        within("holding a request", held.wait_for(|held| *held > 0))
            .await
            .unwrap();
    }

    /// Returns what passed through, answers of the rules included, in the order of the answers.
    #[must_use]
    pub fn recording(&self) -> Recording {
        let exchanges = self.shared.exchanges.lock().unwrap().clone();
        Recording::new(exchanges, &self.address)
    }
}

impl Drop for HttpProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.shared.cut.send_modify(|times| *times += 1);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        drop(client.set_nodelay(true));
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut cut = shared.cut.subscribe();
            let answer = service_fn(|request| forward::answer(&shared, request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(client), answer);
            tokio::select! {
                // A connection that a rule breaks ends with an error, as it should.
                ended = connection => drop(ended),
                _ = cut.changed() => {}
            }
        });
    }
}
