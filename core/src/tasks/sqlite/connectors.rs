//! The connectors that are installed, beside their tasks.

use serde_json::Value;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::rows::to_json;
use super::storage;
use crate::tasks::error::TaskError;

/// A connector that is installed. Its `Debug` does not show the settings.
#[derive(Clone, PartialEq)]
pub struct ConnectorRow {
    /// Its name, which is its identity.
    pub name: String,
    /// What kind it is.
    pub provider: String,
    /// Its settings, secrets included.
    pub settings: Value,
    /// Where it stands.
    pub phase: Phase,
    /// Settings that are being applied.
    pub pending: Option<Value>,
    /// What failed last.
    pub error: Option<String>,
    /// How often it was installed under its name, resets included.
    pub incarnation: i64,
    /// When it was installed, in milliseconds since 1970.
    pub created_at: i64,
    /// When anything changed, in milliseconds since 1970.
    pub updated_at: i64,
}

impl std::fmt::Debug for ConnectorRow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnectorRow")
            .field("name", &self.name)
            .field("provider", &self.provider)
            .field("phase", &self.phase)
            .field("error", &self.error)
            .field("incarnation", &self.incarnation)
            .finish_non_exhaustive()
    }
}

/// Where a connector stands. All but `Ready` and `Failed` are left by a process that ended in the
/// middle, and are undone at the next start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// It is being installed.
    Installing,
    /// It is there.
    Ready,
    /// New settings are being applied.
    Updating,
    /// It is being uninstalled.
    Removing,
    /// A reset failed half way; the settings are kept.
    Failed,
}

impl Phase {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Installing, "installing"),
        (Self::Ready, "ready"),
        (Self::Updating, "updating"),
        (Self::Removing, "removing"),
        (Self::Failed, "failed"),
    ];

    /// Returns the word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        let found = Self::ALL.iter().find(|(phase, _)| *phase == self);
        found.map_or("failed", |(_, word)| word)
    }

    fn from_word(word: &str) -> Self {
        let found = Self::ALL.iter().find(|(_, known)| *known == word);
        found.map_or(Self::Failed, |(phase, _)| *phase)
    }
}

/// A change to the connectors.
#[derive(Debug)]
pub(super) enum ConnectorWrite {
    Put(Box<ConnectorRow>),
    Delete(String),
}

impl ConnectorWrite {
    pub(super) async fn apply(&self, connection: &mut SqliteConnection) -> Result<(), TaskError> {
        let query = match self {
            Self::Delete(name) => sqlx::query("DELETE FROM connector WHERE name = ?").bind(name),
            Self::Put(row) => sqlx::query(
                "INSERT OR REPLACE INTO connector (name, provider, settings, phase, pending, \
                 error, incarnation, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            )
            .bind(&row.name)
            .bind(&row.provider)
            .bind(to_json(&row.settings))
            .bind(row.phase.as_str())
            .bind(row.pending.as_ref().map(to_json))
            .bind(&row.error)
            .bind(row.incarnation)
            .bind(row.created_at)
            .bind(row.updated_at),
        };
        let done = query.execute(connection).await;
        done.map(drop).map_err(storage("written"))
    }
}

pub(super) async fn all(connection: &mut SqliteConnection) -> Result<Vec<ConnectorRow>, TaskError> {
    let rows = sqlx::query("SELECT * FROM connector ORDER BY name")
        .fetch_all(connection)
        .await
        .map_err(storage("read"))?;
    rows.iter()
        .map(|row| {
            let pending: Option<&str> = row.try_get("pending")?;
            Ok(ConnectorRow {
                name: row.try_get("name")?,
                provider: row.try_get("provider")?,
                settings: serde_json::from_str(row.try_get("settings")?).unwrap_or_default(),
                phase: Phase::from_word(row.try_get("phase")?),
                pending: pending.and_then(|text| serde_json::from_str(text).ok()),
                error: row.try_get("error")?,
                incarnation: row.try_get("incarnation")?,
                created_at: row.try_get("created_at")?,
                updated_at: row.try_get("updated_at")?,
            })
        })
        .collect::<sqlx::Result<_>>()
        .map_err(storage("read"))
}
