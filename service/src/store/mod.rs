//! Where the graph is kept.
//!
//! [`Store`] hides which database it is. Writes are [`Operation`]s, applied whole or not at all
//! and answered after they are on disk; reads see one moment of the data.

pub(crate) mod compare;
mod conn;
mod dialect;
mod job;
pub(crate) mod layout;
pub(crate) mod lookup;
pub(crate) mod ops;
mod postgres;
mod sqlite;
mod value;

use std::path::Path;
use std::time::Duration;

pub(crate) use conn::{BulkColumn, Conn};

pub(crate) use dialect::{Dialect, quote};
pub(crate) use job::Operation;
pub(crate) use layout::{Layout, Table};
pub(crate) use value::{ColumnType, Row, Value};

use crate::error::{Error, Result};

/// The database behind the service.
#[derive(Debug)]
pub(crate) enum Store {
    /// A file.
    Sqlite(sqlite::SqliteStore),
    /// A server.
    Postgres(postgres::PostgresStore),
}

impl Store {
    /// Opens the database file in the data folder.
    pub(crate) async fn sqlite(file: &Path) -> Result<Self> {
        Ok(Self::Sqlite(sqlite::SqliteStore::open(file).await?))
    }

    /// Connects to a PostgreSQL server.
    pub(crate) async fn postgres(url: &str) -> Result<Self> {
        Ok(Self::Postgres(postgres::PostgresStore::open(url).await?))
    }

    /// Applies a write; the answer comes after it is durable.
    pub(crate) async fn write<O: Operation>(&self, operation: O) -> Result<O::Output> {
        match self {
            Self::Sqlite(store) => {
                let (ticket, answer) = job::Ticket::new(operation);
                store.submit(Box::new(ticket)).await?;
                answer
                    .await
                    .map_err(|error| Error::unavailable("finish the write", error))?
            }
            Self::Postgres(store) => store.write(operation).await,
        }
    }

    /// Opens a view of the data as of now.
    pub(crate) async fn read(&self) -> Result<Box<dyn Conn>> {
        self.view(None).await
    }

    /// Opens a view of the data as of now for a caller that drops it after a time: then its
    /// statement ends too, whatever it was at.
    pub(crate) async fn read_within(&self, limit: Duration) -> Result<Box<dyn Conn>> {
        self.view(Some(limit)).await
    }

    async fn view(&self, limit: Option<Duration>) -> Result<Box<dyn Conn>> {
        match self {
            // A statement whose caller is gone ends by itself.
            Self::Sqlite(store) => Ok(Box::new(store.reader().await?)),
            Self::Postgres(store) => Ok(Box::new(store.reader(limit).await?)),
        }
    }

    /// Copies the data to a new file, readable by its owner only.
    pub(crate) async fn backup(&self, to: &str) -> Result<()> {
        match self {
            Self::Sqlite(store) => store.backup(to).await,
            Self::Postgres(_) => Err(Error::bad_request(
                "not_a_folder",
                "a PostgreSQL server has its own backup: use pg_dump",
            )),
        }
    }

    /// Waits for the writes under way, then closes.
    pub(crate) async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}
