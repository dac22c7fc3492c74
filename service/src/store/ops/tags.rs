//! Tags that consumers set and take off.

use std::sync::Arc;

use async_trait::async_trait;

use super::super::conn::Conn;
use super::super::dialect::quote;
use super::super::job::Operation;
use super::super::layout::{Layout, Table};
use super::super::value::Value;
use super::retire::close_tag_rows;
use super::{check_state, json_pairs, now, source};
use crate::error::{Error, Result};

/// Adds or takes off tags of vertices.
pub(crate) struct ChangeTags {
    /// The tables.
    pub(crate) layout: Arc<Layout>,
    /// Version of the model that the layout is of.
    pub(crate) model: i64,
    /// The vertex collection.
    pub(crate) collection: String,
    /// Source, identity and tag of each.
    pub(crate) tags: Vec<(String, String, String)>,
    /// Whether to add.
    pub(crate) add: bool,
}

#[async_trait]
impl Operation for ChangeTags {
    type Output = u64;

    async fn apply(self, conn: &mut dyn Conn) -> Result<u64> {
        check_state(conn, self.model).await?;
        let table = self.layout.get(&self.collection).ok_or_else(|| {
            Error::not_found(
                "unknown_collection",
                format!("there is no `{}`", self.collection),
            )
        })?;
        let mut count = 0_u64;
        for (key, id, tag) in &self.tags {
            let unknown = || {
                Error::not_found(
                    "unknown_entity",
                    format!("there is no `{}` with the id `{key}/{id}`", self.collection),
                )
            };
            let source = source::lock(conn, key).await?.ok_or_else(unknown)?;
            let args = || -> Vec<Value> {
                vec![
                    source.pk.into(),
                    table.name.as_str().into(),
                    id.as_str().into(),
                    tag.as_str().into(),
                ]
            };
            // The source's own report of the row may say another thing about its tags.
            forget_bytes(conn, table, source.pk, id).await?;
            if !self.add {
                let condition = "source = $2 AND collection = $3 AND id = $4 AND name = $5";
                count = count.saturating_add(close_tag_rows(conn, condition, args()).await?);
                continue;
            }
            let sql = format!(
                "SELECT 1 FROM {} WHERE \"_id\" = $1 AND \"_source\" = $2",
                quote(&table.current())
            );
            let found = conn
                .fetch(sql, vec![id.as_str().into(), source.pk.into()])
                .await?;
            if found.is_empty() {
                return Err(unknown());
            }
            let mut args = args();
            args.push(now().into());
            let added = conn
                .execute(
                    "INSERT INTO tags (source, collection, id, name, t1) VALUES ($1, $2, $3, $4, $5) \
                     ON CONFLICT (source, collection, id, name) DO NOTHING"
                        .into(),
                    args,
                )
                .await?;
            count = count.saturating_add(added);
        }
        Ok(count)
    }
}

/// Lets the next report of a row count, even with the bytes of the last one.
async fn forget_bytes(conn: &mut dyn Conn, table: &Table, source: i64, id: &str) -> Result<()> {
    let sql = format!(
        "UPDATE {} SET \"_raw\" = NULL WHERE \"_id\" = $1 AND \"_source\" = $2",
        quote(&table.current())
    );
    conn.execute(sql, vec![id.into(), source.into()]).await?;
    Ok(())
}

/// Adds and takes off tags of vertices of a source, at a time.
pub(super) async fn write_tags(
    conn: &mut dyn Conn,
    table: &Table,
    (source, now): (i64, i64),
    tag: &[(String, String)],
    untag: &[(String, String)],
) -> Result<()> {
    let pairs = |list: &[(String, String)]| {
        json_pairs(list.iter().map(|(id, name)| (id.as_str(), name.as_str())))
    };
    if !tag.is_empty() {
        let sql = format!(
            "INSERT INTO tags (source, collection, id, name, t1) \
             SELECT CAST($1 AS BIGINT), CAST($2 AS TEXT), p.a, p.b, CAST($3 AS BIGINT) FROM {} p \
             WHERE true ON CONFLICT (source, collection, id, name) DO NOTHING",
            conn.dialect().pairs(4)
        );
        let args = vec![
            source.into(),
            table.name.as_str().into(),
            now.into(),
            pairs(tag),
        ];
        conn.execute(sql, args).await?;
    }
    if !untag.is_empty() {
        let condition = format!(
            "source = $2 AND collection = $3 AND (id, name) IN (SELECT a, b FROM {} p)",
            conn.dialect().pairs(4)
        );
        let args = vec![source.into(), table.name.as_str().into(), pairs(untag)];
        close_tag_rows(conn, &condition, args).await?;
    }
    Ok(())
}
