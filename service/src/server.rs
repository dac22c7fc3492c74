//! Listening: connections with time limits, and a stop that finishes what runs.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use tower_service::Service as _;

use crate::api::Peer;
use crate::auth::Credentials;
use crate::folder::StartError;
use crate::service::Service;
use crate::tls::{Tls, TlsFiles};

/// How long a caller may take to send the head of a request.
const HEAD: Duration = Duration::from_secs(60);

/// How long a caller may take to agree on a key.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// How long running calls may take to end after the stop was asked for.
const GRACE: Duration = Duration::from_secs(8);

/// How the server shall be.
#[derive(Clone)]
#[non_exhaustive]
pub struct Options {
    /// Folder for the data; made where it is missing.
    pub data: PathBuf,
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Fixed key and password; without them the service makes its own on the first start.
    pub credentials: Option<Credentials>,
    /// Fixed token for `Authorization: car-token`.
    pub token: Option<String>,
    /// Largest body of an import, in bytes.
    pub body_limit: Option<usize>,
    /// Longest time of a query; 30 seconds unless set.
    pub query_timeout: Option<Duration>,
    /// Origins whose pages may call from a browser; none unless set.
    pub origins: Vec<HeaderValue>,
    /// Certificate and key; with them the server speaks HTTPS only.
    pub tls: Option<TlsFiles>,
    /// Address of a PostgreSQL server to keep the graph on, instead of the data folder.
    pub database_url: Option<String>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Password, token and database address are secrets.
        f.debug_struct("Options")
            .field("data", &self.data)
            .field("listen", &self.listen)
            .finish_non_exhaustive()
    }
}

impl Options {
    /// Describes a server on a free loopback port.
    #[must_use]
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            credentials: None,
            token: None,
            body_limit: None,
            query_timeout: None,
            origins: Vec::new(),
            database_url: None,
            tls: None,
        }
    }

    /// Sets the address to listen on.
    #[must_use]
    pub fn listen(mut self, listen: SocketAddr) -> Self {
        self.listen = listen;
        self
    }

    /// Sets a fixed key and password.
    #[must_use]
    pub fn credentials(mut self, key: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some(Credentials {
            key: key.into(),
            password: password.into(),
        });
        self
    }

    /// Speaks HTTPS with a certificate.
    #[must_use]
    pub fn tls(mut self, files: TlsFiles) -> Self {
        self.tls = Some(files);
        self
    }

    /// Keeps the graph on a PostgreSQL server.
    #[must_use]
    pub fn database_url(mut self, url: impl Into<String>) -> Self {
        self.database_url = Some(url.into());
        self
    }

    /// Sets a fixed token.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets the longest time that a query may take.
    #[must_use]
    pub fn query_timeout(mut self, limit: Duration) -> Self {
        self.query_timeout = Some(limit);
        self
    }

    /// Lets pages of another origin call from a browser.
    #[must_use]
    pub fn origin(mut self, origin: HeaderValue) -> Self {
        self.origins.push(origin);
        self
    }

    /// Sets the largest body of an import, in bytes.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = Some(bytes);
        self
    }
}

/// Starts services.
#[derive(Debug)]
pub struct Server;

/// A server that answers. Dropping it stops it without waiting for running calls.
#[derive(Debug)]
pub struct RunningServer {
    addr: SocketAddr,
    secure: bool,
    generated: Option<Credentials>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    /// Opens the data folder and begins to answer.
    ///
    /// # Errors
    ///
    /// When the folder, the database or the address cannot be used; the text names the flag.
    pub async fn start(options: Options) -> Result<RunningServer, StartError> {
        let listen = |source| StartError::Listen {
            listen: options.listen.to_string(),
            source,
        };
        // First the port: a taken one is found before the database is touched.
        let listener = TcpListener::bind(options.listen).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        let tls = options.tls.map(Tls::open).transpose()?;
        let secure = tls.is_some();
        let mut builder = Service::builder(options.data);
        if let Some(credentials) = options.credentials {
            builder = builder.credentials(credentials.key, credentials.password);
        }
        if let Some(token) = options.token {
            builder = builder.token(token);
        }
        if let Some(limit) = options.body_limit {
            builder = builder.body_limit(limit);
        }
        if let Some(limit) = options.query_timeout {
            builder = builder.query_timeout(limit);
        }
        if let Some(url) = options.database_url {
            builder = builder.database_url(url);
        }
        let service = builder.origins(options.origins).build().await?;
        let generated = service.generated().cloned();
        let (stop, stopping) = watch::channel(false);
        let task = tokio::spawn(serve(listener, tls, service, stopping));
        Ok(RunningServer {
            addr,
            secure,
            generated,
            stop,
            task,
        })
    }
}

impl RunningServer {
    /// Returns the address that answers.
    #[must_use]
    pub const fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns the base address of the protocol, `http://HOST:PORT/api/car/v2`.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.secure { "https" } else { "http" };
        format!("{scheme}://{}/api/car/v2", self.addr)
    }

    /// Returns key and password when this start made them; only now can they be seen.
    #[must_use]
    pub const fn generated(&self) -> Option<&Credentials> {
        self.generated.as_ref()
    }

    /// Stops: takes no new calls, finishes those that run, closes the database.
    pub async fn shutdown(self) {
        self.stop.send_replace(true);
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the server ended early");
        }
    }
}

async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    service: Service,
    mut stopping: watch::Receiver<bool>,
) {
    let router = service.router();
    let mut connections = JoinSet::new();
    let tls = tls.map(Arc::new);
    let watched = tls.clone();
    let mut renewing = pin!(async move {
        match watched {
            Some(tls) => tls.watch().await,
            None => std::future::pending().await,
        }
    });
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    let peer = Peer(from.ip());
                    let acceptor = tls.as_ref().map(|tls| tls.acceptor());
                    connections.spawn(accept(stream, acceptor, peer, router.clone(), stopping.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    // Out of file handles, most likely: let some be given back.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            },
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            () = &mut renewing => {}
            // An error means that the handle is gone: nobody can ask for a stop any more.
            _ = stopping.changed() => break,
        }
    }
    drop(listener);
    let ended = tokio::time::timeout(GRACE, async {
        while connections.join_next().await.is_some() {}
    });
    if ended.await.is_err() {
        tracing::warn!(
            open = connections.len(),
            "calls still ran at the stop and were cut off"
        );
    }
    service.close().await;
}

async fn accept(
    stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    peer: Peer,
    router: Router,
    stopping: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot switch off delays");
    }
    let Some(acceptor) = acceptor else {
        return connection(stream, peer, router, stopping).await;
    };
    match tokio::time::timeout(HANDSHAKE, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => connection(stream, peer, router, stopping).await,
        Ok(Err(error)) => tracing::debug!(%error, "a caller could not agree on TLS"),
        Err(_) => tracing::debug!("a caller took too long to agree on TLS"),
    }
}

async fn connection(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    peer: Peer,
    router: Router,
    mut stopping: watch::Receiver<bool>,
) {
    let handler = service_fn(move |mut request: Request<Incoming>| {
        let mut router = router.clone();
        request.extensions_mut().insert(peer);
        async move {
            let answer = router.call(request.map(Body::new)).await;
            Ok::<_, Infallible>(answer.unwrap_or_else(|never| match never {}))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), handler);
    let mut connection = pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        _ = stopping.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended with an error");
    }
}
