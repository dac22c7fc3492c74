//! Small changes to single entities, each a new version with the old one in history.

use std::sync::Arc;

use async_trait::async_trait;

use super::super::conn::Conn;
use super::super::dialect::quote;
use super::super::job::Operation;
use super::super::layout::{Layout, Table};
use super::super::value::Value;
use super::{check_state, now};
use crate::error::{Error, Result};

/// Changes fields of vertices or edges.
pub(crate) struct PatchRows {
    /// The tables.
    pub(crate) layout: Arc<Layout>,
    /// Version of the model that the layout is of.
    pub(crate) model: i64,
    /// The collection.
    pub(crate) collection: String,
    /// Which rows: columns and the values they must have. Without `_source`, those of all sources.
    pub(crate) matching: Vec<(&'static str, String)>,
    /// Only rows of this source.
    pub(crate) source: Option<String>,
    /// New values by column.
    pub(crate) set: Vec<(String, Value)>,
    /// New members of the custom properties.
    pub(crate) properties: serde_json::Map<String, serde_json::Value>,
}

#[async_trait]
impl Operation for PatchRows {
    type Output = u64;

    async fn apply(self, conn: &mut dyn Conn) -> Result<u64> {
        check_state(conn, self.model).await?;
        let table = self.layout.get(&self.collection).ok_or_else(|| {
            Error::not_found(
                "unknown_collection",
                format!("there is no collection `{}`", self.collection),
            )
        })?;
        let rows = self.rows(conn, table).await?;
        for (pk, properties) in &rows {
            self.change(conn, table, *pk, properties.as_deref()).await?;
        }
        Ok(u64::try_from(rows.len()).unwrap_or(u64::MAX))
    }
}

impl PatchRows {
    async fn rows(&self, conn: &mut dyn Conn, table: &Table) -> Result<Vec<(i64, Option<String>)>> {
        let mut conditions = Vec::new();
        let mut args = Vec::new();
        for (column, value) in &self.matching {
            args.push(Value::text(value.as_str()));
            conditions.push(format!("{} = ${}", quote(column), args.len()));
        }
        if let Some(source) = &self.source {
            args.push(Value::text(source.as_str()));
            conditions.push(format!(
                "\"_source\" = (SELECT pk FROM sources WHERE key = ${})",
                args.len()
            ));
        }
        let sql = format!(
            "SELECT \"_pk\", \"_props\" FROM {} WHERE {} ORDER BY \"_pk\"{}",
            quote(&table.current()),
            conditions.join(" AND "),
            conn.dialect().for_update()
        );
        let rows = conn.fetch(sql, args).await?;
        Ok(rows
            .iter()
            .filter_map(|row| Some((row.int(0)?, row.str(1).map(str::to_owned))))
            .collect())
    }

    async fn change(
        &self,
        conn: &mut dyn Conn,
        table: &Table,
        pk: i64,
        properties: Option<&str>,
    ) -> Result<()> {
        let columns = table.column_list();
        conn.execute(
            format!(
                "INSERT INTO {} ({columns}, \"_t2\") SELECT {columns}, \
                 CASE WHEN \"_t1\" > $1 THEN \"_t1\" ELSE $1 END FROM {} WHERE \"_pk\" = $2",
                quote(&table.old()),
                quote(&table.current())
            ),
            vec![now().into(), pk.into()],
        )
        .await?;
        // A hash of nothing: the next report of the row is a change again, whatever it says.
        let mut parts = vec![
            "\"_t1\" = $1".to_owned(),
            "\"_hash\" = 0".to_owned(),
            "\"_raw\" = NULL".to_owned(),
        ];
        let mut args = vec![Value::Int(now()), Value::Int(pk)];
        for (column, value) in &self.set {
            args.push(value.clone());
            parts.push(format!("{} = ${}", quote(column), args.len()));
        }
        if !self.properties.is_empty() {
            let mut merged: serde_json::Map<String, serde_json::Value> = properties
                .and_then(|text| serde_json::from_str(text).ok())
                .unwrap_or_default();
            merged.extend(self.properties.clone());
            args.push(Value::Text(serde_json::Value::Object(merged).to_string()));
            parts.push(format!("\"_props\" = ${}", args.len()));
        }
        let sql = format!(
            "UPDATE {} SET {} WHERE \"_pk\" = $2",
            quote(&table.current()),
            parts.join(", ")
        );
        conn.execute(sql, args).await?;
        Ok(())
    }
}
