//! What an operator does beside a running service: keys, backups, moving a graph.

use std::io::{BufRead, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use car_schema::is_key;

use crate::auth::{Access, Credentials, Role, StoredKey};
use crate::error::{Error, Result};
use crate::folder::{Folder, StartError};
use crate::migrate;
use crate::state::{AppState, Limits};
use crate::store::Store;
use crate::store::ops::{keys, setup};
use crate::transfer;

/// A store that is opened beside the service, which may run meanwhile.
#[derive(Debug)]
pub struct Admin {
    store: Store,
}

/// Where the graph is kept.
#[derive(Clone)]
#[non_exhaustive]
pub enum Place {
    /// In a data folder.
    Folder(PathBuf),
    /// On a PostgreSQL server.
    Server(String),
}

impl Place {
    /// Names the place in errors, without the secrets of an address.
    fn name(&self) -> String {
        match self {
            Self::Folder(folder) => folder.display().to_string(),
            Self::Server(_) => "the server named by --database-url".to_owned(),
        }
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Folder(path) => f.debug_tuple("Folder").field(path).finish(),
            // The address may hold a password.
            Self::Server(_) => f.debug_tuple("Server").finish_non_exhaustive(),
        }
    }
}

/// A key as it is listed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct KeyInfo {
    /// The key.
    pub key: String,
    /// `admin`, `connector` or `consumer`.
    pub role: &'static str,
    /// Sources that a connector's key may act for.
    pub sources: Vec<String>,
}

impl Admin {
    /// Opens the store of a service.
    ///
    /// # Errors
    ///
    /// When there is none, or it cannot be opened.
    pub async fn open(place: &Place) -> Result<Self, StartError> {
        let admin = Self::connect(place).await?;
        let prepared = admin.store.write(setup::Prepare).await;
        prepared.map_err(|source| StartError::Database {
            place: place.name(),
            source,
        })?;
        Ok(admin)
    }

    /// Brings the database up to this version of the program, as a start of the service does,
    /// and returns the names of what it lacked. Makes it where there is none. On a server this
    /// may be done while services run.
    ///
    /// # Errors
    ///
    /// When the database is from a newer program, cannot be opened or changed, or its folder is
    /// in use by a service.
    pub async fn migrate(place: &Place) -> Result<Vec<String>, StartError> {
        let folder = match place {
            Place::Folder(path) => Some(Folder::open(path)?),
            Place::Server(_) => None,
        };
        let admin = Self::connect(place).await?;
        let made = migrate::migrate(&admin.store).await;
        admin.close().await;
        drop(folder);
        made.map_err(|source| StartError::Database {
            place: place.name(),
            source,
        })
    }

    /// Returns the names of what [`Admin::migrate`] would make, and changes nothing.
    ///
    /// # Errors
    ///
    /// When there is no database, it is from a newer program or cannot be opened.
    pub async fn missing(place: &Place) -> Result<Vec<String>, StartError> {
        let admin = Self::connect(place).await?;
        let missing = migrate::check(&admin.store).await;
        admin.close().await;
        missing.map_err(|source| StartError::Database {
            place: place.name(),
            source,
        })
    }

    async fn connect(place: &Place) -> Result<Self, StartError> {
        let store = match place {
            Place::Folder(folder) => {
                let file = folder.join("car.db");
                if !file.is_file() {
                    return Err(StartError::Folder {
                        path: folder.clone(),
                        source: std::io::Error::new(
                            std::io::ErrorKind::NotFound,
                            "there is no car.db in it; start the service first",
                        ),
                    });
                }
                Store::sqlite(&file).await
            }
            Place::Server(url) => Store::postgres(url).await,
        };
        let store = store.map_err(|source| StartError::Database {
            place: place.name(),
            source,
        })?;
        Ok(Self { store })
    }

    /// Makes a key. The password is returned now and never again.
    ///
    /// # Errors
    ///
    /// When the role is unknown, a connector names no source or another role names one.
    pub async fn create_key(&self, role: &str, sources: Vec<String>) -> Result<Credentials> {
        let credentials = create_key(&self.store, role, sources).await?;
        tracing::info!(target: "audit", key = credentials.key, role, "a key was made");
        Ok(credentials)
    }

    /// Lists all keys.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub async fn keys(&self) -> Result<Vec<KeyInfo>> {
        let mut conn = self.store.read().await?;
        Ok(keys::all(conn.as_mut())
            .await?
            .into_iter()
            .map(|key| KeyInfo {
                key: key.key,
                role: key.role.name(),
                sources: match key.role {
                    Role::Connector(sources) => sources,
                    Role::Admin | Role::Consumer => Vec::new(),
                },
            })
            .collect())
    }

    /// Takes a key away; a running service follows within five seconds.
    ///
    /// # Errors
    ///
    /// When there is no such key.
    pub async fn revoke_key(&self, key: &str) -> Result<()> {
        if self.store.write(keys::RevokeKey(key.to_owned())).await? {
            tracing::info!(target: "audit", key, "a key was taken away");
            return Ok(());
        }
        Err(Error::not_found(
            "unknown_key",
            format!("there is no key `{key}`; see them with `car-service key list`"),
        ))
    }

    /// Writes a copy of the data as of now to a new file, while the service runs.
    ///
    /// # Errors
    ///
    /// When the file exists or cannot be written, or the store is not a data folder.
    pub async fn backup(&self, to: &Path) -> Result<()> {
        if to.exists() {
            return Err(Error::bad_request(
                "file_exists",
                format!("{} exists; name a new file with --to", to.display()),
            ));
        }
        let Some(text) = to.to_str() else {
            return Err(Error::bad_request(
                "invalid_path",
                "--to is not valid UTF-8",
            ));
        };
        self.store.backup(text).await
    }

    /// Writes what exists now as lines of JSON and returns the number of rows.
    ///
    /// # Errors
    ///
    /// When the store does not answer or the output cannot be written.
    pub async fn export(self, out: &mut (impl Write + Send)) -> Result<u64> {
        let state = self.state().await?;
        let count = transfer::export(&state, out).await?;
        state.store.close().await;
        Ok(count)
    }

    /// Takes in lines that [`Admin::export`] wrote and returns the number of rows.
    ///
    /// # Errors
    ///
    /// Names the first line that cannot be taken; those before it stay.
    pub async fn import(self, input: &mut (impl BufRead + Send)) -> Result<u64> {
        let state = Arc::new(self.state().await?);
        let count = transfer::import(&state, input).await?;
        state.store.close().await;
        Ok(count)
    }

    async fn state(self) -> Result<AppState> {
        let limits = Limits {
            body: usize::MAX,
            ..Limits::default()
        };
        AppState::new(self.store, Access::default(), limits).await
    }

    /// Closes the store.
    pub async fn close(self) {
        self.store.close().await;
    }
}

/// Makes a key. The password is returned now and never again.
///
/// # Errors
///
/// When the role is unknown, a connector names no source or another role names one.
pub(crate) async fn create_key(
    store: &Store,
    role: &str,
    sources: Vec<String>,
) -> Result<Credentials> {
    let role = match (role, sources.is_empty()) {
        ("admin", true) => Role::Admin,
        ("consumer", true) => Role::Consumer,
        ("connector", false) => Role::Connector(sources),
        ("connector", true) => {
            return Err(Error::bad_request(
                "missing_source",
                "a connector's key needs the sources it may act for; name at least one",
            ));
        }
        ("admin" | "consumer", false) => {
            return Err(Error::bad_request(
                "unexpected_source",
                "only a connector's key has sources; leave them out",
            ));
        }
        _ => {
            return Err(Error::bad_request(
                "unknown_role",
                "the role is admin, connector or consumer; choose one of them",
            ));
        }
    };
    if let Role::Connector(sources) = &role
        && let Some(bad) = sources.iter().find(|source| !is_key(source))
    {
        return Err(Error::bad_request(
            "invalid_source",
            format!(
                "`{bad}` cannot be the key of a source: 1 to 254 letters, digits and some marks"
            ),
        ));
    }
    let credentials = Credentials::generate();
    let key = StoredKey::new(&credentials, role);
    store.write(keys::AddKey(key)).await?;
    Ok(credentials)
}
