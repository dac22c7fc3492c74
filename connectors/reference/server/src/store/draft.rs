//! Turns a JSON object that a client sent into checked values. Nothing reaches the database
//! without passing here.

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use crate::error::ApiError;
use crate::model::{Collection, Field, Kind, MAX_PK, MAX_TEXT, Relation};

/// A value that fits its column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stored {
    Null,
    Text(String),
    Integer(i64),
    Number(f64),
}

/// A checked object. Fields and relations are in the order of the model; `None` is "not given".
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Draft {
    pub(crate) pk: Option<i64>,
    pub(crate) fields: Vec<Option<Stored>>,
    pub(crate) links: Vec<Option<BTreeSet<i64>>>,
}

impl Draft {
    /// Checks the fields that are given, and that no other field is there.
    pub(crate) fn partial(collection: &Collection, body: &Value) -> Result<Self, ApiError> {
        let Value::Object(object) = body else {
            return Err(ApiError::bad(
                "not_an_object",
                "the body must be one JSON object",
            ));
        };
        refuse_unknown(collection, object)?;
        let mut fields = Vec::with_capacity(collection.fields.len());
        for field in collection.fields {
            let value = object.get(field.name).map(|v| stored(field, v));
            fields.push(value.transpose()?);
        }
        let mut links = Vec::with_capacity(collection.relations.len());
        for relation in collection.relations {
            let value = object.get(relation.name).map(|v| linked(relation, v));
            links.push(value.transpose()?);
        }
        let pk = match object.get("pk") {
            None | Some(Value::Null) => None,
            Some(value) => Some(chosen_pk(value)?),
        };
        Ok(Self { pk, fields, links })
    }

    /// As [`Draft::partial`], but what is not given becomes empty, and required fields must be
    /// there.
    pub(crate) fn whole(collection: &Collection, body: &Value) -> Result<Self, ApiError> {
        let mut draft = Self::partial(collection, body)?;
        for (field, value) in collection.fields.iter().zip(&mut draft.fields) {
            if value.is_none() {
                *value = Some(stored(field, &Value::Null)?);
            }
        }
        for targets in &mut draft.links {
            targets.get_or_insert_default();
        }
        Ok(draft)
    }
}

fn chosen_pk(value: &Value) -> Result<i64, ApiError> {
    let pk = value.as_i64().filter(|pk| (1..=MAX_PK).contains(pk));
    pk.ok_or_else(|| {
        ApiError::bad(
            "wrong_type",
            format!("`pk` must be a whole number from 1 to {MAX_PK}"),
        )
    })
}

fn refuse_unknown(collection: &Collection, object: &Map<String, Value>) -> Result<(), ApiError> {
    let known = |name: &str| {
        matches!(name, "pk" | "url")
            || collection.fields.iter().any(|f| f.name == name)
            || collection.relations.iter().any(|r| r.name == name)
    };
    match object.keys().find(|name| !known(name)) {
        None => Ok(()),
        Some(name) => {
            let fields = collection.fields.iter().map(|f| f.name);
            let names: Vec<&str> = fields
                .chain(collection.relations.iter().map(|r| r.name))
                .collect();
            Err(ApiError::bad(
                "unknown_field",
                format!(
                    "{} has no field `{}`; it has {}",
                    collection.name,
                    shorten(name),
                    names.join(", ")
                ),
            ))
        }
    }
}

/// Cuts text that a client chose, for use in a message.
pub(crate) fn shorten(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    text.chars().take(MOST).chain(['…']).collect()
}

fn stored(field: &Field, value: &Value) -> Result<Stored, ApiError> {
    let name = field.name;
    let wrong = |wanted: &str| {
        Err(ApiError::bad(
            "wrong_type",
            format!("`{name}` must be {wanted}"),
        ))
    };
    match (field.kind, value) {
        (_, Value::Null) if field.required => Err(ApiError::bad(
            "missing_field",
            format!("`{name}` is required"),
        )),
        (_, Value::Null) => Ok(Stored::Null),
        (Kind::Text, Value::String(text)) => checked_text(field, text),
        (Kind::Text, _) => wrong("text"),
        (Kind::Integer { min, max }, value) => match value.as_i64() {
            Some(number) if (min..=max).contains(&number) => Ok(Stored::Integer(number)),
            _ => wrong(&format!("a whole number from {min} to {max}")),
        },
        (Kind::Number, value) => match value.as_f64() {
            Some(number) if number.is_finite() => Ok(Stored::Number(number)),
            _ => wrong("a number"),
        },
        (Kind::Boolean, Value::Bool(flag)) => Ok(Stored::Integer(i64::from(*flag))),
        (Kind::Boolean, _) => wrong("true or false"),
    }
}

fn checked_text(field: &Field, text: &str) -> Result<Stored, ApiError> {
    let name = field.name;
    if field.required && text.is_empty() {
        return Err(ApiError::bad(
            "missing_field",
            format!("`{name}` must not be empty"),
        ));
    }
    if text.len() > MAX_TEXT {
        return Err(ApiError::bad(
            "too_long",
            format!("`{name}` has {} bytes, at most {MAX_TEXT} fit", text.len()),
        ));
    }
    if text.contains('\0') {
        return Err(ApiError::bad(
            "wrong_type",
            format!("`{name}` must not contain the NUL character"),
        ));
    }
    Ok(Stored::Text(text.to_owned()))
}

fn linked(relation: &Relation, value: &Value) -> Result<BTreeSet<i64>, ApiError> {
    let name = relation.name;
    match (relation.single, value) {
        (_, Value::Null) => Ok(BTreeSet::new()),
        (true, value) => Ok(BTreeSet::from([link(relation, value)?])),
        (false, Value::Array(values)) => values.iter().map(|v| link(relation, v)).collect(),
        (false, _) => Err(ApiError::bad(
            "wrong_type",
            format!("`{name}` must be a list of addresses"),
        )),
    }
}

/// A link is an address or path that ends in `collection/pk/`, or just the pk. The host part is
/// not compared, since one server is reached under several names.
fn link(relation: &Relation, value: &Value) -> Result<i64, ApiError> {
    let target = relation.target;
    let parsed = match value {
        Value::Number(number) => number.as_i64(),
        Value::String(address) => pk_in_address(address, target),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    parsed.filter(|pk| *pk > 0).ok_or_else(|| {
        ApiError::bad(
            "bad_link",
            format!(
                "`{}` takes addresses such as http://host/{target}/7/, not {}",
                relation.name,
                shorten(&value.to_string())
            ),
        )
    })
}

fn pk_in_address(address: &str, target: &str) -> Option<i64> {
    let path = match url::Url::parse(address) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => url.path().to_owned(),
        Ok(_) => return None,
        Err(_) => address.to_owned(),
    };
    let mut segments = path.trim_end_matches('/').rsplit('/');
    let pk = segments.next()?;
    if segments.next()? != target || !pk.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    pk.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::collection;

    #[test]
    fn links_are_read_from_addresses_paths_and_numbers() {
        for (value, wanted) in [
            ("http://127.0.0.1:8000/assets/7/", Some(7)),
            ("https://other/prefix/assets/7", Some(7)),
            ("/assets/7/", Some(7)),
            ("/sites/7/", None),
            ("ftp://h/assets/7/", None),
            ("/assets/-7/", None),
            ("/assets/99999999999999999999/", None),
            ("", None),
        ] {
            assert_eq!(pk_in_address(value, "assets"), wanted, "{value}");
        }
    }

    #[test]
    fn whole_drafts_need_required_fields_and_partial_ones_do_not() {
        let ports = collection("ports").unwrap();
        let body = json!({"port_number": 443});
        assert_eq!(
            Draft::whole(ports, &body).unwrap_err().code,
            "missing_field"
        );
        let draft = Draft::partial(ports, &body).unwrap();
        assert_eq!(draft.fields[0], Some(Stored::Integer(443)));
        assert_eq!(draft.fields[1], None);
    }
}
