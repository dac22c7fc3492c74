//! The cache that the settings name.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::values::Values;
use crate::failure::{Failure, FailureKind};
use crate::saga::cache::{Cache, MemoryStore, SqliteCache, Store, USUAL_TTL};
use crate::saga::container::{ContainerBuilder, Provider};
use crate::state::SystemClock;

/// Binds a [`Cache`] under the key `cache`, as the [`Values`] say.
#[derive(Debug, Clone, Copy, Default)]
pub struct CacheProvider;

impl Provider for CacheProvider {
    fn key(&self) -> &'static str {
        "cache"
    }

    fn bind(self: Box<Self>, to: ContainerBuilder) -> ContainerBuilder {
        to.singleton(|values: Arc<Values>| async move { open_cache(&values).await })
    }
}

/// Opens the cache that settings name.
///
/// - `CACHE_DRIVER`: `none` (the default), `memory`, or `sqlite`; `file` is `sqlite`. One that is
///   not known, or cannot be opened, is reported in the log and nothing is kept.
/// - `CACHE_TTL`: seconds that values are kept, 900 by default.
/// - `CACHE_DIR`, `CACHE_SQLITE_NAME`: folder and name of the file, `cache` in the folder for
///   temporary files and `cache.db` by default. The folder is made.
///
/// # Errors
///
/// [`InvalidParameter`](FailureKind::InvalidParameter) when `CACHE_TTL` is not a number of
/// seconds.
pub async fn open_cache(values: &Values) -> Result<Cache, Failure> {
    let ttl = values
        .parse("CACHE_TTL")?
        .map_or(USUAL_TTL, Duration::from_secs);
    let driver = values.get("CACHE_DRIVER").unwrap_or("none");
    let opened: Result<Option<Box<dyn Store>>, Failure> = match driver {
        "" | "none" | "null" => Ok(None),
        "memory" => Ok(Some(Box::new(MemoryStore::new()))),
        "sqlite" | "file" => {
            let folder = values
                .get("CACHE_DIR")
                .map_or_else(|| std::env::temp_dir().join("cache"), PathBuf::from);
            let file = values.get("CACHE_SQLITE_NAME").unwrap_or("cache.db");
            match SqliteCache::open(&folder.join(file)).await {
                Ok(store) => Ok(Some(Box::new(store))),
                Err(error) => Err(error.into()),
            }
        }
        other => Err(Failure::new(
            FailureKind::InvalidParameter,
            format!("there is no cache driver `{}`", other.escape_default()),
        )),
    };
    let store = opened.unwrap_or_else(|failure| {
        tracing::warn!(
            error = failure.chain().join(": "),
            "nothing is cached; `CACHE_DRIVER` is `none`, `memory` or `sqlite`"
        );
        None
    });
    Ok(Cache::with(store, Arc::new(SystemClock::new()), ttl))
}
