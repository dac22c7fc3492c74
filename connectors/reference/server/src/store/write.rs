//! Changing objects. The triggers of the database write the change log in the same transaction.

use std::collections::BTreeSet;

use axum::http::StatusCode;
use serde_json::Value;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnection};
use sqlx::{Row as _, Transaction};

use super::draft::{Draft, Stored};
use super::{Store, read};
use crate::error::ApiError;
use crate::model::{Collection, MAX_PK};

type Query<'q> = sqlx::query::Query<'q, Sqlite, SqliteArguments>;

fn bind<'q>(query: Query<'q>, value: Option<&Stored>) -> Query<'q> {
    match value {
        None | Some(Stored::Null) => query.bind(None::<i64>),
        Some(Stored::Text(text)) => query.bind(text.clone()),
        Some(Stored::Integer(number)) => query.bind(*number),
        Some(Stored::Number(number)) => query.bind(*number),
    }
}

/// Adds an object and returns its pk.
pub(crate) async fn insert(
    connection: &mut SqliteConnection,
    collection: &Collection,
    draft: &Draft,
) -> Result<i64, ApiError> {
    let mut query = sqlx::query(read::statements(collection)?.insert.as_str()).bind(draft.pk);
    for value in &draft.fields {
        query = bind(query, value.as_ref());
    }
    let pk = query.execute(&mut *connection).await?.last_insert_rowid();
    set_links(connection, collection, pk, draft).await?;
    Ok(pk)
}

/// Sets what `draft` gives on the object `pk`; whether that object exists.
pub(crate) async fn update(
    connection: &mut SqliteConnection,
    collection: &Collection,
    pk: i64,
    draft: &Draft,
) -> Result<bool, ApiError> {
    let mut query = sqlx::query(read::statements(collection)?.update.as_str()).bind(pk);
    for value in &draft.fields {
        query = bind(query.bind(value.is_some()), value.as_ref());
    }
    if query.execute(&mut *connection).await?.rows_affected() == 0 {
        return Ok(false);
    }
    set_links(connection, collection, pk, draft).await?;
    Ok(true)
}

/// Deletes the object `pk`; whether it existed.
pub(crate) async fn delete(
    connection: &mut SqliteConnection,
    collection: &Collection,
    pk: i64,
) -> Result<bool, ApiError> {
    let done = sqlx::query(read::statements(collection)?.delete.as_str())
        .bind(pk)
        .execute(connection)
        .await?;
    Ok(done.rows_affected() > 0)
}

async fn set_links(
    connection: &mut SqliteConnection,
    collection: &Collection,
    pk: i64,
    draft: &Draft,
) -> Result<(), ApiError> {
    let statements = &read::statements(collection)?.relations;
    let given = collection
        .relations
        .iter()
        .zip(&draft.links)
        .zip(statements);
    for ((relation, targets), sql) in given {
        let Some(targets) = targets else { continue };
        let list = as_json(targets);
        let dangling = sqlx::query(sql.dangling.as_str())
            .bind(list.clone())
            .fetch_optional(&mut *connection)
            .await?;
        if let Some(row) = dangling {
            let target: i64 = row.try_get(0)?;
            return Err(ApiError::bad(
                "dangling_link",
                format!(
                    "`{}` links to {}/{target}/, which does not exist",
                    relation.name, relation.target
                ),
            ));
        }
        for statement in [&sql.unlink_others, &sql.link] {
            sqlx::query(statement.as_str())
                .bind(pk)
                .bind(list.clone())
                .execute(&mut *connection)
                .await?;
        }
    }
    Ok(())
}

fn as_json(pks: &BTreeSet<i64>) -> String {
    Value::from_iter(pks.iter().copied()).to_string()
}

impl Store {
    /// Opens a transaction that may write.
    pub(crate) async fn begin_write(&self) -> Result<Transaction<'static, Sqlite>, ApiError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Drops log rows beyond the number to keep, and commits.
    pub(crate) async fn commit(
        &self,
        mut tx: Transaction<'static, Sqlite>,
    ) -> Result<(), ApiError> {
        sqlx::query(
            "DELETE FROM changes WHERE seq <= (SELECT seq FROM sqlite_sequence WHERE name = \
             'changes') - ?1",
        )
        .bind(self.keep_changes)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Adds an object; returns its pk and JSON text.
    pub(crate) async fn create(
        &self,
        collection: &Collection,
        base: &str,
        body: &Value,
    ) -> Result<(i64, String), ApiError> {
        let draft = Draft::whole(collection, body)?;
        let mut tx = self.begin_write().await?;
        let pk = insert(&mut tx, collection, &draft).await?;
        let text = read::one(&mut tx, collection, base, pk)
            .await?
            .ok_or_else(|| ApiError::no_object(collection.name, pk))?;
        self.commit(tx).await?;
        Ok((pk, text))
    }

    /// Replaces the object `pk`, or adds it under that pk; returns whether it was added, and its
    /// JSON text.
    pub(crate) async fn replace(
        &self,
        collection: &Collection,
        base: &str,
        pk: i64,
        body: &Value,
    ) -> Result<(bool, String), ApiError> {
        let mut draft = Draft::whole(collection, body)?;
        same_pk(&draft, pk)?;
        draft.pk = Some(pk);
        let mut tx = self.begin_write().await?;
        let added = !update(&mut tx, collection, pk, &draft).await?;
        if added && pk > MAX_PK {
            return Err(ApiError::no_object(collection.name, pk));
        }
        if added {
            insert(&mut tx, collection, &draft).await?;
        }
        let text = read::one(&mut tx, collection, base, pk)
            .await?
            .ok_or_else(|| ApiError::no_object(collection.name, pk))?;
        self.commit(tx).await?;
        Ok((added, text))
    }

    /// Sets the given fields of the object `pk`; returns its JSON text.
    pub(crate) async fn patch(
        &self,
        collection: &Collection,
        base: &str,
        pk: i64,
        body: &Value,
    ) -> Result<String, ApiError> {
        let draft = Draft::partial(collection, body)?;
        same_pk(&draft, pk)?;
        let mut tx = self.begin_write().await?;
        if !update(&mut tx, collection, pk, &draft).await? {
            return Err(ApiError::no_object(collection.name, pk));
        }
        let text = read::one(&mut tx, collection, base, pk)
            .await?
            .ok_or_else(|| ApiError::no_object(collection.name, pk))?;
        self.commit(tx).await?;
        Ok(text)
    }

    /// Deletes the object `pk` and every link to it.
    pub(crate) async fn remove(&self, collection: &Collection, pk: i64) -> Result<(), ApiError> {
        let mut tx = self.begin_write().await?;
        if !delete(&mut tx, collection, pk).await? {
            return Err(ApiError::no_object(collection.name, pk));
        }
        self.commit(tx).await
    }
}

fn same_pk(draft: &Draft, pk: i64) -> Result<(), ApiError> {
    match draft.pk {
        Some(other) if other != pk => Err(ApiError::new(
            StatusCode::BAD_REQUEST,
            "pk_differs",
            format!("the body says pk {other}, the address says {pk}; a pk cannot change"),
        )),
        _ => Ok(()),
    }
}
