//! Reading: objects leave the database as finished JSON text.

use serde_json::Value;
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use super::{Store, sql};
use crate::error::ApiError;
use crate::model::{COLLECTIONS, Collection};

/// Objects per statement; bounds the text that is in memory at a time.
pub(crate) const CHUNK: i64 = 500;

/// Statements of `collection`.
pub(crate) fn statements(collection: &Collection) -> Result<&'static sql::CollectionSql, ApiError> {
    sql::of(collection).ok_or_else(|| {
        ApiError::new(
            axum::http::StatusCode::NOT_FOUND,
            "no_such_collection",
            format!("there is no collection {}", collection.name),
        )
    })
}

/// A run of objects: JSON objects with commas between them, and where to go on.
pub(crate) struct Chunk {
    pub(crate) list: String,
    pub(crate) last: i64,
}

/// Which objects of a collection are read.
#[derive(Debug, Clone)]
pub(crate) enum Wanted {
    /// Those with a greater pk, at most so many.
    Range { after: i64, limit: i64 },
    /// Those with these pks, as a JSON list.
    These(String),
}

/// Reads up to `limit` objects after pk `after`.
pub(crate) async fn chunk(
    connection: &mut SqliteConnection,
    collection: &Collection,
    base: &str,
    after: i64,
    limit: i64,
    these: Option<&str>,
) -> Result<Option<Chunk>, ApiError> {
    let statements = statements(collection)?;
    let query = match these {
        None => sqlx::query(statements.chunk.as_str()),
        Some(_) => sqlx::query(statements.chunk_of.as_str()),
    };
    let query = query.bind(base).bind(after).bind(limit);
    let query = match these {
        None => query,
        Some(pks) => query.bind(pks),
    };
    let row = query.fetch_one(connection).await?;
    let list: Option<String> = row.try_get(0)?;
    let last: Option<i64> = row.try_get(1)?;
    Ok(list.zip(last).map(|(list, last)| Chunk { list, last }))
}

/// Reads one object as JSON text.
pub(crate) async fn one(
    connection: &mut SqliteConnection,
    collection: &Collection,
    base: &str,
    pk: i64,
) -> Result<Option<String>, ApiError> {
    let row = sqlx::query(statements(collection)?.one.as_str())
        .bind(base)
        .bind(pk)
        .fetch_optional(connection)
        .await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

/// The last pk of the page after `after`, when another page follows it.
pub(crate) async fn next_page(
    connection: &mut SqliteConnection,
    collection: &Collection,
    after: i64,
    limit: i64,
) -> Result<Option<i64>, ApiError> {
    let row = sqlx::query(statements(collection)?.page_end.as_str())
        .bind(after)
        .bind(limit)
        .fetch_one(connection)
        .await?;
    let last: Option<i64> = row.try_get(0)?;
    let more: bool = row.try_get(1)?;
    Ok(last.filter(|_| more))
}

impl Store {
    /// Name and number of objects of every collection.
    pub(crate) async fn counts(&self) -> Result<Vec<(&'static Collection, i64)>, ApiError> {
        let mut tx = self.readers.begin().await?;
        let mut counts = Vec::with_capacity(COLLECTIONS.len());
        for collection in &COLLECTIONS {
            let row = sqlx::query(statements(collection)?.count.as_str())
                .fetch_one(&mut *tx)
                .await?;
            counts.push((collection, row.try_get(0)?));
        }
        Ok(counts)
    }

    /// One object as a JSON value.
    pub(crate) async fn object(
        &self,
        collection: &Collection,
        base: &str,
        pk: i64,
    ) -> Result<Value, ApiError> {
        let mut connection = self.readers.acquire().await?;
        let text = one(&mut connection, collection, base, pk)
            .await?
            .ok_or_else(|| ApiError::no_object(collection.name, pk))?;
        parse(&text)
    }
}

/// Reads back JSON that the database made.
pub(crate) fn parse(text: &str) -> Result<Value, ApiError> {
    serde_json::from_str(text).map_err(|e| {
        tracing::error!(error = %e, "the database made text that is not JSON");
        ApiError::new(
            axum::http::StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "a stored object cannot be shown; the server's log says why",
        )
    })
}
