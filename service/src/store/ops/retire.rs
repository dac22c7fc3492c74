//! Closing the existence window of entities: they leave the present and stay in history.

use async_trait::async_trait;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::conn::{BulkColumn, Conn};
use super::super::dialect::{Dialect, quote};
use super::super::job::Operation;
use super::super::layout::{Layout, Table};
use super::super::value::{ColumnType, Value};
use super::{check_state, json_ints, json_texts, now, source};
use crate::error::{Error, Result};

/// When the window of a row ends, at `$1`. The clock may have gone back since the row came: a
/// window never ends before it begins.
const END: &str = "CASE WHEN \"_t1\" > $1 THEN \"_t1\" ELSE $1 END";

/// Rows that one statement moves to history at most.
const CHUNK: usize = 10_000;

/// Moves the rows that a condition chooses to history and returns how many they were.
///
/// `$1` is the time at which they end; `args` follow from `$2`.
pub(crate) async fn close_rows(
    conn: &mut dyn Conn,
    table: &Table,
    condition: &str,
    args: Vec<Value>,
) -> Result<u64> {
    let mut full = vec![Value::Int(now())];
    full.extend(args);
    if conn.dialect() == Dialect::Postgres {
        return move_rows(conn, table, condition, full).await;
    }
    // The condition can cost more than what it leads to, so it is looked at once.
    let sql = format!(
        "SELECT \"_pk\" FROM {} WHERE {condition}",
        quote(&table.current())
    );
    let rows = conn.fetch_many(sql, &[pk_column()], full).await?;
    let rows: Vec<i64> = rows.iter().filter_map(|row| row.int(0)).collect();
    close_numbers(conn, table, &rows).await
}

/// Rows to move to history: those that a condition chooses, in the order of their numbers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part<'a> {
    /// Chooses rows by arguments from `$2` on.
    pub(super) condition: &'a str,
    /// These arguments.
    pub(super) args: &'a [Value],
    /// The number that all of them are above.
    pub(super) after: i64,
    /// How many at most.
    pub(super) most: usize,
}

/// Moves a part of the rows to history and returns number and first key of each, by number.
pub(super) async fn close_part(
    conn: &mut dyn Conn,
    table: &Table,
    part: Part<'_>,
) -> Result<Vec<(i64, String)>> {
    let Part {
        condition, most, ..
    } = part;
    let current = quote(&table.current());
    let next = part.args.len().saturating_add(2);
    let key = table.keys().first().copied().unwrap_or("_id");
    // `$1` is the time, or named so that both databases know its type.
    let chosen = format!(
        "FROM {current} WHERE $1 >= 0 AND {condition} AND \"_pk\" > ${next} \
         ORDER BY \"_pk\" LIMIT {most}"
    );
    let columns = [
        pk_column(),
        BulkColumn {
            name: key.to_owned(),
            ty: ColumnType::Text,
        },
    ];
    let mut args = vec![Value::Int(now())];
    args.extend_from_slice(part.args);
    args.push(part.after.into());
    let sql = match conn.dialect() {
        Dialect::Sqlite => format!("SELECT \"_pk\", \"{key}\" {chosen}"),
        // The rows are read once: where they lie is the quickest way to them.
        Dialect::Postgres => {
            let names = table.column_list();
            format!(
                "WITH gone AS (DELETE FROM {current} WHERE ctid = ANY(ARRAY(SELECT ctid {chosen})) \
                 RETURNING \"_pk\", {names}), kept AS (INSERT INTO {} ({names}, \"_t2\") \
                 SELECT {names}, {END} FROM gone) \
                 SELECT \"_pk\", \"{key}\" FROM gone ORDER BY \"_pk\"",
                quote(&table.old())
            )
        }
    };
    let rows: Vec<(i64, String)> = conn
        .fetch_many(sql, &columns, args)
        .await?
        .into_iter()
        .filter_map(|row| {
            let number = row.int(0)?;
            Some((number, row.0.into_iter().nth(1)?.into_text()?))
        })
        .collect();
    if conn.dialect() == Dialect::Sqlite {
        let numbers: Vec<i64> = rows.iter().map(|(number, _)| *number).collect();
        close_numbers(conn, table, &numbers).await?;
    }
    Ok(rows)
}

/// Names the column with the number of a row.
pub(super) fn pk_column() -> BulkColumn {
    BulkColumn {
        name: "_pk".to_owned(),
        ty: ColumnType::Int,
    }
}

/// Moves rows to history by their numbers and returns how many they were.
pub(super) async fn close_numbers(conn: &mut dyn Conn, table: &Table, rows: &[i64]) -> Result<u64> {
    let condition = format!("\"_pk\" IN {}", conn.dialect().ints(2));
    let mut moved = 0_u64;
    for rows in rows.chunks(CHUNK) {
        let args = vec![Value::Int(now()), json_ints(rows)];
        moved = moved.saturating_add(move_rows(conn, table, &condition, args).await?);
    }
    Ok(moved)
}

/// Moves the rows that a condition chooses to history; `$1` is the time.
async fn move_rows(
    conn: &mut dyn Conn,
    table: &Table,
    condition: &str,
    args: Vec<Value>,
) -> Result<u64> {
    let columns = table.column_list();
    let (current, old) = (quote(&table.current()), quote(&table.old()));
    let closed = format!("{columns}, {END}");
    if conn.dialect() == Dialect::Postgres {
        let sql = format!(
            "WITH gone AS (DELETE FROM {current} WHERE {condition} RETURNING {columns}) \
             INSERT INTO {old} ({columns}, \"_t2\") SELECT {closed} FROM gone"
        );
        return conn.execute(sql, args).await;
    }
    let sql = format!(
        "INSERT INTO {old} ({columns}, \"_t2\") SELECT {closed} FROM {current} WHERE {condition}"
    );
    let moved = conn.execute(sql, args.clone()).await?;
    if moved > 0 {
        let sql = format!("DELETE FROM {current} WHERE {condition}");
        conn.execute(sql, args).await?;
    }
    Ok(moved)
}

/// Ends the tags of vertices that are no longer there.
pub(crate) async fn close_tags(conn: &mut dyn Conn, table: &Table, source: i64) -> Result<()> {
    let condition = format!(
        "source = $2 AND collection = $3 AND NOT EXISTS \
         (SELECT 1 FROM {} v WHERE v.\"_source\" = $2 AND v.\"_id\" = tags.id)",
        quote(&table.current())
    );
    close_tag_rows(
        conn,
        &condition,
        vec![source.into(), table.name.as_str().into()],
    )
    .await?;
    Ok(())
}

/// Ends the tags that a condition chooses; `args` follow from `$2`.
pub(crate) async fn close_tag_rows(
    conn: &mut dyn Conn,
    condition: &str,
    args: Vec<Value>,
) -> Result<u64> {
    let mut full = vec![Value::Int(now())];
    full.extend(args);
    let moved = conn
        .execute(
            format!(
                "INSERT INTO old_tags (source, collection, id, name, t1, t2) \
                 SELECT source, collection, id, name, t1, CASE WHEN t1 > $1 THEN t1 ELSE $1 END \
                 FROM tags WHERE {condition}"
            ),
            full.clone(),
        )
        .await?;
    if moved > 0 {
        conn.execute(
            format!("DELETE FROM tags WHERE $1 >= 0 AND {condition}"),
            full,
        )
        .await?;
    }
    Ok(moved)
}

/// Retires vertices by their identities, and the edges of the same source at them.
pub(crate) struct RetireVertices {
    /// The tables.
    pub(crate) layout: Arc<Layout>,
    /// Version of the model that the layout is of.
    pub(crate) model: i64,
    /// The source.
    pub(crate) source: String,
    /// The vertex collection.
    pub(crate) collection: String,
    /// Each given value: taken whole when it is an identity, else as a list with commas.
    pub(crate) values: Vec<String>,
}

#[async_trait]
impl Operation for RetireVertices {
    type Output = BTreeMap<String, u64>;

    async fn apply(self, conn: &mut dyn Conn) -> Result<Self::Output> {
        check_state(conn, self.model).await?;
        let table = self
            .layout
            .get(&self.collection)
            .filter(|table| !table.is_edge())
            .ok_or_else(|| {
                Error::not_found(
                    "unknown_collection",
                    format!("there is no vertex collection `{}`", self.collection),
                )
            })?;
        let mut counts = BTreeMap::new();
        let Some(source) = source::lock(conn, &self.source).await? else {
            return Err(source::unknown(&self.source));
        };
        let ids = split(conn, table, source.pk, self.values).await?;
        let ids = json_texts(ids.iter().map(String::as_str));
        let texts = conn.dialect().texts(3);
        for edge in self.layout.edges() {
            let Some((from, to)) = &edge.ends else {
                continue;
            };
            let mut count = 0_u64;
            for (end, column) in [(from, "_from"), (to, "_to")] {
                if *end == self.collection {
                    let condition = format!("\"_source\" = $2 AND \"{column}\" IN {texts}");
                    let args = vec![source.pk.into(), ids.clone()];
                    count = count.saturating_add(close_rows(conn, edge, &condition, args).await?);
                }
            }
            if count > 0 {
                counts.insert(edge.name.clone(), count);
            }
        }
        let condition = format!("\"_source\" = $2 AND \"_id\" IN {texts}");
        let count = close_rows(conn, table, &condition, vec![source.pk.into(), ids]).await?;
        close_tags(conn, table, source.pk).await?;
        counts.insert(table.name.clone(), count);
        Ok(counts)
    }
}

/// Takes each value whole where it is an identity, else apart at its commas.
async fn split(
    conn: &mut dyn Conn,
    table: &Table,
    source: i64,
    values: Vec<String>,
) -> Result<Vec<String>> {
    let known: Vec<String> = if values.iter().any(|value| value.contains(',')) {
        let sql = format!(
            "SELECT \"_id\" FROM {} WHERE \"_source\" = $1 AND \"_id\" IN {}",
            quote(&table.current()),
            conn.dialect().texts(2)
        );
        let list = json_texts(values.iter().map(String::as_str));
        conn.fetch(sql, vec![source.into(), list])
            .await?
            .iter()
            .filter_map(|row| row.str(0).map(str::to_owned))
            .collect()
    } else {
        Vec::new()
    };
    Ok(values
        .into_iter()
        .flat_map(|value| {
            if value.contains(',') && !known.contains(&value) {
                value.split(',').map(str::to_owned).collect()
            } else {
                vec![value]
            }
        })
        .filter(|value| !value.is_empty())
        .collect())
}
