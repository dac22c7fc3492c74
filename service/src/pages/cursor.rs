//! Where a list goes on: the sort values of the last row shown, never a count of rows.

use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::store::{Value, quote};

/// What the columns of an order hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    Text,
    Int,
    Float,
}

/// An order that an index has, so that any page of it is found at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Order {
    /// Columns of the order, of which the last ones tell all rows apart.
    pub(super) columns: Vec<(String, Holds)>,
    /// Whether the largest come first.
    pub(super) descending: bool,
    /// Whether rows without a value in the first column are left out.
    pub(super) optional: bool,
}

impl Order {
    /// Writes the columns to select, for a table with the alias `e`.
    pub(super) fn selection(&self) -> String {
        self.join(|column| format!("e.{}", quote(column)))
    }

    /// Writes what follows `ORDER BY`.
    pub(super) fn by(&self) -> String {
        let way = if self.descending { "DESC" } else { "ASC" };
        self.join(|column| format!("e.{} {way}", quote(column)))
    }

    fn join(&self, write: impl Fn(&str) -> String) -> String {
        let parts: Vec<String> = self.columns.iter().map(|(name, _)| write(name)).collect();
        parts.join(", ")
    }

    /// Writes the condition of rows after a place, and adds its values to the arguments.
    pub(super) fn after(&self, place: Option<&Place>, args: &mut Vec<Value>) -> String {
        let mut parts = Vec::new();
        if self.optional
            && let Some((first, _)) = self.columns.first()
        {
            parts.push(format!("e.{} IS NOT NULL", quote(first)));
        }
        if let Some(Place(values)) = place {
            let places: Vec<String> = values
                .iter()
                .map(|value| {
                    args.push(value.clone());
                    format!("${}", args.len())
                })
                .collect();
            let than = if self.descending { "<" } else { ">" };
            parts.push(format!(
                "({}) {than} ({})",
                self.selection(),
                places.join(", ")
            ));
        }
        if parts.is_empty() {
            parts.push("true".into());
        }
        parts.join(" AND ")
    }

    /// Reads a place from an address.
    pub(super) fn place(&self, text: &str) -> Result<Option<Place>> {
        if text.is_empty() {
            return Ok(None);
        }
        let wrong = || {
            Error::bad_request(
                "invalid_cursor",
                "`after` is not from a page of this list; begin at its first page",
            )
        };
        let list: Vec<Json> = serde_json::from_str(text).map_err(|_| wrong())?;
        if list.len() != self.columns.len() {
            return Err(wrong());
        }
        let values = self
            .columns
            .iter()
            .zip(list)
            .map(|((_, holds), value)| {
                match (holds, value) {
                    (Holds::Text, Json::String(text)) if !text.contains('\0') => {
                        Some(Value::Text(text))
                    }
                    (Holds::Int, Json::Number(number)) => number.as_i64().map(Value::Int),
                    (Holds::Float, Json::Number(number)) => number.as_f64().map(Value::Float),
                    _ => None,
                }
                .ok_or_else(wrong)
            })
            .collect::<Result<_>>()?;
        Ok(Some(Place(values)))
    }
}

/// A place in an order.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place(pub(super) Vec<Value>);

impl Place {
    /// Writes a place into an address.
    pub(super) fn to_text(&self) -> String {
        let list: Vec<Json> = self
            .0
            .iter()
            .map(|value| match value {
                Value::Null => Json::Null,
                Value::Bool(value) => (*value).into(),
                Value::Int(value) => (*value).into(),
                Value::Float(value) => (*value).into(),
                Value::Text(text) => text.as_str().into(),
            })
            .collect();
        Json::from(list).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_survive_an_address_and_others_are_refused() {
        let order = Order {
            columns: vec![
                ("score".into(), Holds::Float),
                ("_id".into(), Holds::Text),
                ("_pk".into(), Holds::Int),
            ],
            descending: true,
            optional: true,
        };
        let place = Place(vec![
            Value::Float(9.8),
            Value::Text("a\"b".into()),
            Value::Int(7),
        ]);
        assert_eq!(order.place(&place.to_text()).unwrap(), Some(place.clone()));
        assert_eq!(order.place("").unwrap(), None);
        for wrong in [
            "x",
            "[]",
            "[1,2,3]",
            "[1,\"a\",1.5]",
            "[null,\"a\",1]",
            "{}",
        ] {
            assert_eq!(order.place(wrong).unwrap_err().code(), "invalid_cursor");
        }
        let mut args = vec![Value::Int(0)];
        assert_eq!(
            order.after(Some(&place), &mut args),
            "e.\"score\" IS NOT NULL AND (e.\"score\", e.\"_id\", e.\"_pk\") < ($2, $3, $4)"
        );
        assert_eq!(args.len(), 4);
        assert_eq!(
            order.by(),
            "e.\"score\" DESC, e.\"_id\" DESC, e.\"_pk\" DESC"
        );
    }
}
