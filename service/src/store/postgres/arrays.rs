//! Many rows in one statement: each column travels as an array, and the server makes rows of them.
//!
//! `COPY` is quicker for the server alone, but it takes three messages where this takes one, and
//! a message that follows another without an answer in between waits for the network's late
//! acknowledgement: 40 ms for each table of each import.

use sqlx::postgres::PgArguments;
use sqlx::{Arguments as _, Encode, Postgres, Type};

use super::super::conn::BulkColumn;
use super::super::dialect::quote;
use super::super::value::{ColumnType, Value};
use crate::error::{Error, Result};

/// The values of one column.
#[derive(Debug, PartialEq)]
enum Array {
    Text(Vec<Option<String>>),
    Int(Vec<Option<i64>>),
    Float(Vec<Option<f64>>),
    Bool(Vec<Option<bool>>),
}

impl Array {
    fn new(ty: ColumnType, rows: usize) -> Self {
        match ty {
            ColumnType::Text => Self::Text(Vec::with_capacity(rows)),
            ColumnType::Int => Self::Int(Vec::with_capacity(rows)),
            ColumnType::Float => Self::Float(Vec::with_capacity(rows)),
            ColumnType::Bool => Self::Bool(Vec::with_capacity(rows)),
        }
    }

    fn push(&mut self, value: Value) {
        match self {
            Self::Text(values) => values.push(value.into_text()),
            Self::Int(values) => values.push(value.as_int()),
            Self::Float(values) => values.push(value.as_float()),
            Self::Bool(values) => values.push(value.as_int().map(|value| value != 0)),
        }
    }

    fn bind(self, arguments: &mut PgArguments) -> Result<()> {
        match self {
            Self::Text(values) => add(arguments, values),
            Self::Int(values) => add(arguments, values),
            Self::Float(values) => add(arguments, values),
            Self::Bool(values) => add(arguments, values),
        }
    }
}

fn add<'q, T>(arguments: &mut PgArguments, values: Vec<Option<T>>) -> Result<()>
where
    Vec<Option<T>>: Encode<'q, Postgres> + Type<Postgres>,
{
    arguments
        .add(values)
        .map_err(|error| Error::internal("bind the values of a column", error))
}

/// Turns rows into one array for each column.
///
/// # Errors
///
/// When the rows are larger than one message may be.
pub(super) fn arguments(
    columns: &[BulkColumn],
    rows: impl ExactSizeIterator<Item = Vec<Value>>,
) -> Result<PgArguments> {
    let mut arguments = PgArguments::default();
    for array in arrays(columns, rows) {
        array.bind(&mut arguments)?;
    }
    Ok(arguments)
}

fn arrays(columns: &[BulkColumn], rows: impl ExactSizeIterator<Item = Vec<Value>>) -> Vec<Array> {
    let count = rows.len();
    let mut arrays: Vec<Array> = columns
        .iter()
        .map(|column| Array::new(column.ty, count))
        .collect();
    for row in rows {
        for (array, value) in arrays.iter_mut().zip(row) {
            array.push(value);
        }
    }
    arrays
}

/// Returns the statement that inserts rows from one array for each column.
///
/// As a table, `FROM unnest(…)`, the server would first write each array down a second time.
pub(super) fn statement(table: &str, columns: &[BulkColumn]) -> String {
    let names: Vec<String> = columns.iter().map(|column| quote(&column.name)).collect();
    let params: Vec<String> = (1..)
        .zip(columns)
        .map(|(number, column)| {
            let ty = match column.ty {
                ColumnType::Text => "text",
                ColumnType::Int => "bigint",
                ColumnType::Float => "double precision",
                ColumnType::Bool => "boolean",
            };
            format!("unnest(${number}::{ty}[])")
        })
        .collect();
    format!(
        "INSERT INTO {} ({}) SELECT {}",
        quote(table),
        names.join(", "),
        params.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_column_becomes_an_array() {
        let column = |name: &str, ty| BulkColumn {
            name: name.to_owned(),
            ty,
        };
        let columns = [
            column("a", ColumnType::Text),
            column("b", ColumnType::Int),
            column("c", ColumnType::Float),
            column("d", ColumnType::Bool),
        ];
        let rows = [
            vec![
                "xü".into(),
                Value::Int(-2),
                Value::Int(1),
                Value::Bool(true),
            ],
            vec![Value::Null, Value::Null, Value::Null, Value::Int(0)],
        ];
        assert_eq!(
            arrays(&columns, rows.into_iter()),
            [
                Array::Text(vec![Some("xü".to_owned()), None]),
                Array::Int(vec![Some(-2), None]),
                Array::Float(vec![Some(1.0), None]),
                Array::Bool(vec![Some(true), Some(false)]),
            ]
        );
        assert_eq!(
            statement("t", &columns),
            "INSERT INTO \"t\" (\"a\", \"b\", \"c\", \"d\") SELECT unnest($1::text[]), \
             unnest($2::bigint[]), unnest($3::double precision[]), unnest($4::boolean[])"
        );
    }
}
