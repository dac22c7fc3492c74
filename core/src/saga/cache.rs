//! Values that are kept for a while: in memory, in a SQLite file, or not at all.
//!
//! Of those who miss the same key at the same time, one computes it and the others wait.

mod flight;
mod memory;
mod sqlite;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

pub use memory::MemoryStore;
pub use sqlite::SqliteCache;

use crate::failure::{Failure, FailureKind, Retry};
use crate::state::{Clock, SystemClock};
use flight::Flights;

/// How long a value is kept, if nobody says otherwise.
pub const USUAL_TTL: Duration = Duration::from_secs(900);

/// Why the cache cannot be used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CacheError {
    /// The store failed.
    #[error("the cache cannot be {doing}")]
    Store {
        /// What was being done to it.
        doing: &'static str,
        /// What the store says.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A value cannot be kept, or is of another type than is asked for.
    #[error("the value of `{key}` in the cache cannot be {doing}")]
    Value {
        /// The key.
        key: String,
        /// What was being done to it.
        doing: &'static str,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
}

impl From<CacheError> for Failure {
    fn from(error: CacheError) -> Self {
        let failure = Self::new(FailureKind::General, error.to_string())
            .with_retry(Retry::Backoff)
            .hint("`CACHE_DRIVER` names the cache; `none` goes without");
        match error {
            CacheError::Store { source, .. } => failure.because(source),
            CacheError::Value { source, .. } => failure.because(source),
        }
    }
}

/// A value with the time when it is no longer there, in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The value as JSON.
    pub json: String,
    /// When it is no longer there.
    pub expires: u64,
}

/// Keeps values for a [`Cache`], which looks at their times.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// Returns what is kept, expired or not.
    async fn load(&self, key: &str) -> Result<Option<Stored>, CacheError>;
    /// Keeps a value in the place of the one before.
    async fn save(&self, key: &str, value: Stored) -> Result<(), CacheError>;
    /// Forgets a value, if it is there.
    async fn remove(&self, key: &str) -> Result<(), CacheError>;
    /// Forgets what expired by a time, or everything.
    async fn clear(&self, expired_by: Option<u64>) -> Result<(), CacheError>;
}

/// What a default comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fill<T> {
    /// Nothing: that is not kept.
    Nothing,
    /// A value, kept for the usual time.
    Value(T),
    /// A value, and how long it is kept.
    For(T, Duration),
}

/// What [`Cache::flush`] forgets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flush {
    /// Everything.
    All,
    /// What has expired.
    Expired,
}

/// Values that are kept for a while. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Cache(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// `None`: nothing is kept.
    store: Option<Box<dyn Store>>,
    clock: Arc<dyn Clock>,
    ttl: Duration,
    flights: Flights,
}

impl Cache {
    /// Keeps values in a store.
    pub fn new(store: impl Store + 'static) -> Self {
        Self::with(
            Some(Box::new(store)),
            Arc::new(SystemClock::new()),
            USUAL_TTL,
        )
    }

    /// Keeps nothing: defaults are computed each time.
    #[must_use]
    pub fn null() -> Self {
        Self::with(None, Arc::new(SystemClock::new()), USUAL_TTL)
    }

    /// Keeps values in a store, if there is one, by another clock and for another usual time.
    #[must_use]
    pub fn with(store: Option<Box<dyn Store>>, clock: Arc<dyn Clock>, ttl: Duration) -> Self {
        Self(Arc::new(Inner {
            store,
            clock,
            ttl,
            flights: Flights::default(),
        }))
    }

    /// Returns whether nothing is kept.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.0.store.is_none()
    }

    /// Returns a value. A `ttl` makes it last for that time from now on.
    ///
    /// # Errors
    ///
    /// When the store fails, or the value is of another type.
    pub async fn get<T: DeserializeOwned>(
        &self,
        key: &str,
        ttl: Option<Duration>,
    ) -> Result<Option<T>, CacheError> {
        let Some(stored) = self.visible(key).await? else {
            return Ok(None);
        };
        let value: Option<T> =
            serde_json::from_str(&stored.json).map_err(|source| CacheError::Value {
                key: key.to_owned(),
                doing: "read",
                source,
            })?;
        if let (Some(ttl), Some(store), Some(_)) = (ttl, &self.0.store, &value) {
            let stored = Stored {
                expires: self.after(ttl),
                ..stored
            };
            store.save(key, stored).await?;
        }
        Ok(value)
    }

    /// Returns a value; on a miss, the default, which is kept. `ttl` makes a value that is there
    /// last for that time from now on; it says nothing about the default.
    ///
    /// # Errors
    ///
    /// As [`Cache::get`].
    pub async fn get_or<T>(
        &self,
        key: &str,
        ttl: Option<Duration>,
        default: T,
    ) -> Result<T, CacheError>
    where
        T: Serialize + DeserializeOwned + Clone + Send + Sync,
    {
        let filled = self
            .get_or_else(key, ttl, || async {
                Ok::<_, CacheError>(Fill::Value(default.clone()))
            })
            .await?;
        Ok(filled.unwrap_or(default))
    }

    /// Returns a value; on a miss, computes and keeps it. Of several at the same time, one
    /// computes.
    ///
    /// # Errors
    ///
    /// As [`Cache::get`]; that of `default`, after which nothing is kept.
    pub async fn get_or_else<T, E, F>(
        &self,
        key: &str,
        ttl: Option<Duration>,
        default: impl FnOnce() -> F,
    ) -> Result<Option<T>, E>
    where
        T: Serialize + DeserializeOwned + Send + Sync,
        E: From<CacheError>,
        F: Future<Output = Result<Fill<T>, E>>,
    {
        if let Some(value) = self.get(key, ttl).await? {
            return Ok(Some(value));
        }
        let _turn = match self.is_null() {
            true => None,
            false => {
                let turn = self.0.flights.turn(key).await;
                // Whoever had the turn before may have filled it.
                if let Some(value) = self.get(key, ttl).await? {
                    return Ok(Some(value));
                }
                Some(turn)
            }
        };
        let (value, ttl) = match default().await? {
            Fill::Nothing => return Ok(None),
            Fill::Value(value) => (value, None),
            Fill::For(value, ttl) => (value, Some(ttl)),
        };
        self.put(key, &value, ttl).await?;
        Ok(Some(value))
    }

    /// Keeps a value for a time, the usual one if none is given. With a time of nothing it is
    /// never there.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn put<T: Serialize + Sync>(
        &self,
        key: &str,
        value: &T,
        ttl: Option<Duration>,
    ) -> Result<(), CacheError> {
        let Some(store) = &self.0.store else {
            return Ok(());
        };
        let json = serde_json::to_string(value).map_err(|source| CacheError::Value {
            key: key.to_owned(),
            doing: "written",
            source,
        })?;
        let expires = self.after(ttl.unwrap_or(self.0.ttl));
        store.save(key, Stored { json, expires }).await
    }

    /// Returns whether there is a value that is something: `null` is not.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn has(&self, key: &str) -> Result<bool, CacheError> {
        let stored = self.visible(key).await?;
        Ok(stored.is_some_and(|stored| stored.json != "null"))
    }

    /// Forgets a value, if it is there.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn delete(&self, key: &str) -> Result<(), CacheError> {
        match &self.0.store {
            Some(store) => store.remove(key).await,
            None => Ok(()),
        }
    }

    /// Forgets everything, or what has expired.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn flush(&self, what: Flush) -> Result<(), CacheError> {
        match (&self.0.store, what) {
            (None, _) => Ok(()),
            (Some(store), Flush::All) => store.clear(None).await,
            (Some(store), Flush::Expired) => store.clear(Some(self.now())).await,
        }
    }

    async fn visible(&self, key: &str) -> Result<Option<Stored>, CacheError> {
        let Some(store) = &self.0.store else {
            return Ok(None);
        };
        let stored = store.load(key).await?;
        let now = self.now();
        Ok(stored.filter(|stored| now < stored.expires))
    }

    fn now(&self) -> u64 {
        self.0.clock.now().unix_ms
    }

    fn after(&self, ttl: Duration) -> u64 {
        let ttl = u64::try_from(ttl.as_millis()).unwrap_or(u64::MAX);
        self.now().saturating_add(ttl)
    }
}
