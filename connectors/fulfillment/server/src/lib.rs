//! A platform that has requests, and a vendor that has accounts, in one process and in memory:
//! what the fulfilment connector stands between.
//!
//! The platform speaks the shape of CloudBlue Connect, as far as the connector uses it. The
//! vendor makes things under keys that the caller chooses: a second `PUT` of a key changes
//! nothing, and what was deleted is not made again. Both can be told to fail.

mod platform;
mod state;
mod vendor;

use std::net::SocketAddr;

use axum::Router;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use state::Shared;

/// What the server needs to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Address to listen on; port 0 takes a free one.
    pub listen: String,
    /// What callers of the platform send as `Authorization: …`.
    pub key: String,
    /// What callers of the vendor send as `Authorization: Bearer …`.
    pub token: String,
}

/// A server that runs until it is dropped.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    work: JoinHandle<()>,
}

impl Server {
    /// Starts.
    ///
    /// # Errors
    ///
    /// When the address cannot be listened on.
    pub async fn start(options: Options) -> std::io::Result<Self> {
        let listener = TcpListener::bind(&options.listen).await?;
        let address = listener.local_addr()?;
        let router = router(Shared::new(options.key, options.token));
        let work = tokio::spawn(async move {
            // Ends only with the process, or when it is dropped.
            drop(axum::serve(listener, router).await);
        });
        Ok(Self { address, work })
    }

    /// Returns the address, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.work.abort();
    }
}

/// Makes the routes of both sides.
pub fn router(shared: Shared) -> Router {
    Router::new()
        .nest("/public/v1", platform::routes())
        .nest("/vendor/v1", vendor::routes())
        .with_state(shared)
}
