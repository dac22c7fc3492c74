//! Starting and stopping the server, for the binary and for tests that run it in their process.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt as _;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::error::Error;
use crate::http::{self, App, Credentials};
use crate::store::Store;

/// How long running requests may take to end when the server stops.
const DRAIN: Duration = Duration::from_secs(8);

/// What a server needs to start.
#[derive(Clone)]
pub struct Options {
    /// The database file; it is created when it does not exist.
    pub data: PathBuf,
    /// `HOST:PORT`; port 0 takes a free one.
    pub listen: String,
    /// User name of HTTP basic authentication.
    pub username: String,
    /// Password of HTTP basic authentication.
    pub password: String,
    /// Number of changes the log keeps; a delta that starts before them is refused with 410.
    pub keep_changes: u64,
}

impl Options {
    /// Options for a server on a free loopback port.
    pub fn new(
        data: impl Into<PathBuf>,
        username: impl Into<String>,
        password: impl Into<String>,
    ) -> Self {
        Self {
            data: data.into(),
            listen: "127.0.0.1:0".to_owned(),
            username: username.into(),
            password: password.into(),
            keep_changes: 1_000_000,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("data", &self.data)
            .field("listen", &self.listen)
            .field("username", &self.username)
            .field("keep_changes", &self.keep_changes)
            .finish_non_exhaustive()
    }
}

/// Opens the database and builds the routes, for callers that serve them themselves; `listen` is
/// not used.
///
/// # Errors
/// [`Error::Setting`] when the database file cannot be used.
pub async fn router(options: &Options) -> Result<Router, Error> {
    Ok(open(options).await?.1)
}

async fn open(options: &Options) -> Result<(Store, Router), Error> {
    if options.username.contains(':') {
        return Err(Error::setting("--username", "must not contain a colon"));
    }
    let store = Store::open(&options.data, options.keep_changes).await?;
    let app = App {
        store: store.clone(),
        credentials: Arc::new(Credentials::new(&options.username, &options.password)),
    };
    Ok((store, http::router(app)))
}

/// A running server. Dropping it stops it without waiting; [`Server::stop`] waits.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    serving: JoinHandle<std::io::Result<()>>,
    store: Store,
}

impl Server {
    /// Opens the database, binds the address and starts to serve.
    ///
    /// # Errors
    /// [`Error::Setting`] when the file or the address cannot be used.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let unusable = |e| {
            Error::setting_from(
                "--listen",
                format!(
                    "cannot listen on {}; is the port in use? Choose another, or 0 for a free one",
                    options.listen
                ),
                e,
            )
        };
        let listener = TcpListener::bind(&options.listen).await.map_err(unusable)?;
        let address = listener.local_addr().map_err(unusable)?;
        let (store, router) = open(&options).await?;
        // Answers stream in several writes; without this each would wait for the client's
        // delayed acknowledgement.
        let listener = listener.tap_io(|stream| {
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(error = %error, "a connection keeps small writes back");
            }
        });
        let (stop, mut stopped) = watch::channel(false);
        let serving = tokio::spawn(
            axum::serve(listener, router)
                .with_graceful_shutdown(async move {
                    // An error means that the server was dropped, which stops it as well.
                    drop(stopped.wait_for(|stop| *stop).await);
                })
                .into_future(),
        );
        Ok(Self {
            address,
            stop,
            serving,
            store,
        })
    }

    /// The bound address.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as a URL, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Stops taking requests, lets running ones end (for at most 8 s), and closes the database.
    ///
    /// # Errors
    /// [`Error::Serve`] when the server had failed before.
    pub async fn stop(mut self) -> Result<(), Error> {
        self.stop.send_replace(true);
        let drained = tokio::time::timeout(DRAIN, &mut self.serving).await;
        if drained.is_err() {
            self.serving.abort();
            tracing::warn!("requests were still running when the server stopped");
        }
        drop(tokio::time::timeout(Duration::from_secs(1), self.store.close()).await);
        match drained {
            Ok(Ok(served)) => served.map_err(Error::Serve),
            Ok(Err(_)) | Err(_) => Ok(()),
        }
    }
}
