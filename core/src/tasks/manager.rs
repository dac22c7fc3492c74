//! Installs, updates, resets and uninstalls connectors, and starts them again with the process.
//!
//! What is under way is written down first: a process that ends in the middle is put right by the
//! next one. One change of a connector at a time; a change goes on when whoever asked for it is
//! gone.

mod change;
mod error;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub use error::ConnectorError;

use super::connector::{ConnectorContext, HIDDEN, Provider, Resolver, TaskConnector};
use super::engine::TaskEngine;
use super::error::TaskError;
use super::ingest::CarAccess;
use super::schedule::signed;
use super::sqlite::{ConnectorRow, Phase};
use super::store::ConnectorStore;
use crate::failure::{Failure, FailureKind};

/// How long a connector may take to load, install, update or uninstall.
const PATIENCE: Duration = Duration::from_secs(60);

/// Longest name of a connector.
const LONGEST_NAME: usize = 100;

/// What the manager is made of.
pub struct ManagerOptions {
    /// Runs the tasks.
    pub engine: Arc<dyn TaskEngine>,
    /// Keeps the connectors.
    pub store: Arc<dyn ConnectorStore>,
    /// The kinds that can be installed.
    pub providers: Vec<Arc<dyn Provider>>,
    /// How to reach the CAR service, if there is one.
    pub car: Option<Arc<CarAccess>>,
    /// Cancelled when the process ends.
    pub cancel: CancellationToken,
}

/// Installs connectors and keeps them going.
#[derive(Clone)]
pub struct Manager(Arc<Inner>);

struct Inner {
    options: ManagerOptions,
    known: std::sync::Mutex<BTreeMap<String, Known>>,
    turns: std::sync::Mutex<HashMap<String, Arc<Mutex<()>>>>,
}

/// A connector as it is in memory.
#[derive(Clone)]
struct Known {
    row: ConnectorRow,
    connector: Option<Arc<dyn TaskConnector>>,
    /// Whether the flags of the process make it, so that nobody can change it from outside.
    fixed: bool,
}

/// A connector as it can be seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ConnectorView {
    /// Its name, which is its identity.
    pub name: String,
    /// Its kind.
    pub provider: String,
    /// Where it stands.
    pub phase: Phase,
    /// Why it does not run, or what failed last.
    pub error: Option<String>,
    /// How often it was installed under its name, resets included.
    pub incarnation: i64,
    /// Whether the flags of the process make it.
    pub fixed: bool,
    /// When it was installed, in milliseconds since 1970.
    pub created_at: i64,
    /// When anything changed, in milliseconds since 1970.
    pub updated_at: i64,
}

impl Manager {
    /// Starts everything that is installed. A connector that cannot be started does not keep the
    /// others from it; its view says why.
    ///
    /// # Errors
    ///
    /// When the store cannot be read.
    pub async fn start(options: ManagerOptions) -> Result<Self, TaskError> {
        let rows = options.store.connectors().await?;
        let manager = Self(Arc::new(Inner {
            options,
            known: std::sync::Mutex::default(),
            turns: std::sync::Mutex::default(),
        }));
        let mut starts = JoinSet::new();
        for row in rows {
            let manager = manager.clone();
            starts.spawn(async move { manager.restore(row).await });
        }
        while let Some(ended) = starts.join_next().await {
            if let Err(error) = ended {
                tracing::error!(%error, "a connector's start ended unexpectedly");
            }
        }
        Ok(manager)
    }

    /// Returns the engine.
    #[must_use]
    pub fn engine(&self) -> &Arc<dyn TaskEngine> {
        &self.0.options.engine
    }

    /// Returns the kinds that can be installed.
    #[must_use]
    pub fn providers(&self) -> &[Arc<dyn Provider>] {
        &self.0.options.providers
    }

    /// Returns all connectors in the order of their names.
    #[must_use]
    pub fn connectors(&self) -> Vec<ConnectorView> {
        self.known(|known| known.values().map(Known::view).collect())
    }

    /// Returns a connector.
    ///
    /// # Errors
    ///
    /// [`ConnectorError::Unknown`].
    pub fn connector(&self, name: &str) -> Result<ConnectorView, ConnectorError> {
        self.find(name).map(|known| known.view())
    }

    /// Returns the settings of a connector, with [`HIDDEN`] in the place of secrets.
    ///
    /// # Errors
    ///
    /// [`ConnectorError::Unknown`].
    pub fn settings(&self, name: &str) -> Result<Value, ConnectorError> {
        let known = self.find(name)?;
        Ok(match self.provider(&known.row.provider) {
            Ok(provider) => provider.hide(&known.row.settings),
            // Nobody knows which of them are secret.
            Err(_) => hide_all(&known.row.settings),
        })
    }

    /// Runs a connector that the flags of the process make: it is not stored, and nobody can
    /// change it from outside. Its tasks are, and go on.
    ///
    /// # Errors
    ///
    /// When the name is taken by a stored one, and what the connector's
    /// [`install`](TaskConnector::install) fails with.
    pub async fn run_fixed(
        &self,
        name: &str,
        provider: &str,
        limit: usize,
        connector: Arc<dyn TaskConnector>,
    ) -> Result<(), ConnectorError> {
        let installed = Some(Hook::Install);
        self.fixed(name, provider, limit, connector, installed)
            .await
    }

    /// Does the steps of a connector that the flags of the process make and that runs in another
    /// process: schedules nothing, and stores nothing.
    ///
    /// # Errors
    ///
    /// When the name is taken, and what the engine fails with.
    pub async fn work_for_fixed(
        &self,
        name: &str,
        provider: &str,
        limit: usize,
        connector: Arc<dyn TaskConnector>,
    ) -> Result<(), ConnectorError> {
        self.fixed(name, provider, limit, connector, None).await
    }

    /// Does the steps of a connector that is installed in another process, with the same
    /// settings: schedules nothing, and stores nothing. Without a kind, it is the one with that
    /// name, or the only one.
    ///
    /// # Errors
    ///
    /// When the name is taken, there is no such kind, or the settings are not valid.
    pub async fn work_for(
        &self,
        name: &str,
        provider: Option<&str>,
        settings: Value,
    ) -> Result<(), ConnectorError> {
        check_name(name)?;
        let provider = self.kind(name, provider)?;
        let settings = provider.complete(settings);
        let loaded = self.load(name, &provider, &settings).await;
        let connector = loaded.map_err(|failure| ConnectorError::Settings(Box::new(failure)))?;
        self.work_for_fixed(name, provider.name(), provider.limit(), connector)
            .await
    }

    async fn fixed(
        &self,
        name: &str,
        provider: &str,
        limit: usize,
        connector: Arc<dyn TaskConnector>,
        hook: Option<Hook>,
    ) -> Result<(), ConnectorError> {
        check_name(name)?;
        if self.find(name).is_ok() {
            return Err(ConnectorError::Exists(name.to_owned()));
        }
        let now = now();
        let row = ConnectorRow {
            name: name.to_owned(),
            provider: provider.to_owned(),
            settings: Value::Object(serde_json::Map::new()),
            phase: Phase::Ready,
            pending: None,
            error: None,
            incarnation: 1,
            created_at: now,
            updated_at: now,
        };
        let resolver = Arc::new(Resolver(Arc::clone(&connector)));
        self.engine().start(name, limit, resolver).await?;
        let called = match hook {
            Some(hook) => self.call(name, &connector, hook).await,
            None => Ok(()),
        };
        self.remember(Known {
            row,
            connector: Some(connector),
            fixed: true,
        });
        called.map_err(|failure| ConnectorError::Hook {
            doing: "started",
            failure: Box::new(failure),
        })
    }

    fn context(&self, name: &str) -> ConnectorContext {
        let options = &self.0.options;
        let engine = Arc::clone(&options.engine);
        ConnectorContext::new(name, engine, options.car.clone(), options.cancel.clone())
    }

    fn provider(&self, name: &str) -> Result<Arc<dyn Provider>, ConnectorError> {
        let found = self.providers().iter().find(|known| known.name() == name);
        found
            .cloned()
            .ok_or_else(|| ConnectorError::Provider(name.to_owned()))
    }

    /// Finds the kind of a new connector: the one that is named, the only one, or that of its name.
    fn kind(&self, name: &str, kind: Option<&str>) -> Result<Arc<dyn Provider>, ConnectorError> {
        match (kind, self.providers()) {
            (Some(kind), _) => self.provider(kind),
            (None, [only]) => Ok(Arc::clone(only)),
            (None, _) => self.provider(name),
        }
    }

    fn known<T>(&self, look: impl FnOnce(&mut BTreeMap<String, Known>) -> T) -> T {
        look(&mut self.0.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn find(&self, name: &str) -> Result<Known, ConnectorError> {
        self.known(|known| known.get(name).cloned())
            .ok_or_else(|| ConnectorError::Unknown(name.to_owned()))
    }

    fn remember(&self, connector: Known) {
        self.known(|known| known.insert(connector.row.name.clone(), connector));
    }

    /// Stores a row and remembers it.
    async fn put(&self, mut known: Known) -> Result<(), TaskError> {
        known.row.updated_at = now();
        self.0.options.store.put(known.row.clone()).await?;
        self.remember(known);
        Ok(())
    }

    /// Waits for the turn to change a connector.
    async fn turn(&self, name: &str) -> tokio::sync::OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.0.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(name.to_owned()).or_default())
        };
        turn.lock_owned().await
    }

    /// Makes a connector of settings, within a time limit, and with panics as failures.
    async fn load(
        &self,
        name: &str,
        provider: &Arc<dyn Provider>,
        settings: &Value,
    ) -> Result<Arc<dyn TaskConnector>, Failure> {
        let (provider, settings) = (Arc::clone(provider), settings.clone());
        let context = self.context(name);
        guarded(
            "load",
            async move { provider.load(&settings, &context).await },
        )
        .await
    }

    /// Calls a connector, within a time limit, and with panics as failures.
    async fn call(
        &self,
        name: &str,
        connector: &Arc<dyn TaskConnector>,
        hook: Hook,
    ) -> Result<(), Failure> {
        let (connector, context) = (Arc::clone(connector), self.context(name));
        guarded(hook.word(), async move {
            match hook {
                Hook::Install => connector.install(&context).await,
                Hook::Uninstall => connector.uninstall(&context).await,
                Hook::Update => connector.update(&context).await,
            }
        })
        .await
    }
}

/// What a connector is called for.
#[derive(Debug, Clone, Copy)]
enum Hook {
    Install,
    Uninstall,
    Update,
}

impl Hook {
    const fn word(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Uninstall => "uninstall",
            Self::Update => "update",
        }
    }
}

impl Known {
    fn view(&self) -> ConnectorView {
        let row = &self.row;
        ConnectorView {
            name: row.name.clone(),
            provider: row.provider.clone(),
            phase: row.phase,
            error: row.error.clone(),
            incarnation: row.incarnation,
            fixed: self.fixed,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// Runs what a connector does of its own, within a time limit, and with panics as failures.
async fn guarded<T: Send + 'static>(
    doing: &'static str,
    work: impl Future<Output = Result<T, Failure>> + Send + 'static,
) -> Result<T, Failure> {
    let work = tokio::spawn(work);
    let abort = work.abort_handle();
    match tokio::time::timeout(PATIENCE, work).await {
        Ok(Ok(done)) => done,
        Ok(Err(error)) => Err(Failure::new(
            FailureKind::General,
            format!("the connector panicked in `{doing}`"),
        )
        .because(error.to_string())
        .hint("this is a defect of the connector")),
        Err(_) => {
            abort.abort();
            Err(Failure::new(
                FailureKind::General,
                format!(
                    "the connector's `{doing}` took longer than {} s",
                    PATIENCE.as_secs()
                ),
            ))
        }
    }
}

fn check_name(name: &str) -> Result<(), ConnectorError> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let begins = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if begins && name.len() <= LONGEST_NAME && name.chars().all(fine) {
        return Ok(());
    }
    Err(ConnectorError::Name(
        name.chars().take(LONGEST_NAME).collect(),
    ))
}

/// Puts stored secrets where the settings have what stands for them.
fn reveal(settings: &mut Value, stored: &Value) {
    match (settings, stored) {
        (Value::Object(settings), Value::Object(stored)) => {
            for (key, value) in settings {
                if let Some(stored) = stored.get(key) {
                    reveal(value, stored);
                }
            }
        }
        (Value::Array(settings), Value::Array(stored)) => {
            for (value, stored) in settings.iter_mut().zip(stored) {
                reveal(value, stored);
            }
        }
        (settings, stored) if settings == HIDDEN => settings.clone_from(stored),
        _ => {}
    }
}

fn hide_all(settings: &Value) -> Value {
    match settings {
        Value::Object(fields) => fields
            .keys()
            .map(|key| (key.clone(), Value::from(HIDDEN)))
            .collect(),
        _ => Value::from(HIDDEN),
    }
}

fn now() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    signed(u64::try_from(now.as_millis()).unwrap_or(u64::MAX))
}
