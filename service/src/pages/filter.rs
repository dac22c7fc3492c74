//! What a list is narrowed to: one field compared with a value, and one source.

use car_schema::FieldType;

use super::form::Fields;
use crate::error::{Error, Result};
use crate::store::layout::by_source;
use crate::store::ops::source;
use crate::store::{Conn, Table, Value, quote};

/// Ways to compare, with their names for people.
pub(super) const COMPARISONS: [(&str, &str); 4] = [
    ("is", "is"),
    ("contains", "contains"),
    ("least", "is at least"),
    ("most", "is at most"),
];

/// What a list is narrowed to.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// What a row must meet, for a table with the alias `e`.
    pub(super) conditions: Vec<String>,
    /// Values of the conditions.
    pub(super) args: Vec<Value>,
    /// Whether an index leads to the rows.
    pub(super) indexed: bool,
    /// The condition on the source, without arguments, where an index leads to its rows.
    pub(super) source: Option<String>,
}

impl Filter {
    /// Reads field, comparison, value and source of an address.
    pub(super) async fn new(conn: &mut dyn Conn, table: &Table, query: &Fields) -> Result<Self> {
        let mut filter = Self::default();
        let field = query.get("field");
        if !field.is_empty() && !query.get("value").is_empty() {
            filter.compare(table, field, query.get("op"), query.get("value"))?;
        }
        let key = query.get("source");
        if !key.is_empty() {
            let found = source::find(conn, key)
                .await?
                .ok_or_else(|| source::unknown(key))?;
            // A number of the database's own, so that no statement has to carry it along.
            let mut condition = format!("e.\"_source\" = {}", found.pk);
            if !table.is_edge() {
                condition = format!("{condition} AND {}", by_source("e."));
                filter.source = Some(condition.clone());
            }
            filter.conditions.push(condition);
        }
        Ok(filter)
    }

    fn arg(&mut self, value: Value) -> String {
        self.args.push(value);
        format!("${}", self.args.len())
    }

    fn compare(&mut self, table: &Table, field: &str, op: &str, text: &str) -> Result<()> {
        let text = text.trim();
        let wrong = |what: &str| {
            Error::bad_request(
                "invalid_filter",
                format!("`{field}` cannot be compared so: {what}"),
            )
        };
        let (column, ty, indexed) = column(table, field).ok_or_else(|| {
            Error::bad_request(
                "unknown_field",
                format!("`{}` has no field `{field}` to filter on", table.name),
            )
        })?;
        let textual = !matches!(
            ty,
            FieldType::Number | FieldType::Integer | FieldType::Boolean
        );
        let sign = match op {
            "contains" if textual => {
                let pattern = format!("%{}%", escape_like(&text.to_ascii_lowercase()));
                let place = self.arg(Value::Text(pattern));
                self.conditions
                    .push(format!("lower(e.{column}) LIKE {place} ESCAPE '\\'"));
                return Ok(());
            }
            "" | "is" => "=",
            "least" if ty != FieldType::Boolean => ">=",
            "most" if ty != FieldType::Boolean => "<=",
            "contains" => return Err(wrong("only text can contain something")),
            "least" | "most" => return Err(wrong("it is yes or no")),
            _ => return Err(wrong("there is no such comparison")),
        };
        let value = match ty {
            FieldType::Number => Value::Float(
                text.parse()
                    .ok()
                    .filter(|number: &f64| number.is_finite())
                    .ok_or_else(|| wrong("the value must be a number"))?,
            ),
            FieldType::Integer => Value::Int(
                text.parse()
                    .map_err(|_| wrong("the value must be a whole number"))?,
            ),
            FieldType::Boolean => match text {
                "yes" | "true" => Value::Bool(true),
                "no" | "false" => Value::Bool(false),
                _ => return Err(wrong("the value must be yes or no")),
            },
            FieldType::Text | FieldType::Object | FieldType::Texts | FieldType::Any => text.into(),
        };
        self.indexed = indexed && sign == "=";
        let place = self.arg(value);
        self.conditions.push(format!("e.{column} {sign} {place}"));
        Ok(())
    }
}

/// Finds the column of a field: quoted name, type, and whether an index leads to its values.
fn column(table: &Table, field: &str) -> Option<(String, FieldType, bool)> {
    match field {
        "_key" if !table.is_edge() => Some(("\"_id\"".into(), FieldType::Text, true)),
        "_from" if table.is_edge() => Some(("\"_from\"".into(), FieldType::Text, true)),
        "_to" if table.is_edge() => Some(("\"_to\"".into(), FieldType::Text, true)),
        _ => table
            .fields
            .iter()
            .find(|known| known.name == field)
            .map(|known| (quote(&known.name), known.ty, known.indexed)),
    }
}

fn escape_like(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '%' | '_' | '\\') {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
