//! A network that fails on demand, on real sockets.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::within;

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Fault {
    /// Nothing: bytes pass in both directions.
    #[default]
    None,
    /// New connections are reset at once.
    Refuse,
    /// Nothing passes, connections stay open.
    Stall,
    /// Answers end after this many bytes, as if the peer had closed properly.
    Truncate(u64),
    /// Connections are reset after this many bytes of an answer.
    Reset(u64),
    /// Each piece of an answer comes this much later.
    Delay(Duration),
    /// Answers come in pieces of so many bytes with a pause before each.
    Drip(usize, Duration),
}

/// Where to hold everything.
#[derive(Debug, Clone)]
enum Trap {
    Never,
    /// When this many bytes have passed, in both directions together.
    Bytes(u64),
    /// When a request that contains this text is to pass for the n-th time.
    Request(String, u32),
}

#[derive(Debug)]
struct State {
    fault: Fault,
    trap: Trap,
    passed: u64,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Whether everything is held.
    held: watch::Sender<bool>,
    /// Counts how often all connections were cut.
    cut: watch::Sender<u64>,
    /// Counts the connections that were made.
    tries: watch::Sender<u32>,
    upstream: String,
}

/// A TCP proxy on a loopback port. Dropping it cuts all connections.
#[derive(Debug)]
pub struct Proxy {
    address: String,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Starts a proxy to `HOST:PORT`.
    pub async fn start(upstream: impl Into<String>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                fault: Fault::None,
                trap: Trap::Never,
                passed: 0,
            }),
            held: watch::Sender::new(false),
            cut: watch::Sender::new(0),
            tries: watch::Sender::new(0),
            upstream: upstream.into(),
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

    /// Makes connections fail from now on, also those that are open.
    pub fn fail(&self, fault: Fault) {
        self.shared.state.lock().unwrap().fault = fault;
    }

    /// Returns the bytes that have passed in both directions.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.shared.state.lock().unwrap().passed
    }

    /// Sets a trap: once this many bytes have passed, nothing more passes.
    pub fn hold_after(&self, bytes: u64) {
        self.shared.state.lock().unwrap().trap = Trap::Bytes(bytes);
    }

    /// Sets a trap: nothing passes from the n-th request on that contains `text`, such as
    /// `POST /api/car/v2/imports`; the request itself does not pass either.
    pub fn hold_at(&self, text: &str, nth: u32) {
        self.shared.state.lock().unwrap().trap = Trap::Request(text.to_owned(), nth);
    }

    /// Waits until the trap has sprung.
    ///
    /// # Panics
    ///
    /// When that takes more than 120 s.
    pub async fn held(&self) {
        let mut held = self.shared.held.subscribe();
        within("springing the trap", held.wait_for(|held| *held))
            .await
            .unwrap();
    }

    /// Waits until so many connections were made since the proxy was started.
    ///
    /// # Panics
    ///
    /// When that takes more than 120 s.
    pub async fn tried(&self, times: u32) {
        let mut tries = self.shared.tries.subscribe();
        within("trying to connect", tries.wait_for(|tries| *tries >= times))
            .await
            .unwrap();
    }

    /// Lets everything pass again.
    pub fn release(&self) {
        self.shared.state.lock().unwrap().trap = Trap::Never;
        self.shared.held.send_replace(false);
    }

    /// Cuts all connections that are open, and lets new ones pass.
    pub fn cut(&self) {
        self.shared.state.lock().unwrap().trap = Trap::Never;
        self.shared.cut.send_modify(|times| *times += 1);
        self.shared.held.send_replace(false);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.shared.cut.send_modify(|times| *times += 1);
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        shared.tries.send_modify(|tries| *tries += 1);
        let fault = shared.state.lock().unwrap().fault;
        if fault == Fault::Refuse {
            reset(&client);
            continue;
        }
        let shared = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut cut = shared.cut.subscribe();
            tokio::select! {
                () = connection(client, &shared) => {}
                _ = cut.changed() => {}
            }
        });
    }
}

async fn connection(mut client: TcpStream, shared: &Shared) {
    let Ok(mut server) = TcpStream::connect(&shared.upstream).await else {
        reset(&client);
        return;
    };
    drop(client.set_nodelay(true));
    drop(server.set_nodelay(true));
    let broken = {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            broken = pass(from_client, to_server, shared, true) => broken,
            broken = pass(from_server, to_client, shared, false) => broken,
        }
    };
    if broken {
        reset(&client);
    }
}

/// Passes bytes on until one side closes or a fault strikes; tells whether to reset.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    shared: &Shared,
    is_request: bool,
) -> bool {
    let mut buffer = vec![0; 16 * 1024];
    let mut total = 0_u64;
    loop {
        let Ok(read @ 1..) = from.read(&mut buffer).await else {
            return false;
        };
        let mut chunk = buffer.get(..read).unwrap_or_default();
        if shared.spring(chunk, is_request) {
            // What is before the exact byte still passes.
            let rest = shared.before_trap();
            let part = chunk.get(..rest.min(chunk.len())).unwrap_or_default();
            if to.write_all(part).await.is_err() {
                return false;
            }
            chunk = chunk.get(part.len()..).unwrap_or_default();
            shared.held.send_replace(true);
        }
        let mut held = shared.held.subscribe();
        drop(held.wait_for(|held| !*held).await);
        let fault = shared.state.lock().unwrap().fault;
        let limit = match fault {
            Fault::Stall => {
                tokio::time::sleep(Duration::from_secs(3600)).await;
                return false;
            }
            Fault::Truncate(limit) | Fault::Reset(limit) if !is_request => limit,
            _ => u64::MAX,
        };
        let (piece, pause) = match fault {
            Fault::Delay(pause) if !is_request => (usize::MAX, Some(pause)),
            Fault::Drip(piece, pause) if !is_request => (piece.max(1), Some(pause)),
            _ => (usize::MAX, None),
        };
        let room = usize::try_from(limit.saturating_sub(total)).unwrap_or(usize::MAX);
        let cut_short = room < chunk.len();
        let part = chunk.get(..room).unwrap_or(chunk);
        for piece in part.chunks(piece) {
            if let Some(pause) = pause {
                tokio::time::sleep(pause).await;
            }
            if to.write_all(piece).await.is_err() {
                return false;
            }
        }
        if cut_short {
            return matches!(fault, Fault::Reset(_));
        }
        total = total.saturating_add(part.len() as u64);
        shared.state.lock().unwrap().passed += chunk.len() as u64;
    }
}

impl Shared {
    /// Tells whether the trap springs with this chunk.
    fn spring(&self, chunk: &[u8], is_request: bool) -> bool {
        let mut state = self.state.lock().unwrap();
        let passed = state.passed;
        match &mut state.trap {
            Trap::Never => false,
            Trap::Bytes(limit) => passed.saturating_add(chunk.len() as u64) > *limit,
            Trap::Request(text, nth) => {
                let found = is_request
                    && chunk
                        .windows(text.len())
                        .any(|window| window == text.as_bytes());
                if found {
                    *nth = nth.saturating_sub(1);
                }
                found && *nth == 0
            }
        }
    }

    /// Returns how many bytes of the chunk that springs the trap still pass.
    fn before_trap(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        let rest = match state.trap {
            Trap::Bytes(limit) => limit.saturating_sub(state.passed),
            Trap::Never | Trap::Request(..) => 0,
        };
        state.passed = state.passed.saturating_add(rest);
        usize::try_from(rest).unwrap_or_default()
    }
}

/// Makes the connection end with a reset instead of a proper close.
fn reset(stream: &TcpStream) {
    drop(stream.set_zero_linger());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that answers every 4 bytes with the same 4 bytes.
    async fn echo() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut word = [0; 4];
                    while stream.read_exact(&mut word).await.is_ok() {
                        if stream.write_all(&word).await.is_err() {
                            break;
                        }
                    }
                });
            }
        });
        address
    }

    async fn say(stream: &mut TcpStream, word: &[u8; 4]) -> std::io::Result<Vec<u8>> {
        stream.write_all(word).await?;
        let mut answer = vec![0; 4];
        let mut read = 0;
        while read < 4 {
            let more = stream.read(&mut answer[read..]).await?;
            if more == 0 {
                break;
            }
            read += more;
        }
        answer.truncate(read);
        Ok(answer)
    }

    #[tokio::test]
    async fn passes_counts_holds_and_releases() {
        let proxy = Proxy::start(echo().await).await;
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut stream, b"ping").await.unwrap(), b"ping");
        assert_eq!(proxy.passed(), 8);
        // Six more: the whole word and half of its answer.
        proxy.hold_after(14);
        let asking = tokio::spawn(async move { (say(&mut stream, b"pong").await, stream) });
        proxy.held().await;
        assert_eq!(proxy.passed(), 14);
        assert!(!asking.is_finished());
        proxy.release();
        let (answer, mut stream) = within("the answer", asking).await.unwrap();
        assert_eq!(answer.unwrap(), b"pong");
        proxy.hold_at("stop", 2);
        assert_eq!(say(&mut stream, b"stop").await.unwrap(), b"stop");
        let asking = tokio::spawn(async move { say(&mut stream, b"stop").await });
        proxy.held().await;
        proxy.cut();
        let answer = within("the cut", asking).await.unwrap();
        assert!(answer.is_err() || answer.is_ok_and(|answer| answer.is_empty()));
    }

    #[tokio::test]
    async fn slows_answers_down() {
        let proxy = Proxy::start(echo().await).await;
        for fault in [
            Fault::Delay(Duration::from_millis(20)),
            Fault::Drip(1, Duration::from_millis(5)),
        ] {
            proxy.fail(fault);
            let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
            let began = std::time::Instant::now();
            assert_eq!(say(&mut stream, b"ping").await.unwrap(), b"ping");
            // Both pauses end no earlier, however fast the machine is.
            assert!(began.elapsed() >= Duration::from_millis(20), "{fault:?}");
        }
    }

    #[tokio::test]
    async fn breaks_connections() {
        let proxy = Proxy::start(echo().await).await;
        proxy.fail(Fault::Truncate(6));
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        assert_eq!(say(&mut stream, b"ping").await.unwrap(), b"ping");
        assert_eq!(say(&mut stream, b"pong").await.unwrap(), b"po");
        for fault in [Fault::Reset(0), Fault::Refuse] {
            proxy.fail(fault);
            let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
            let answer = within("the reset", say(&mut stream, b"ping")).await;
            assert!(answer.is_err(), "{fault:?}: {answer:?}");
        }
        proxy.tried(3).await;
    }
}
