//! Values in memory, up to a number; those that are used least go first.

use async_trait::async_trait;
use moka::sync::Cache as Moka;

use super::{CacheError, Store, Stored};

/// Most values, if nobody says otherwise.
const USUAL_SIZE: u64 = 10_000;

/// Keeps values in memory.
#[derive(Debug, Clone)]
pub struct MemoryStore(Moka<String, Stored>);

impl MemoryStore {
    /// Keeps up to ten thousand values.
    #[must_use]
    pub fn new() -> Self {
        Self::of(USUAL_SIZE)
    }

    /// Keeps up to so many values.
    #[must_use]
    pub fn of(most: u64) -> Self {
        Self(Moka::new(most))
    }
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn load(&self, key: &str) -> Result<Option<Stored>, CacheError> {
        Ok(self.0.get(key))
    }

    async fn save(&self, key: &str, value: Stored) -> Result<(), CacheError> {
        self.0.insert(key.to_owned(), value);
        Ok(())
    }

    async fn remove(&self, key: &str) -> Result<(), CacheError> {
        self.0.invalidate(key);
        Ok(())
    }

    async fn clear(&self, expired_by: Option<u64>) -> Result<(), CacheError> {
        match expired_by {
            None => self.0.invalidate_all(),
            Some(now) => {
                for (key, value) in &self.0 {
                    if value.expires <= now {
                        self.0.invalidate(&*key);
                    }
                }
            }
        }
        Ok(())
    }
}
