//! What an aggregate computes: which columns its statement has, and where their values go.

use async_graphql::indexmap::IndexMap;
use async_graphql::{Error, Name, SelectionField, Value as Gql};

use super::catalog::{Attribute, Entry, Ty};
use super::fetch;
use super::sql::{GqlResult, expression};
use crate::store::Row;

/// The functions over columns, and whether they need numbers.
pub(crate) const FUNCTIONS: [(&str, bool); 4] =
    [("min", false), ("max", false), ("sum", true), ("avg", true)];

/// A column of the statement.
#[derive(Debug, Clone)]
pub(crate) struct Total {
    /// Names in the answer that lead to the value.
    path: Vec<String>,
    /// What computes it.
    pub(crate) sql: String,
    ty: Ty,
    /// What it is where there are no rows.
    none: Gql,
}

/// Returns the attributes that a function takes.
pub(crate) fn usable(entry: &Entry, numeric: bool) -> impl Iterator<Item = &Attribute> {
    entry.attributes.iter().filter(move |attribute| {
        attribute.ty.comparable()
            && attribute.ty != Ty::Boolean
            && (!numeric || attribute.ty.numeric())
    })
}

/// Returns the type of a function's value.
pub(crate) fn type_of(function: &str, attribute: &Attribute) -> Ty {
    match (function, attribute.ty) {
        ("avg", _) => Ty::Float,
        // The sum of many small numbers need not be small.
        ("sum", Ty::Int) => Ty::BigInt,
        (_, ty) => ty,
    }
}

/// Reads what is selected below `aggregate`.
pub(crate) fn read(
    on: &Entry,
    field: &SelectionField<'_>,
    totals: &mut Vec<Total>,
) -> GqlResult<()> {
    let whole = response_key(*field);
    for function in field.selection_set() {
        let key = response_key(function);
        if function.name() == "count" {
            totals.push(Total {
                path: vec![whole.clone(), key.clone()],
                sql: count(on, &function)?,
                ty: Ty::Int,
                none: Gql::from(0),
            });
        }
        if !FUNCTIONS.iter().any(|(name, _)| *name == function.name()) {
            continue;
        }
        for column in function.selection_set() {
            let Some(attribute) = on.attribute(column.name()) else {
                continue;
            };
            let ty = type_of(function.name(), attribute);
            totals.push(Total {
                path: vec![whole.clone(), key.clone(), response_key(column)],
                sql: call(function.name(), ty, &expression("e", attribute)),
                ty,
                none: Gql::Null,
            });
        }
    }
    Ok(())
}

/// Returns the name that a field has in the answer.
pub(crate) fn response_key(field: SelectionField<'_>) -> String {
    field.alias().unwrap_or(field.name()).to_owned()
}

/// Writes a call; PostgreSQL would answer sums and averages as decimals.
fn call(function: &str, ty: Ty, argument: &str) -> String {
    match (function, ty) {
        ("avg", _) | ("sum", Ty::Float) => {
            format!("CAST({function}({argument}) AS DOUBLE PRECISION)")
        }
        ("sum", _) => format!("CAST(sum({argument}) AS BIGINT)"),
        _ => format!("{function}({argument})"),
    }
}

fn count(on: &Entry, field: &SelectionField<'_>) -> GqlResult<String> {
    let arguments = field
        .arguments()
        .map_err(|error| Error::new(error.message))?;
    let mut columns = Vec::new();
    let mut distinct = false;
    for (name, value) in arguments {
        match (name.as_str(), value) {
            ("columns", Gql::List(list)) => {
                columns.extend(list.into_iter().filter_map(|item| match item {
                    Gql::Enum(name) => Some(name.to_string()),
                    Gql::String(name) => Some(name),
                    _ => None,
                }));
            }
            ("columns", Gql::Enum(name)) => columns.push(name.to_string()),
            ("columns", Gql::String(name)) => columns.push(name),
            ("distinct", Gql::Boolean(value)) => distinct = value,
            _ => {}
        }
    }
    match columns.as_slice() {
        [] => Ok("count(*)".into()),
        [column] => {
            let attribute = on
                .attribute(column)
                .ok_or_else(|| Error::new(format!("there is no column `{column}`")))?;
            let distinct = if distinct { "DISTINCT " } else { "" };
            Ok(format!("count({distinct}{})", expression("e", attribute)))
        }
        _ => Err(Error::new("`count` takes one column")),
    }
}

/// Makes the answer from a row whose first column is the number of the parent; from none, what
/// there is to say about no rows.
pub(crate) fn values(totals: &[Total], row: Option<&Row>) -> Gql {
    let mut values = IndexMap::new();
    for (index, total) in totals.iter().enumerate() {
        let value = match row {
            Some(row) => fetch::value(total.ty, row.get(index.saturating_add(1))),
            None => total.none.clone(),
        };
        put(&mut values, &total.path, value);
    }
    Gql::Object(values)
}

fn put(object: &mut IndexMap<Name, Gql>, path: &[String], value: Gql) {
    match path {
        [] => {}
        [last] => {
            object.insert(Name::new(last), value);
        }
        [first, rest @ ..] => {
            let inner = object
                .entry(Name::new(first))
                .or_insert_with(|| Gql::Object(IndexMap::new()));
            if let Gql::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
    }
}
