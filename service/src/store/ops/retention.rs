//! Erasing history: in small steps, so that imports never wait long for it.

use std::sync::Arc;

use async_trait::async_trait;

use super::super::conn::Conn;
use super::super::dialect::{Dialect, quote};
use super::super::job::Operation;
use super::super::layout::Layout;
use super::super::value::Value;
use super::set_meta;
use crate::error::Result;

/// Most rows that one step takes from one table.
const STEP: u64 = 2_000;

/// What to keep of history; `None` keeps everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Policy {
    /// Days that closed versions are kept.
    pub(crate) days: Option<i64>,
    /// Bytes that the database may use before the oldest closed versions go.
    pub(crate) bytes: Option<i64>,
}

/// Name of the policy by time, in `meta`.
const DAYS: &str = "retention_days";

/// Name of the policy by size, in `meta`.
const BYTES: &str = "retention_bytes";

/// Reads the policy.
pub(crate) async fn policy(conn: &mut dyn Conn) -> Result<Policy> {
    let rows = conn
        .fetch(
            "SELECT name, value FROM meta WHERE name IN ($1, $2)".into(),
            vec![DAYS.into(), BYTES.into()],
        )
        .await?;
    let find = |name: &str| {
        rows.iter()
            .find(|row| row.str(0) == Some(name))
            .and_then(|row| row.str(1)?.parse().ok())
    };
    Ok(Policy {
        days: find(DAYS),
        bytes: find(BYTES),
    })
}

/// Returns how many bytes the data takes.
pub(crate) async fn used(conn: &mut dyn Conn) -> Result<i64> {
    let sql = match conn.dialect() {
        // Pages that were given back count as free, though the file keeps its size.
        Dialect::Sqlite => {
            "SELECT (p.page_count - f.freelist_count) * s.page_size \
             FROM pragma_page_count p, pragma_freelist_count f, pragma_page_size s"
        }
        Dialect::Postgres => "SELECT pg_database_size(current_database())",
    };
    let rows = conn.fetch(sql.into(), Vec::new()).await?;
    Ok(rows.first().and_then(|row| row.int(0)).unwrap_or_default())
}

/// Returns when the oldest closed version ended.
pub(crate) async fn oldest(conn: &mut dyn Conn, layout: &Layout) -> Result<Option<i64>> {
    let mut oldest: Option<i64> = None;
    for table in layout.tables() {
        let sql = format!("SELECT min(\"_t2\") FROM {}", quote(&table.old()));
        let rows = conn.fetch(sql, Vec::new()).await?;
        if let Some(time) = rows.first().and_then(|row| row.int(0)) {
            oldest = Some(oldest.map_or(time, |known| known.min(time)));
        }
    }
    Ok(oldest)
}

/// Changes the policy.
pub(crate) struct SetPolicy {
    /// Whether the value is in days, not bytes.
    pub(crate) by_time: bool,
    /// The value.
    pub(crate) value: i64,
}

#[async_trait]
impl Operation for SetPolicy {
    type Output = ();

    async fn apply(self, conn: &mut dyn Conn) -> Result<()> {
        let name = if self.by_time { DAYS } else { BYTES };
        set_meta(conn, name, &self.value.to_string()).await
    }
}

/// Erases one step of what ended before a time.
pub(crate) struct Erase {
    /// The tables.
    pub(crate) layout: Arc<Layout>,
    /// Number of the table in the layout; the one after the last are tags, imports and jobs.
    pub(crate) table: usize,
    /// Milliseconds since 1970.
    pub(crate) before: i64,
}

#[async_trait]
impl Operation for Erase {
    /// Whether there may be more.
    type Output = bool;

    async fn apply(self, conn: &mut dyn Conn) -> Result<bool> {
        let Some(table) = self.layout.at(self.table) else {
            for (name, column) in [("old_tags", "t2"), ("imports", "at"), ("jobs", "at")] {
                let sql = format!("DELETE FROM {name} WHERE {column} < $1");
                conn.execute(sql, vec![self.before.into()]).await?;
            }
            return Ok(false);
        };
        let old = quote(&table.old());
        let gone = conn
            .execute(
                format!(
                    "DELETE FROM {old} WHERE \"_pk\" IN \
                     (SELECT \"_pk\" FROM {old} WHERE \"_t2\" < $1 ORDER BY \"_t2\" LIMIT {STEP})"
                ),
                vec![Value::Int(self.before)],
            )
            .await?;
        Ok(gone >= STEP)
    }
}
