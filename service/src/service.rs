//! Putting the service together.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::HeaderValue;
use tokio::task::JoinHandle;

use crate::api;
use crate::auth::{Access, Credentials, Role, StoredKey};
use crate::error::Error;
use crate::folder::{Folder, StartError};
use crate::linger::linger;
use crate::migrate;
use crate::pages;
use crate::retention;
use crate::state::{AppState, Limits};
use crate::store::Store;
use crate::store::ops::keys;

#[cfg(feature = "fuzzing")]
mod fuzzing;

/// How a service shall be.
#[derive(Default)]
pub struct ServiceBuilder {
    data: PathBuf,
    database: Option<String>,
    credentials: Option<Credentials>,
    token: Option<String>,
    limits: Limits,
}

impl fmt::Debug for ServiceBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Address, password and token are secrets.
        f.debug_struct("ServiceBuilder")
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl ServiceBuilder {
    /// Sets key and password; without them the service makes its own on the first start.
    #[must_use]
    pub fn credentials(mut self, key: impl Into<String>, password: impl Into<String>) -> Self {
        self.credentials = Some(Credentials {
            key: key.into(),
            password: password.into(),
        });
        self
    }

    /// Keeps the graph on a PostgreSQL server instead of the data folder.
    #[must_use]
    pub fn database_url(mut self, url: impl Into<String>) -> Self {
        self.database = Some(url.into());
        self
    }

    /// Sets a token that `Authorization: car-token` may carry.
    #[must_use]
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets the largest body of an import, in bytes; 64 MiB unless set.
    #[must_use]
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.limits.body = bytes;
        self
    }

    /// Sets the longest time that a query may take; 30 seconds unless set.
    #[must_use]
    pub fn query_timeout(mut self, limit: Duration) -> Self {
        self.limits.query = limit;
        self
    }

    /// Lets pages of other origins, such as `https://portal.example.com`, call from a browser.
    #[must_use]
    pub fn origins(mut self, origins: impl IntoIterator<Item = HeaderValue>) -> Self {
        self.limits.origins.extend(origins);
        self
    }

    /// Opens the data folder.
    ///
    /// # Errors
    ///
    /// When the folder cannot be used or its database is from a newer program.
    pub async fn build(self) -> Result<Service, StartError> {
        if let Some(credentials) = &self.credentials
            && (credentials.key.is_empty()
                || credentials.key.contains(':')
                || credentials.password.is_empty())
        {
            return Err(StartError::Credentials {
                reason: "key and password must not be empty, and the key has no colon".into(),
            });
        }
        let folder = match &self.database {
            Some(_) => None,
            None => Some(Folder::open(&self.data)?),
        };
        let place = match &self.database {
            Some(_) => "the server named by --database-url".to_owned(),
            None => self.data.display().to_string(),
        };
        let failed = |source| StartError::Database {
            place: place.clone(),
            source,
        };
        let store = match (&self.database, &folder) {
            (Some(url), _) => Store::postgres(url).await,
            (None, Some(folder)) => Store::sqlite(&folder.database()).await,
            (None, None) => Err(Error::internal(
                "open its store",
                "no folder and no address",
            )),
        }
        .map_err(failed)?;
        let missing = migrate::migrate(&store).await.map_err(failed)?;
        if !missing.is_empty() {
            tracing::info!(parts = missing.len(), "the database was brought up to date");
        }
        let stored = {
            let mut conn = store.read().await.map_err(failed)?;
            keys::all(conn.as_mut()).await.map_err(failed)?
        };
        let mut generated = None;
        if self.credentials.is_none() && stored.is_empty() {
            let credentials = Credentials::generate();
            let key = StoredKey::new(&credentials, Role::Admin);
            let first = store.write(keys::AddFirstKey(key)).await.map_err(failed)?;
            generated = first.then_some(credentials);
        }
        let access = Access::new(self.credentials, self.token);
        let state = AppState::new(store, access, self.limits)
            .await
            .map_err(failed)?;
        let state = Arc::new(state);
        let trimming = tokio::spawn(retention::run(Arc::downgrade(&state)));
        Ok(Service {
            state,
            trimming,
            folder,
            generated,
        })
    }
}

/// An open service.
#[derive(Debug)]
pub struct Service {
    state: Arc<AppState>,
    trimming: JoinHandle<()>,
    folder: Option<Folder>,
    generated: Option<Credentials>,
}

impl Service {
    /// Begins to describe a service that keeps its data in a folder.
    #[must_use]
    pub fn builder(data: impl Into<PathBuf>) -> ServiceBuilder {
        ServiceBuilder {
            data: data.into(),
            ..ServiceBuilder::default()
        }
    }

    /// Returns key and password when this start made them; only now can they be seen.
    #[must_use]
    pub const fn generated(&self) -> Option<&Credentials> {
        self.generated.as_ref()
    }

    /// Returns the routes of the protocol, below `/api/car`, and of the pages, below `/ui`.
    pub fn router(&self) -> Router {
        api::router(Arc::clone(&self.state))
            .merge(pages::router(Arc::clone(&self.state)))
            .layer(axum::middleware::from_fn(linger))
    }

    /// Waits for the writes under way and closes the database.
    pub async fn close(self) {
        self.trimming.abort();
        self.state.store.close().await;
        drop(self.folder);
    }
}
