//! A server that answers from a recording.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::{ADDRESS, Exchange, Recording, Reply, clean, operation};

/// A server on a loopback port that answers as the recorded one did.
///
/// Requests that are equal but for secrets get their answers in the recorded order, and the last
/// one from then on. Anything else is answered with 404 and listed by [`unknown`](Self::unknown).
#[derive(Debug)]
pub struct Replay {
    address: String,
    shared: Arc<Mutex<Shared>>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct Shared {
    exchanges: Vec<Exchange>,
    /// Which exchanges were used.
    used: Vec<bool>,
    unknown: Vec<String>,
    address: String,
}

impl Replay {
    /// Starts the server.
    pub async fn start(recording: &Recording) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Mutex::new(Shared {
            exchanges: recording.exchanges().to_vec(),
            used: vec![false; recording.len()],
            unknown: Vec::new(),
            address: address.clone(),
        }));
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

    /// Returns the requests that the recording does not have.
    #[must_use]
    pub fn unknown(&self) -> Vec<String> {
        self.shared.lock().unwrap().unknown.clone()
    }
}

impl Drop for Replay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Mutex<Shared>>) {
    while let Ok((client, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(&shared, request));
            let connection = http1::Builder::new().serve_connection(TokioIo::new(client), answer);
            // A client that goes away is its own affair.
            drop(connection.await);
        });
    }
}

async fn answer(
    shared: &Mutex<Shared>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str());
    let asked = Exchange {
        method: head.method.to_string(),
        target: target.to_owned(),
        operation: operation(&head.headers),
        body,
        reply: Reply::default(),
    };
    let mut shared = shared.lock().unwrap();
    let asked = clean::exchange(&asked, &shared.address);
    let reply = shared.find(&asked);
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(name, value.replace(ADDRESS, &shared.address));
    }
    let body = clean::replaced(&reply.body, ADDRESS, &shared.address);
    Ok(response.body(Full::new(body)).unwrap())
}

impl Shared {
    fn find(&mut self, asked: &Exchange) -> Reply {
        let same = |known: &Exchange| {
            known.method == asked.method
                && known.target == asked.target
                && known.operation == asked.operation
                && known.body == asked.body
        };
        let fresh =
            (0..self.exchanges.len()).find(|at| !self.used[*at] && same(&self.exchanges[*at]));
        if let Some(at) = fresh {
            self.used[at] = true;
            return self.exchanges[at].reply.clone();
        }
        if let Some(known) = self.exchanges.iter().rfind(|known| same(known)) {
            return known.reply.clone();
        }
        let request = format!("{} {}", asked.method, asked.target);
        let reply = Reply::text(404, &format!("the recording has no `{request}`"));
        self.unknown.push(request);
        reply
    }
}
