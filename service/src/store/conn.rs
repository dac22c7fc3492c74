//! A connection to either database, as narrow as the operations need it.

use async_trait::async_trait;

use super::dialect::Dialect;
use super::value::{ColumnType, Row, Value};
use crate::error::Result;

/// A column of many rows.
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

    /// Runs a query whose columns have these names, among others, and returns these columns of
    /// all rows: many rows are quicker this way.
    async fn fetch_many(
        &mut self,
        sql: String,
        columns: &[BulkColumn],
        args: Vec<Value>,
    ) -> Result<Vec<Row>>;

    /// Inserts many rows, in the way that the database does fastest.
    async fn insert_many(
        &mut self,
        table: &str,
        columns: &[BulkColumn],
        rows: Rows<'_>,
    ) -> Result<()>;
}

/// Rows that are made while those before them are written.
pub(crate) type Rows<'r> = Box<dyn ExactSizeIterator<Item = Vec<Value>> + Send + 'r>;
