//! What every call needs: the store, the model in force, who may call.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::http::HeaderValue;
use car_schema::{Extension, Model};

use crate::auth::Access;
use crate::error::{Error, Result};
use crate::graphql::Engine;
use crate::ingest::Rules;
use crate::meter::Meter;
use crate::retention::Retention;
use crate::store::ops::{self, schema};
use crate::store::{Layout, Store};

/// The model in force with everything that is made from it.
#[derive(Debug)]
pub(crate) struct Snapshot {
    /// Counts the changes of the model.
    pub(crate) version: i64,
    /// Whether the tenant's database was created.
    pub(crate) created: bool,
    /// The collections.
    pub(crate) model: Model,
    /// Their tables.
    pub(crate) layout: Arc<Layout>,
    /// Their rules for imports.
    pub(crate) rules: Rules,
    /// The extensions that are in the model.
    pub(crate) extensions: Vec<Extension>,
    /// The query schema.
    pub(crate) engine: Engine,
}

impl Snapshot {
    /// Makes everything that a set of extensions needs.
    ///
    /// # Errors
    ///
    /// When an extension does not fit the core model or another extension.
    pub(crate) fn new(version: i64, created: bool, extensions: Vec<Extension>) -> Result<Self> {
        let model = model(&extensions)?;
        let layout = Layout::new(&model, &extensions);
        let rules = Rules::new(&model, &layout, &extensions)?;
        Ok(Self {
            version,
            created,
            model,
            layout: Arc::new(layout),
            rules,
            extensions,
            engine: Engine::default(),
        })
    }
}

/// Builds the model of a set of extensions.
///
/// Extensions can build on each other, whatever the order of their keys: they are tried until
/// a round brings nothing new.
pub(crate) fn model(extensions: &[Extension]) -> Result<Model> {
    let mut model = Model::core();
    let mut waiting: Vec<&Extension> = extensions.iter().collect();
    loop {
        let before = waiting.len();
        let mut first = None;
        waiting.retain(|extension| match model.extend(&extension.schema) {
            Ok(()) => false,
            Err(error) => {
                first.get_or_insert_with(|| {
                    Error::bad_request(
                        "invalid_extension",
                        format!(
                            "extension `{}` of `{}`: {error}",
                            extension.key, extension.owner
                        ),
                    )
                });
                true
            }
        });
        match first {
            None => return Ok(model),
            Some(error) if waiting.len() == before => return Err(error),
            Some(_) => {}
        }
    }
}

/// What one call may take.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Largest body of an import, in bytes.
    pub(crate) body: usize,
    /// Longest time of a query.
    pub(crate) query: Duration,
    /// Origins whose pages may call.
    pub(crate) origins: Vec<HeaderValue>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 64 << 20,
            query: Duration::from_secs(30),
            origins: Vec::new(),
        }
    }
}

/// Shared by all calls.
#[derive(Debug)]
pub(crate) struct AppState {
    /// Where the graph is kept.
    pub(crate) store: Store,
    /// Who may call.
    pub(crate) access: Access,
    /// What one call may take.
    pub(crate) limits: Limits,
    /// Numbers of what happened.
    pub(crate) meter: Meter,
    /// The worker that trims history.
    pub(crate) retention: Arc<Retention>,
    snapshot: RwLock<Arc<Snapshot>>,
    /// Held while the model is changed, so that changes come one after the other.
    pub(crate) changing: tokio::sync::Mutex<()>,
}

impl AppState {
    pub(crate) async fn new(store: Store, access: Access, limits: Limits) -> Result<Self> {
        let snapshot = load(&store).await?;
        Ok(Self {
            store,
            access,
            limits,
            meter: Meter::default(),
            retention: Arc::default(),
            snapshot: RwLock::new(Arc::new(snapshot)),
            changing: tokio::sync::Mutex::new(()),
        })
    }

    /// Returns the model in force.
    pub(crate) fn snapshot(&self) -> Arc<Snapshot> {
        let guard = self.snapshot.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&guard)
    }

    /// Reads the model again, after a change.
    pub(crate) async fn refresh(&self) -> Result<Arc<Snapshot>> {
        let snapshot = Arc::new(load(&self.store).await?);
        let mut guard = self
            .snapshot
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        *guard = Arc::clone(&snapshot);
        Ok(snapshot)
    }

    /// Returns the model in force of a tenant that has a database.
    pub(crate) async fn ready(&self) -> Result<Arc<Snapshot>> {
        let snapshot = self.snapshot();
        if snapshot.created {
            return Ok(snapshot);
        }
        // Another replica may have created it since.
        let snapshot = self.refresh().await?;
        if snapshot.created {
            Ok(snapshot)
        } else {
            Err(ops::not_created())
        }
    }
}

async fn load(store: &Store) -> Result<Snapshot> {
    let mut conn = store.read().await?;
    let state = ops::state(conn.as_mut()).await?;
    let extensions = schema::all(conn.as_mut()).await?;
    Snapshot::new(state.model, state.created, extensions)
}
