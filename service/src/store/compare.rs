//! What an import would do, and what a source has, without changing anything.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use car_schema::wire::{CollectionComparison, Comparison, KnownRows, RowChange};
use serde_json::{Map, Value as Json};

use super::conn::Conn;
use super::dialect::quote;
use super::layout::{Layout, Table};
use super::lookup::field_json;
use super::ops::import::{Batch, ReadyRow, look_up, resolve_ends};
use super::ops::{json_ints, json_texts, source};
use super::value::{Row, Value};
use crate::error::{Error, Result};

/// Tells what importing rows of a source would do.
pub(crate) async fn compare(
    conn: &mut dyn Conn,
    layout: &Layout,
    source: &str,
    batches: Vec<Batch>,
) -> Result<Comparison> {
    let source = source::find(conn, source).await?.map(|source| source.pk);
    let mut comparison = Comparison::default();
    for batch in batches {
        let Some(table) = layout.at(batch.table).filter(|_| !batch.rows.is_empty()) else {
            continue;
        };
        let mut one = match source {
            Some(source) => compare_batch(conn, layout, table, source, batch.rows).await?,
            None => CollectionComparison {
                created: batch.rows.iter().map(|row| row.position).collect(),
                ..CollectionComparison::default()
            },
        };
        one.created.sort_unstable();
        one.changed.sort_unstable_by_key(|change| change.row);
        comparison.collections.insert(table.name.clone(), one);
    }
    Ok(comparison)
}

async fn compare_batch(
    conn: &mut dyn Conn,
    layout: &Layout,
    table: &Table,
    source: i64,
    rows: Vec<ReadyRow>,
) -> Result<CollectionComparison> {
    let rows = resolve_ends(conn, layout, table, source, rows).await?;
    let known = look_up(conn, table, source, &rows).await?;
    let mut result = CollectionComparison::default();
    let mut other = HashMap::new();
    let mut tagged = Vec::new();
    let mut equal = 0_u64;
    for row in rows {
        match known.get(&row.id, &row.to) {
            None => result.created.push(row.position),
            Some(known) => {
                if known.hash != row.hash {
                    other.insert(known.pk, row);
                } else if row.tag.is_empty() && row.untag.is_empty() {
                    equal = equal.saturating_add(1);
                } else {
                    tagged.push(row);
                }
            }
        }
    }
    let tags = tags(conn, table, source, tagged.iter().chain(other.values())).await?;
    let mut note = |row: &ReadyRow, mut fields: BTreeMap<String, (Json, Json)>| {
        if let Some(change) = tag_change(row, tags.get(&row.id)) {
            fields.insert("tag".into(), change);
        }
        if fields.is_empty() {
            equal = equal.saturating_add(1);
        } else {
            result.changed.push(RowChange {
                row: row.position,
                fields,
            });
        }
    };
    for row in &tagged {
        note(row, BTreeMap::new());
    }
    for stored in stored(conn, table, &other).await? {
        if let Some(row) = stored.int(0).and_then(|pk| other.get(&pk)) {
            note(row, differences(table, &stored, row));
        }
    }
    result.unchanged = equal;
    Ok(result)
}

/// Reads rows by their numbers: number, custom properties, fields.
async fn stored(
    conn: &mut dyn Conn,
    table: &Table,
    rows: &HashMap<i64, ReadyRow>,
) -> Result<Vec<Row>> {
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let fields: String = table
        .fields
        .iter()
        .map(|field| format!(", {}", quote(&field.name)))
        .collect();
    let sql = format!(
        "SELECT \"_pk\", \"_props\"{fields} FROM {} WHERE \"_pk\" IN {}",
        quote(&table.current()),
        conn.dialect().ints(1)
    );
    let numbers: Vec<i64> = rows.keys().copied().collect();
    conn.fetch(sql, vec![json_ints(&numbers)]).await
}

/// Returns old and new value of each field and custom property that differs.
fn differences(table: &Table, stored: &Row, row: &ReadyRow) -> BTreeMap<String, (Json, Json)> {
    let mut fields = BTreeMap::new();
    for (index, field) in table.fields.iter().enumerate() {
        let old = field_json(field, stored.get(index.saturating_add(2)));
        let new = field_json(field, row.fields.get(index).unwrap_or(&Value::Null));
        if old != new {
            fields.insert(field.name.clone(), (old, new));
        }
    }
    let properties = |text: Option<&str>| -> Map<String, Json> {
        text.and_then(|text| serde_json::from_str(text).ok())
            .unwrap_or_default()
    };
    let (old, new) = (
        properties(stored.str(1)),
        properties(row.properties.as_deref()),
    );
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let value = |of: &Map<String, Json>| of.get(name).cloned().unwrap_or(Json::Null);
        if old.get(name) != new.get(name) {
            fields.insert(name.clone(), (value(&old), value(&new)));
        }
    }
    fields
}

type Tags = HashMap<String, BTreeSet<String>>;

/// Reads the tags of those rows that add or take off some.
async fn tags(
    conn: &mut dyn Conn,
    table: &Table,
    source: i64,
    rows: impl Iterator<Item = &ReadyRow>,
) -> Result<Tags> {
    let ids: Vec<&str> = rows
        .filter(|row| !(row.tag.is_empty() && row.untag.is_empty()))
        .map(|row| row.id.as_str())
        .collect();
    let mut tags = Tags::new();
    if ids.is_empty() {
        return Ok(tags);
    }
    let sql = format!(
        "SELECT id, name FROM tags WHERE source = $1 AND collection = $2 AND id IN {}",
        conn.dialect().texts(3)
    );
    let args = vec![source.into(), table.name.as_str().into(), json_texts(ids)];
    for row in conn.fetch(sql, args).await? {
        if let (Some(id), Some(name)) = (row.str(0), row.str(1)) {
            tags.entry(id.to_owned())
                .or_default()
                .insert(name.to_owned());
        }
    }
    Ok(tags)
}

fn tag_change(row: &ReadyRow, before: Option<&BTreeSet<String>>) -> Option<(Json, Json)> {
    let before = before.cloned().unwrap_or_default();
    let mut after = before.clone();
    after.extend(row.tag.iter().cloned());
    after.retain(|name| !row.untag.contains(name));
    let list = |tags: BTreeSet<String>| tags.into_iter().collect::<Json>();
    (before != after).then(|| (list(before), list(after)))
}

/// Lists the rows of a collection that a source has, up to `limit` of them after a place.
pub(crate) async fn rows(
    conn: &mut dyn Conn,
    table: &Table,
    source: i64,
    after: Option<&str>,
    limit: usize,
) -> Result<KnownRows> {
    let (keys, places) = if table.is_edge() {
        ("\"_from\", \"_to\"", "$2, $3")
    } else {
        ("\"_id\"", "$2")
    };
    let mut args = vec![Value::Int(source)];
    let condition = match after {
        None => String::new(),
        Some(text) => {
            args.extend(place(table, text)?.into_iter().map(Value::Text));
            format!(" AND ({keys}) > ({places})")
        }
    };
    let sql = format!(
        "SELECT {keys} FROM {} WHERE \"_source\" = $1{condition} ORDER BY {keys} LIMIT {}",
        quote(&table.current()),
        limit.saturating_add(1)
    );
    let mut found = conn.fetch(sql, args).await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let text = |row: &Row, index| row.str(index).unwrap_or_default().to_owned();
    let mut known = KnownRows::default();
    if table.is_edge() {
        known.edges = found
            .iter()
            .map(|row| (text(row, 0), text(row, 1)))
            .collect();
        known.next = known
            .edges
            .last()
            .map(|edge| serde_json::json!(edge).to_string());
    } else {
        known.vertices = found.iter().map(|row| text(row, 0)).collect();
        known.next = known.vertices.last().cloned();
    }
    if !more {
        known.next = None;
    }
    Ok(known)
}

/// Reads what an earlier page gave as `next`.
fn place(table: &Table, text: &str) -> Result<Vec<String>> {
    if !table.is_edge() {
        return Ok(vec![text.to_owned()]);
    }
    serde_json::from_str::<(String, String)>(text)
        .map(|(from, to)| vec![from, to])
        .map_err(|_| {
            Error::bad_request(
                "invalid_parameter",
                "`after` must be what the page before gave as `next`",
            )
        })
}
