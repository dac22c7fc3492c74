//! Where the connectors that are installed are kept.

use async_trait::async_trait;

use super::error::TaskError;
use super::sqlite::{ConnectorRow, SqliteEngine};

/// Keeps the connectors that are installed. Calls are durable when they return.
#[async_trait]
pub trait ConnectorStore: Send + Sync {
    /// Returns the connectors in the order of their names.
    async fn connectors(&self) -> Result<Vec<ConnectorRow>, TaskError>;

    /// Keeps a connector, in the place of one with its name.
    async fn put(&self, row: ConnectorRow) -> Result<(), TaskError>;

    /// Forgets a connector. Its tasks stay.
    async fn delete(&self, name: &str) -> Result<(), TaskError>;
}

#[async_trait]
impl ConnectorStore for SqliteEngine {
    async fn connectors(&self) -> Result<Vec<ConnectorRow>, TaskError> {
        self.installed().await
    }

    async fn put(&self, row: ConnectorRow) -> Result<(), TaskError> {
        self.put_connector(row).await
    }

    async fn delete(&self, name: &str) -> Result<(), TaskError> {
        self.delete_connector(name).await
    }
}
