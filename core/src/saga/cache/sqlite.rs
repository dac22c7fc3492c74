//! Values in a SQLite file, which processes of a machine share.

use std::path::Path;

use async_trait::async_trait;
use sqlx::sqlite::SqliteConnection;
use tokio::sync::Mutex;

use super::{CacheError, Store, Stored};
use crate::state::file::{self, Layout};

const LAYOUT: Layout = Layout {
    version: 1,
    // "CARC", beside the run state's "CARS".
    application: 0x4341_5243,
    tables: "CREATE TABLE entries (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL, \
             expire_at INTEGER NOT NULL) STRICT, WITHOUT ROWID; \
             PRAGMA application_id = 0x43415243; PRAGMA user_version = 1;",
    steps: &[],
};

/// Keeps values in a SQLite file.
#[derive(Debug)]
pub struct SqliteCache(Mutex<SqliteConnection>);

impl SqliteCache {
    /// Opens a file, and makes it and its folder, private to their owner, where there is none.
    ///
    /// # Errors
    ///
    /// [`CacheError::Store`].
    pub async fn open(path: &Path) -> Result<Self, CacheError> {
        let unusable = |source: Box<dyn std::error::Error + Send + Sync>| CacheError::Store {
            doing: "opened",
            source,
        };
        if let Some(folder) = path.parent().filter(|folder| !folder.exists()) {
            let mut builder = std::fs::DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder
                .create(folder)
                .map_err(|error| unusable(Box::new(error)))?;
        }
        let mut connection = file::open(path, &LAYOUT).await.map_err(|error| {
            let source = error.source;
            unusable(source.unwrap_or_else(|| error.problem.as_str().into()))
        })?;
        // What is lost with the power is computed again.
        sqlx::query("PRAGMA synchronous = NORMAL")
            .execute(&mut connection)
            .await
            .map_err(store("opened"))?;
        Ok(Self(Mutex::new(connection)))
    }
}

fn store(doing: &'static str) -> impl Fn(sqlx::Error) -> CacheError + Copy {
    move |error| CacheError::Store {
        doing,
        source: Box::new(error),
    }
}

#[async_trait]
impl Store for SqliteCache {
    async fn load(&self, key: &str) -> Result<Option<Stored>, CacheError> {
        let row: Option<(String, i64)> =
            sqlx::query_as("SELECT value, expire_at FROM entries WHERE key = ?")
                .bind(key)
                .fetch_optional(&mut *self.0.lock().await)
                .await
                .map_err(store("read"))?;
        Ok(row.map(|(json, expires)| Stored {
            json,
            expires: u64::try_from(expires).unwrap_or_default(),
        }))
    }

    async fn save(&self, key: &str, value: Stored) -> Result<(), CacheError> {
        sqlx::query("INSERT OR REPLACE INTO entries (key, value, expire_at) VALUES (?, ?, ?)")
            .bind(key)
            .bind(value.json)
            .bind(i64::try_from(value.expires).unwrap_or(i64::MAX))
            .execute(&mut *self.0.lock().await)
            .await
            .map(drop)
            .map_err(store("written"))
    }

    async fn remove(&self, key: &str) -> Result<(), CacheError> {
        sqlx::query("DELETE FROM entries WHERE key = ?")
            .bind(key)
            .execute(&mut *self.0.lock().await)
            .await
            .map(drop)
            .map_err(store("written"))
    }

    async fn clear(&self, expired_by: Option<u64>) -> Result<(), CacheError> {
        let by = expired_by.map(|by| i64::try_from(by).unwrap_or(i64::MAX));
        sqlx::query("DELETE FROM entries WHERE ?1 IS NULL OR expire_at <= ?1")
            .bind(by)
            .execute(&mut *self.0.lock().await)
            .await
            .map(drop)
            .map_err(store("written"))
    }
}
