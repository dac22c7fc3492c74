//! Many rows as one text: each row of its own is handed from one thread to another, which takes
//! several times longer than to read it.

use std::fmt;
use std::num::ParseFloatError;

use serde::de::{Deserialize, Deserializer, Visitor};
use sqlx::sqlite::SqliteConnection;

use super::super::conn::BulkColumn;
use super::super::dialect::quote;
use super::super::value::{ColumnType, Row, Value};
use crate::error::{Error, Result};

/// Most columns that the database puts into one list.
const WIDEST: usize = 100;

/// Runs a query and returns the columns of these names of all its rows.
pub(super) async fn fetch(
    conn: &mut SqliteConnection,
    sql: String,
    columns: &[BulkColumn],
    args: Vec<Value>,
) -> Result<Vec<Row>> {
    let names = columns.iter().map(|column| quote(&column.name));
    if columns.len() > WIDEST {
        let names: Vec<String> = names.collect();
        let sql = format!("SELECT {} FROM ({sql})", names.join(", "));
        return super::fetch(conn, sql, args).await;
    }
    let cells: Vec<String> = columns
        .iter()
        .zip(names)
        .map(|(column, name)| match column.ty {
            // As JSON, a number would lose its last digits.
            ColumnType::Float => format!("quote({name})"),
            ColumnType::Text | ColumnType::Int | ColumnType::Bool => name,
        })
        .collect();
    let sql = format!(
        "SELECT json_group_array(json_array({})) FROM ({sql})",
        cells.join(", ")
    );
    let found = super::fetch(conn, sql, args).await?;
    let text = found.first().and_then(|row| row.str(0)).unwrap_or("[]");
    let rows: Vec<Vec<Cell>> =
        serde_json::from_str(text).map_err(|error| Error::internal("read rows", error))?;
    rows.into_iter()
        .map(|row| {
            let values = row.into_iter().zip(columns);
            values
                .map(|(Cell(value), column)| number(value, column.ty))
                .collect::<Result<_, _>>()
                .map(Row)
        })
        .collect::<Result<_, ParseFloatError>>()
        .map_err(|error| Error::internal("read a number", error))
}

/// Reads numbers, which come as SQL writes them.
fn number(value: Value, ty: ColumnType) -> Result<Value, ParseFloatError> {
    match value {
        Value::Text(text) if ty == ColumnType::Float => match text.as_str() {
            "NULL" => Ok(Value::Null),
            digits => digits.parse().map(Value::Float),
        },
        other => Ok(other),
    }
}

/// A value in a list.
struct Cell(Value);

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl Visitor<'_> for CellVisitor {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number, a text or null")
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell(Value::Null))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Cell, E> {
        Ok(Cell(Value::Int(value)))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Cell, E> {
        i64::try_from(value)
            .map(|value| Cell(Value::Int(value)))
            .map_err(E::custom)
    }

    fn visit_str<E>(self, value: &str) -> Result<Cell, E> {
        Ok(Cell(Value::Text(value.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use sqlx::ConnectOptions as _;
    use sqlx::sqlite::SqliteConnectOptions;

    use super::super::execute;
    use super::*;

    #[tokio::test]
    async fn values_come_out_as_they_went_in() {
        let memory = SqliteConnectOptions::new().in_memory(true);
        let mut conn = memory.connect().await.unwrap();
        let table = "CREATE TABLE t (n INTEGER, f REAL, s TEXT)";
        execute(&mut conn, table.into(), Vec::new()).await.unwrap();
        let column = |name: &str, ty| BulkColumn {
            name: name.to_owned(),
            ty,
        };
        let columns = [
            column("f", ColumnType::Float),
            column("n", ColumnType::Int),
            column("s", ColumnType::Text),
        ];
        let row = |float: f64, number: i64, text: &str| {
            [
                Value::Float(float),
                Value::Int(number),
                Value::Text(text.into()),
            ]
        };
        let mut wanted = vec![
            [Value::Null, Value::Null, Value::Null],
            row(0.0, i64::MIN, ""),
            row(-0.1, i64::MAX, "NULL"),
            row(1e300, 0, "[\"ü\\u{1}\n\u{1}'\"]"),
            row(7.0, -1, "{\"a\":1}"),
        ];
        // With all the digits that a number can have.
        let mut bits = 0x1234_5678_9abc_def1_u64;
        for _ in 0..20_000 {
            bits ^= bits << 13;
            bits ^= bits >> 7;
            bits ^= bits << 17;
            let float = f64::from_bits(bits);
            if (1e-30..1e30).contains(&float.abs()) {
                wanted.push(row(float, 1, "x"));
            }
        }
        assert!(wanted.len() > 1_000, "{}", wanted.len());
        for [float, number, text] in &wanted {
            let args = vec![number.clone(), float.clone(), text.clone()];
            let insert = "INSERT INTO t VALUES ($1, $2, $3)";
            execute(&mut conn, insert.into(), args).await.unwrap();
        }
        let sql = "SELECT t.*, 7 AS more FROM t ORDER BY rowid".to_owned();
        let found = fetch(&mut conn, sql, &columns, Vec::new()).await.unwrap();
        assert_eq!(found.len(), wanted.len());
        for (row, wanted) in found.into_iter().zip(wanted) {
            assert_eq!(row.0, wanted);
        }
    }
}
