//! A connection to either database, as narrow as the operations need it.

use async_trait::async_trait;

use super::dialect::Dialect;
use super::value::{ColumnType, Row, Value};
use crate::error::Result;

/// A column of a bulk insert.
#[derive(Debug, Clone)]
pub(crate) struct BulkColumn {
    /// Its name, unquoted.
    pub(crate) name: String,
    /// What it holds.
    pub(crate) ty: ColumnType,
}

/// One connection, inside a transaction unless said otherwise.
#[async_trait]
pub(crate) trait Conn: Send {
    /// Returns how the database wants its SQL.
    fn dialect(&self) -> Dialect;

    /// Runs a statement and returns how many rows it changed.
    async fn execute(&mut self, sql: String, args: Vec<Value>) -> Result<u64>;

    /// Runs a query and returns all its rows.
    async fn fetch(&mut self, sql: String, args: Vec<Value>) -> Result<Vec<Row>>;

    /// Inserts many rows, in the way that the database does fastest.
    async fn insert_many(
        &mut self,
        table: &str,
        columns: &[BulkColumn],
        rows: Vec<Vec<Value>>,
    ) -> Result<()>;
}
