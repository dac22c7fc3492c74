//! Sources: who reports, and the save point that a connector keeps here.

use std::collections::BTreeSet;

use async_trait::async_trait;
use serde_json::json;

use super::super::conn::Conn;
use super::super::job::Operation;
use super::super::value::{Row, Value};
use super::now;
use crate::error::{Error, Result};

/// What the database knows of a source.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SourceRow {
    /// Its number in the tables.
    pub(crate) pk: i64,
    /// The mark that rows get when they are reported now.
    pub(crate) mark: i64,
    /// Mark of the open session; rows with a lower one were not reported in it.
    pub(crate) session: Option<i64>,
    /// When the session was opened, in milliseconds since 1970.
    pub(crate) session_started: Option<i64>,
    /// The scopes that were read to their end in the session, once they were listed.
    pub(crate) session_scopes: Option<BTreeSet<String>>,
}

const COLUMNS: &str = "pk, mark, session_mark, session_started, session_scopes";

fn decode(row: &Row) -> SourceRow {
    SourceRow {
        pk: row.int(0).unwrap_or_default(),
        mark: row.int(1).unwrap_or_default(),
        session: row.int(2),
        session_started: row.int(3),
        session_scopes: row
            .str(4)
            .map(|text| serde_json::from_str(text).unwrap_or_default()),
    }
}

/// Finds a source, and keeps other writers of it out until the transaction ends.
pub(crate) async fn lock(conn: &mut dyn Conn, key: &str) -> Result<Option<SourceRow>> {
    let sql = format!(
        "SELECT {COLUMNS} FROM sources WHERE key = $1{}",
        conn.dialect().for_update()
    );
    let rows = conn.fetch(sql, vec![key.into()]).await?;
    Ok(rows.first().map(decode))
}

/// Finds a source.
pub(crate) async fn find(conn: &mut dyn Conn, key: &str) -> Result<Option<SourceRow>> {
    let sql = format!("SELECT {COLUMNS} FROM sources WHERE key = $1");
    let rows = conn.fetch(sql, vec![key.into()]).await?;
    Ok(rows.first().map(decode))
}

/// Finds or makes the source of an import or session; what it says of itself is kept.
pub(crate) async fn upsert(
    conn: &mut dyn Conn,
    source: &car_schema::Source,
    seen: Option<i64>,
    report: Option<&str>,
) -> Result<SourceRow> {
    let properties = source
        .properties
        .as_ref()
        .map(|properties| serde_json::Value::Object(properties.clone()).to_string());
    let sql = format!(
        "INSERT INTO sources (key, name, description, product_link, properties, mark, created, last_seen, last_report) \
         VALUES ($1, $2, $3, $4, $5, 1, $6, CAST($7 AS BIGINT), $8) \
         ON CONFLICT (key) DO UPDATE SET \
         name = coalesce(excluded.name, sources.name), \
         description = coalesce(excluded.description, sources.description), \
         product_link = coalesce(excluded.product_link, sources.product_link), \
         properties = coalesce(excluded.properties, sources.properties), \
         last_seen = coalesce(excluded.last_seen, sources.last_seen), \
         last_report = coalesce(excluded.last_report, sources.last_report) \
         RETURNING {COLUMNS}"
    );
    let rows = conn
        .fetch(
            sql,
            vec![
                source.key.as_str().into(),
                Value::opt_text(source.name.as_deref()),
                Value::opt_text(source.description.as_deref()),
                Value::opt_text(source.product_link.as_deref()),
                Value::opt_text(properties),
                now().into(),
                seen.map_or(Value::Null, Value::Int),
                Value::opt_text(report),
            ],
        )
        .await?;
    rows.first()
        .map(decode)
        .ok_or_else(|| Error::internal("write the source", "no row came back"))
}

/// Returns a source as the protocol shows it.
pub(crate) async fn document(conn: &mut dyn Conn, key: &str) -> Result<serde_json::Value> {
    let rows = conn
        .fetch(
            "SELECT key, name, description, product_link, properties, model_state_id, \
             session_started, created, last_seen, last_report FROM sources WHERE key = $1"
                .into(),
            vec![key.into()],
        )
        .await?;
    let row = rows.first().ok_or_else(|| unknown(key))?;
    let mut document = serde_json::Map::new();
    document.insert("_key".into(), json!(row.str(0)));
    for (index, name) in [
        (1, "name"),
        (2, "description"),
        (3, "product_link"),
        (5, "model_state_id"),
        (9, "report"),
    ] {
        if let Some(text) = row.str(index) {
            document.insert(name.into(), json!(text));
        }
    }
    if let Some(properties) = row.str(4).and_then(|text| serde_json::from_str(text).ok()) {
        document.insert("properties".into(), properties);
    }
    document.insert(
        "full_import_in_progress".into(),
        json!(row.int(6).is_some()),
    );
    for (index, name) in [(7, "created"), (8, "reported_at")] {
        if let Some(time) = row.int(index) {
            document.insert(name.into(), json!(time));
        }
    }
    Ok(document.into())
}

/// The error of calls about a source that was never reported.
pub(crate) fn unknown(key: &str) -> Error {
    Error::not_found(
        "unknown_source",
        format!("there is no source `{key}`; it begins to exist with its first import"),
    )
}

/// Changes a source.
pub(crate) struct PatchSource {
    /// The source.
    pub(crate) key: String,
    /// New values by column; `None` clears.
    pub(crate) set: Vec<(&'static str, Option<String>)>,
}

#[async_trait]
impl Operation for PatchSource {
    type Output = ();

    async fn apply(self, conn: &mut dyn Conn) -> Result<()> {
        let source = lock(conn, &self.key)
            .await?
            .ok_or_else(|| unknown(&self.key))?;
        for (column, value) in self.set {
            conn.execute(
                format!("UPDATE sources SET {column} = $1 WHERE pk = $2"),
                vec![Value::opt_text(value), source.pk.into()],
            )
            .await?;
        }
        Ok(())
    }
}
