//! Properties whose values no two rows of a source may share.

use super::super::conn::Conn;
use super::super::dialect::quote;
use super::super::layout::Table;
use super::super::value::Value;
use super::{json_pairs, json_texts};
use crate::error::{Error, Result};

/// Refuses rows that were just written and share a value with another row of their source.
pub(crate) async fn check(
    conn: &mut dyn Conn,
    table: &Table,
    source: i64,
    rows: &[(String, String)],
) -> Result<()> {
    let (list, condition, keys) = if table.is_edge() {
        (
            conn.dialect().pairs(2),
            "a.\"_from\" = p.a AND a.\"_to\" = p.b",
            json_pairs(rows.iter().map(|(from, to)| (from.as_str(), to.as_str()))),
        )
    } else {
        (
            conn.dialect().texts(2),
            "a.\"_id\" = p.value",
            json_texts(rows.iter().map(|(id, _)| id.as_str())),
        )
    };
    for field in table.fields.iter().filter(|field| field.unique) {
        let (current, column) = (quote(&table.current()), quote(&field.name));
        let sql = format!(
            "SELECT a.{column} FROM {list} p CROSS JOIN {current} a JOIN {current} b \
             ON b.{column} = a.{column} AND b.\"_source\" = $1 AND b.\"_pk\" <> a.\"_pk\" \
             WHERE a.\"_source\" = $1 AND {condition} LIMIT 1"
        );
        let found = conn.fetch(sql, vec![source.into(), keys.clone()]).await?;
        if let Some(row) = found.first() {
            return Err(shared(table, &field.name, row.get(0)));
        }
    }
    Ok(())
}

fn shared(table: &Table, field: &str, value: &Value) -> Error {
    let value = match value {
        Value::Null => String::new(),
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Float(value) => value.to_string(),
        Value::Text(text) => text.chars().take(100).collect(),
    };
    Error::bad_request(
        "not_unique",
        format!(
            "`{field}` of `{}` must be different in every row of a source, and two rows have `{value}`; nothing of this import was applied",
            table.name
        ),
    )
}
