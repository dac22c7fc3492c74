//! The look-ups of the old protocol: by attributes, and the neighbours of a vertex.

use car_schema::FieldType;
use serde_json::{Map, Value as Json, json};

use super::conn::Conn;
use super::dialect::quote;
use super::layout::{FieldColumn, Layout, Table};
use super::value::{Row, Value};
use crate::error::{Error, Result};

/// Most rows that a look-up answers.
const LIMIT: usize = 1000;

/// Turns a stored value into what the field holds.
pub(crate) fn field_json(field: &FieldColumn, value: &Value) -> Json {
    match (field.ty, value) {
        (_, Value::Null) => Json::Null,
        (FieldType::Boolean, Value::Int(value)) => (*value != 0).into(),
        (FieldType::Object | FieldType::Texts | FieldType::Any, Value::Text(text)) => {
            serde_json::from_str(text).unwrap_or(Json::Null)
        }
        (_, Value::Bool(value)) => (*value).into(),
        (_, Value::Int(value)) => (*value).into(),
        (_, Value::Float(value)) => number(*value),
        (_, Value::Text(text)) => text.as_str().into(),
    }
}

/// Writes a whole number without a fraction, so that times look like times.
fn number(value: f64) -> Json {
    #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
    if value.fract() == 0.0 && value.abs() < 9.0e15 {
        (value as i64).into()
    } else {
        value.into()
    }
}

/// The columns that [`document`] reads, for a table with the alias `e` and its source as `s`.
fn selection(table: &Table) -> String {
    let keys = if table.is_edge() {
        "e._from, e._to"
    } else {
        "e._id, e._cid"
    };
    let mut list = format!("s.key, {keys}, e._seen, e._report, e._props");
    for field in &table.fields {
        list.push_str(", e.");
        list.push_str(&quote(&field.name));
    }
    list
}

/// Makes the document of an entity from a row of [`selection`].
fn document(table: &Table, row: &Row) -> Json {
    let mut document = Map::new();
    let source = row.str(0).unwrap_or_default();
    if let Some((from, to)) = &table.ends {
        document.insert(
            "_from".into(),
            format!("{from}/{}", row.str(1).unwrap_or_default()).into(),
        );
        document.insert(
            "_to".into(),
            format!("{to}/{}", row.str(2).unwrap_or_default()).into(),
        );
    } else {
        let id = row.str(1).unwrap_or_default();
        document.insert("_key".into(), id.into());
        document.insert("external_id".into(), id.into());
        document.insert("id".into(), format!("{source}/{id}").into());
        if let Some(connecting) = row.str(2) {
            document.insert("connecting_id".into(), connecting.into());
        }
    }
    document.insert("source".into(), source.into());
    document.insert("reported_at".into(), json!(row.int(3)));
    if let Some(report) = row.str(4) {
        document.insert("report".into(), report.into());
    }
    if let Some(properties) = row.str(5).and_then(|text| serde_json::from_str(text).ok()) {
        document.insert("properties".into(), properties);
    }
    for (index, field) in table.fields.iter().enumerate() {
        let value = row.get(index.saturating_add(6));
        if *value != Value::Null {
            document.insert(field.name.clone(), field_json(field, value));
        }
    }
    document.into()
}

/// Finds entities whose attributes have the given values.
pub(crate) async fn by_attributes<'a>(
    conn: &mut dyn Conn,
    table: &Table,
    attributes: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Vec<Json>> {
    let mut conditions = vec!["true".to_owned()];
    let mut args = Vec::new();
    for (name, value) in attributes {
        let column = match name {
            "source" => "s.key".to_owned(),
            "_key" | "external_id" | "key" if !table.is_edge() => "e._id".to_owned(),
            "_from" | "from" if table.is_edge() => "e._from".to_owned(),
            "_to" | "to" if table.is_edge() => "e._to".to_owned(),
            name => {
                let field = table
                    .fields
                    .iter()
                    .find(|field| field.name == name)
                    .ok_or_else(|| {
                        Error::bad_request(
                            "unknown_field",
                            format!("`{}` has no attribute `{name}` to look up by", table.name),
                        )
                    })?;
                args.push(typed(field, value)?);
                conditions.push(format!("e.{} = ${}", quote(name), args.len()));
                continue;
            }
        };
        let value = match (&table.ends, name.trim_start_matches('_')) {
            (Some((from, _)), "from") => value.strip_prefix(&format!("{from}/")).unwrap_or(value),
            (Some((_, to)), "to") => value.strip_prefix(&format!("{to}/")).unwrap_or(value),
            _ => value,
        };
        args.push(value.into());
        conditions.push(format!("{column} = ${}", args.len()));
    }
    find(conn, table, &conditions.join(" AND "), args).await
}

fn typed(field: &FieldColumn, value: &str) -> Result<Value> {
    let wrong = || {
        Error::bad_request(
            "invalid_parameter",
            format!("`{}` cannot be `{value}`", field.name),
        )
    };
    Ok(match field.ty {
        FieldType::Integer => Value::Int(value.parse().map_err(|_| wrong())?),
        FieldType::Number => Value::Float(value.parse().map_err(|_| wrong())?),
        FieldType::Boolean => Value::Bool(value.parse().map_err(|_| wrong())?),
        FieldType::Text | FieldType::Object | FieldType::Texts | FieldType::Any => value.into(),
    })
}

async fn find(
    conn: &mut dyn Conn,
    table: &Table,
    condition: &str,
    args: Vec<Value>,
) -> Result<Vec<Json>> {
    let sql = format!(
        "SELECT {} FROM {} e JOIN sources s ON s.pk = e._source WHERE {condition} \
         ORDER BY e._pk LIMIT {LIMIT}",
        selection(table),
        quote(&table.current())
    );
    let rows = conn.fetch(sql, args).await?;
    Ok(rows.iter().map(|row| document(table, row)).collect())
}

/// Finds a vertex and what it is linked with.
pub(crate) async fn neighbours(
    conn: &mut dyn Conn,
    layout: &Layout,
    table: &Table,
    id: &str,
) -> Result<Json> {
    let results = find(conn, table, "e._id = $1", vec![id.into()]).await?;
    if results.is_empty() {
        return Err(Error::not_found(
            "unknown_entity",
            format!("there is no `{}` with the id `{id}`", table.name),
        ));
    }
    let mut related = Vec::new();
    for edge in layout.edges() {
        let Some((from, to)) = &edge.ends else {
            continue;
        };
        for (here, other, near, far) in [(from, to, "_from", "_to"), (to, from, "_to", "_from")] {
            if *here != table.name {
                continue;
            }
            let Some(vertex) = layout.get(other) else {
                continue;
            };
            let links = find(conn, edge, &format!("e.{near} = $1"), vec![id.into()]).await?;
            for link in links {
                let end = link[far].as_str().unwrap_or_default();
                let key = end.strip_prefix(&format!("{other}/")).unwrap_or(end);
                let args = vec![
                    key.into(),
                    link["source"].as_str().unwrap_or_default().into(),
                ];
                let node = find(conn, vertex, "e._id = $1 AND s.key = $2", args).await?;
                for node in node {
                    related.push(json!({ "node": node, "link": link }));
                }
            }
        }
    }
    let result = match <[Json; 1]>::try_from(results) {
        Ok([result]) => result,
        Err(results) => results.into(),
    };
    Ok(json!({ "result": result, "related": related }))
}
