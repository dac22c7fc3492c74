//! Brings the objects of one machine in step with what was found on it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use sqlx::Row as _;
use sqlx::sqlite::SqliteConnection;

use crate::error::ApiError;
use crate::model::{self, Collection};
use crate::store::draft::Draft;
use crate::store::{read, write};

/// A text field of an object; empty when it is not there.
pub(super) fn text<'v>(object: &'v Value, field: &str) -> &'v str {
    object.get(field).and_then(Value::as_str).unwrap_or("")
}

/// Name under which an object is found again among those of the same machine and collection.
pub(super) type Identity = fn(&Value) -> String;

/// What a run has put so far: the pks per collection.
pub(super) struct Loader<'a> {
    pub(super) machine: &'a str,
    pub(super) seen: Vec<(&'static Collection, BTreeSet<i64>)>,
}

impl Loader<'_> {
    /// Updates the objects that this machine had before, adds new ones, and returns the pks by
    /// identity. Links to assets of others are kept.
    pub(super) async fn put(
        &mut self,
        connection: &mut SqliteConnection,
        collection: &str,
        identity: Identity,
        objects: Vec<Value>,
    ) -> Result<BTreeMap<String, i64>, ApiError> {
        let collection = model::collection(collection)
            .ok_or_else(|| ApiError::bad("no_such_collection", collection))?;
        let before = had(connection, self.machine, collection).await?;
        let mut before: BTreeMap<String, Value> = before
            .into_iter()
            .map(|object| (identity(&object), object))
            .collect();
        let mut pks = BTreeMap::new();
        for mut object in objects {
            let name = identity(&object);
            let there = match before.remove(&name) {
                Some(there) => Some(there),
                None => made_by_others(connection, collection, &object).await?,
            };
            let pk = match there {
                Some(there) => {
                    keep_assets(&mut object, &there);
                    let pk = there.get("pk").and_then(Value::as_i64).unwrap_or(0);
                    let draft = Draft::partial(collection, &object)?;
                    write::update(connection, collection, pk, &draft).await?;
                    pk
                }
                None => {
                    let draft = Draft::whole(collection, &object)?;
                    write::insert(connection, collection, &draft).await?
                }
            };
            pks.insert(name, pk);
        }
        self.seen
            .push((collection, pks.values().copied().collect()));
        Ok(pks)
    }
}

/// The objects that an earlier run loaded and that still exist.
async fn had(
    connection: &mut SqliteConnection,
    machine: &str,
    collection: &Collection,
) -> Result<Vec<Value>, ApiError> {
    let rows = sqlx::query("SELECT pk FROM inventory WHERE machine = ?1 AND collection = ?2")
        .bind(machine)
        .bind(collection.name)
        .fetch_all(&mut *connection)
        .await?;
    let mut pks: Vec<i64> = Vec::with_capacity(rows.len());
    for row in rows {
        pks.push(row.try_get(0)?);
    }
    let pks = Value::from(pks).to_string();
    let chunk = read::chunk(connection, collection, "", 0, i64::MAX, Some(&pks)).await?;
    match chunk {
        None => Ok(Vec::new()),
        Some(chunk) => match read::parse(&format!("[{}]", chunk.list))? {
            Value::Array(objects) => Ok(objects),
            _ => Ok(Vec::new()),
        },
    }
}

/// The object with the same natural key, if somebody else made one.
async fn made_by_others(
    connection: &mut SqliteConnection,
    collection: &Collection,
    object: &Value,
) -> Result<Option<Value>, ApiError> {
    let model::Key::Field(field) = collection.key else {
        return Ok(None);
    };
    let row = sqlx::query(read::statements(collection)?.find.as_str())
        .bind(text(object, field))
        .fetch_optional(&mut *connection)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let found = read::one(connection, collection, "", row.try_get(0)?).await?;
    found.map(|found| read::parse(&found)).transpose()
}

/// Adds the assets that `there` links to, to those of `object`.
fn keep_assets(object: &mut Value, there: &Value) {
    let others = there.get("assets").and_then(Value::as_array);
    let ours = object.get_mut("assets").and_then(Value::as_array_mut);
    if let (Some(ours), Some(others)) = (ours, others) {
        ours.extend(others.iter().cloned());
    }
}

/// Remembers `seen` and deletes what an earlier run loaded and this one did not see, except what
/// others still use.
pub(super) async fn forget(
    connection: &mut SqliteConnection,
    machine: &str,
    collection: &'static Collection,
    seen: &BTreeSet<i64>,
    asset: i64,
) -> Result<u64, ApiError> {
    let list = Value::from_iter(seen.iter().copied()).to_string();
    let gone = sqlx::query(
        "DELETE FROM inventory WHERE machine = ?1 AND collection = ?2 AND pk NOT IN (SELECT value \
         FROM json_each(?3)) RETURNING pk, EXISTS (SELECT 1 FROM inventory o WHERE o.collection = \
         ?2 AND o.pk = inventory.pk AND o.machine <> ?1)",
    )
    .bind(machine)
    .bind(collection.name)
    .bind(list.clone())
    .fetch_all(&mut *connection)
    .await?;
    let mut deleted = 0;
    for row in gone {
        let shared: bool = row.try_get(1)?;
        if !shared && drop_or_release(connection, collection, row.try_get(0)?, asset).await? {
            deleted += 1;
        }
    }
    sqlx::query(
        "INSERT OR IGNORE INTO inventory (machine, collection, pk) SELECT ?1, ?2, value FROM \
         json_each(?3)",
    )
    .bind(machine)
    .bind(collection.name)
    .bind(list)
    .execute(connection)
    .await?;
    Ok(deleted)
}

/// Deletes an object that is gone from this machine, or, when it belongs to other assets too, only
/// ends its link to this one. Returns whether it was deleted.
async fn drop_or_release(
    connection: &mut SqliteConnection,
    collection: &Collection,
    pk: i64,
    asset: i64,
) -> Result<bool, ApiError> {
    let Some(object) = read::one(connection, collection, "", pk).await? else {
        return Ok(false);
    };
    let ours = Value::from(format!("/assets/{asset}/"));
    let mut others = match read::parse(&object)?.get_mut("assets").map(Value::take) {
        Some(Value::Array(assets)) => assets,
        _ => Vec::new(),
    };
    others.retain(|address| *address != ours);
    if others.is_empty() {
        return write::delete(connection, collection, pk).await;
    }
    let draft = Draft::partial(collection, &json!({"assets": others}))?;
    write::update(connection, collection, pk, &draft).await?;
    Ok(false)
}
