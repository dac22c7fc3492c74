//! A gate between connector and source: it counts the pages that pass, holds the first that is
//! one too many, and answers for a scope in the source's place.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use car_testkit::within;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

#[derive(Default)]
struct State {
    /// How often each page was asked for and passed.
    pages: BTreeMap<String, u32>,
    /// Different pages that may pass.
    most: Option<usize>,
    /// What begins so is answered here.
    answers: Option<(String, Answer)>,
}

/// What the gate says in the source's place.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    /// These bytes, and the end of the connection.
    Bytes(&'static str),
    /// Nothing at all, for as long as the connector cares to wait.
    Silence,
}

/// A gate on a loopback port.
pub(crate) struct Gate {
    address: String,
    state: Arc<Mutex<State>>,
    held: watch::Sender<bool>,
    accepting: JoinHandle<()>,
}

impl Gate {
    /// Starts a gate before the source at this `http://` address.
    pub(crate) async fn start(source: &str) -> Self {
        let upstream = source.trim_start_matches("http://").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let held = watch::Sender::new(false);
        let accepting = tokio::spawn({
            let (state, held) = (Arc::clone(&state), held.clone());
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let (state, held) = (Arc::clone(&state), held.clone());
                    let upstream = upstream.clone();
                    tokio::spawn(async move {
                        if let Ok(server) = TcpStream::connect(upstream).await {
                            connection(client, server, &state, &held).await;
                        }
                    });
                }
            }
        });
        Self {
            address,
            state,
            held,
            accepting,
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Lets so many different pages pass, counted from the beginning.
    pub(crate) fn open_for(&self, pages: usize) {
        self.state.lock().unwrap().most = Some(pages);
        self.held.send_replace(false);
    }

    /// Waits until a page is held.
    pub(crate) async fn held(&self) {
        let mut held = self.held.subscribe();
        within("holding a page", held.wait_for(|held| *held))
            .await
            .unwrap();
    }

    /// Answers requests for a collection's pages.
    pub(crate) fn answer(&self, collection: &str, answer: Answer) {
        let begin = format!("GET /{collection}/?limit=");
        self.state.lock().unwrap().answers = Some((begin, answer));
    }

    /// Lets everything pass, and forgets what did.
    pub(crate) fn behave(&self) {
        *self.state.lock().unwrap() = State::default();
    }

    /// How often each page passed.
    pub(crate) fn pages(&self) -> BTreeMap<String, u32> {
        self.state.lock().unwrap().pages.clone()
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// What becomes of a request.
enum Way {
    Passes,
    IsHeld,
    IsAnswered(&'static str),
    IsLeftAlone,
}

impl State {
    fn way(&mut self, request: &[u8]) -> Way {
        let request = String::from_utf8_lossy(request);
        if let Some((begin, answer)) = &self.answers
            && request.starts_with(begin)
        {
            return match answer {
                Answer::Bytes(bytes) => Way::IsAnswered(bytes),
                Answer::Silence => Way::IsLeftAlone,
            };
        }
        let target = request.split(' ').nth(1).unwrap_or_default();
        if !target.contains("?limit=") {
            return Way::Passes;
        }
        let is_new = !self.pages.contains_key(target);
        if is_new && self.most.is_some_and(|most| self.pages.len() >= most) {
            return Way::IsHeld;
        }
        *self.pages.entry(target.to_owned()).or_default() += 1;
        Way::Passes
    }
}

/// Passes requests and answers on. A request of the connector comes in one piece: it has no body.
async fn connection(
    mut client: TcpStream,
    mut server: TcpStream,
    state: &Mutex<State>,
    held: &watch::Sender<bool>,
) {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    let requests = async {
        let mut request = vec![0; 64 * 1024];
        while let Ok(read @ 1..) = from_client.read(&mut request).await {
            let way = state.lock().unwrap().way(&request[..read]);
            match way {
                Way::Passes => {
                    if to_server.write_all(&request[..read]).await.is_err() {
                        return None;
                    }
                }
                Way::IsAnswered(bytes) => return Some(bytes),
                Way::IsLeftAlone => std::future::pending::<()>().await,
                Way::IsHeld => {
                    held.send_replace(true);
                    std::future::pending::<()>().await;
                }
            }
        }
        None
    };
    let answers = tokio::io::copy(&mut from_server, &mut to_client);
    let answer = tokio::select! {
        answer = requests => answer,
        _ = answers => None,
    };
    if let Some(bytes) = answer {
        drop(to_client.write_all(bytes.as_bytes()).await);
        drop(to_client.shutdown().await);
    }
}
