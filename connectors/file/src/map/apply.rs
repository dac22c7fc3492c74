//! Applies a mapping to a record: fills templates in, and writes values as the model has them.

use std::fmt;

use car_schema::{EdgeEnd, FieldType, Identity, Row, RowKey};
use jiff::Timestamp;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::mapping::{EdgeMap, FieldMap, MODEL, Mapping, VertexMap};
use super::template::{Element, Record, Scalar};
use crate::rows::Rows;

/// Emits what a record means. `place` says where in the file it is.
pub(super) fn apply(
    mapping: &Mapping,
    record: &dyn Record,
    place: &dyn fmt::Display,
    rows: &mut Rows,
) {
    for vertex in &mapping.vertices {
        match &vertex.each {
            None => emit_vertex(vertex, record, None, place, rows),
            Some(each) => {
                for element in record.each(&each.of, each.split.as_deref()) {
                    emit_vertex(vertex, record, Some(&element), place, rows);
                }
            }
        }
    }
    for edge in &mapping.edges {
        match &edge.each {
            None => emit_edge(edge, record, None, place, rows),
            Some(each) => {
                for element in record.each(&each.of, each.split.as_deref()) {
                    emit_edge(edge, record, Some(&element), place, rows);
                }
            }
        }
    }
}

fn emit_vertex(
    map: &VertexMap,
    record: &dyn Record,
    element: Option<&Element<'_>>,
    place: &dyn fmt::Display,
    rows: &mut Rows,
) {
    // A row without the value of an identity has nothing to say about the vertex.
    let Some(id) = map.id.fill(record, element) else {
        return;
    };
    let collection = &*map.collection;
    let fields = match values(&map.fields, record, element) {
        Ok(fields) => fields,
        Err(reason) => {
            return rows.reject(collection, Some(&id), format!("{place}: {reason}"), "");
        }
    };
    let model = MODEL.get(collection);
    let missing = model
        .into_iter()
        .flat_map(|model| &model.fields)
        .find(|field| {
            field.required
                && map.fields.iter().any(|map| map.name == field.name)
                && !fields.iter().any(|(name, _)| *name == field.name)
        });
    if let Some(field) = missing {
        let reason = format!("{place}: the field `{}` is empty", field.name);
        return rows.reject(collection, Some(&id), reason, "");
    }
    let identity = model.and_then(car_schema::Collection::identity);
    rows.emit(&MappedRow {
        collection,
        ends: Ends::Vertex(identity.unwrap_or(Identity::ExternalId), &id),
        fields: &fields,
    });
}

fn emit_edge(
    map: &EdgeMap,
    record: &dyn Record,
    element: Option<&Element<'_>>,
    place: &dyn fmt::Display,
    rows: &mut Rows,
) {
    let (Some(from), Some(to)) = (map.from.fill(record, element), map.to.fill(record, element))
    else {
        return;
    };
    match values(&map.fields, record, element) {
        Ok(fields) => rows.emit(&MappedRow {
            collection: &map.collection,
            ends: Ends::Edge {
                from: (&map.ends.0, &from),
                to: (&map.ends.1, &to),
            },
            fields: &fields,
        }),
        Err(reason) => rows.reject(&map.collection, None, format!("{place}: {reason}"), ""),
    }
}

/// A value as it is written.
enum Written<'a> {
    Text(std::borrow::Cow<'a, str>),
    Number(f64),
    Integer(i64),
    Boolean(bool),
    Value(Value),
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => serializer.serialize_str(text),
            Self::Number(number) => serializer.serialize_f64(*number),
            Self::Integer(number) => serializer.serialize_i64(*number),
            Self::Boolean(yes) => serializer.serialize_bool(*yes),
            Self::Value(value) => value.serialize(serializer),
        }
    }
}

fn values<'r>(
    maps: &'r [FieldMap],
    record: &'r dyn Record,
    element: Option<&'r Element<'r>>,
) -> Result<Vec<(&'r str, Written<'r>)>, String> {
    let mut fields = Vec::with_capacity(maps.len());
    for map in maps {
        if let Some(value) = value(map, record, element)? {
            fields.push((map.name.as_str(), value));
        }
    }
    Ok(fields)
}

fn value<'r>(
    map: &'r FieldMap,
    record: &'r dyn Record,
    element: Option<&'r Element<'r>>,
) -> Result<Option<Written<'r>>, String> {
    let name = &map.name;
    if matches!(
        map.ty,
        None | Some(FieldType::Any | FieldType::Object | FieldType::Texts)
    ) {
        // As it is in the file, where the template is nothing but a path.
        match map.value.scalar(record, element) {
            Some(Scalar::Number(number)) => return Ok(Some(Written::Value(number.clone().into()))),
            Some(Scalar::Bool(yes)) => return Ok(Some(Written::Boolean(yes))),
            Some(Scalar::Other(node)) => return Ok(Some(Written::Value(node.value()))),
            Some(Scalar::Text(_)) | None => {}
        }
    }
    let Some(text) = map.value.fill(record, element) else {
        return Ok(None);
    };
    let wrong = |what: &str| format!("`{name}` is no {what}: `{text}`");
    Ok(Some(match map.ty {
        None | Some(FieldType::Any | FieldType::Text) => Written::Text(text),
        Some(FieldType::Number) => {
            Written::Number(number(&text).ok_or_else(|| wrong("number or time"))?)
        }
        Some(FieldType::Integer) => Written::Integer(text.parse().map_err(|_| wrong("integer"))?),
        Some(FieldType::Boolean) => match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "1" => Written::Boolean(true),
            "false" | "no" | "0" => Written::Boolean(false),
            _ => return Err(wrong("boolean")),
        },
        Some(FieldType::Texts) => Written::Value(vec![text.into_owned()].into()),
        Some(FieldType::Object) => return Err(wrong("object")),
    }))
}

/// Reads a number; a time counts as milliseconds since 1970.
fn number(text: &str) -> Option<f64> {
    if let Ok(number) = text.parse::<f64>() {
        return number.is_finite().then_some(number);
    }
    let time: Timestamp = text.parse().ok()?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "times of this age are exact in 53 bits"
    )]
    Some(time.as_millisecond() as f64)
}

/// A row that borrows everything.
struct MappedRow<'a> {
    collection: &'a str,
    ends: Ends<'a>,
    fields: &'a [(&'a str, Written<'a>)],
}

enum Ends<'a> {
    Vertex(Identity, &'a str),
    Edge {
        from: (&'a EdgeEnd, &'a str),
        to: (&'a EdgeEnd, &'a str),
    },
}

impl Row for MappedRow<'_> {
    fn collection(&self) -> &str {
        self.collection
    }

    fn key(&self) -> RowKey<'_> {
        match self.ends {
            Ends::Vertex(_, id) => RowKey::Vertex(id),
            Ends::Edge {
                from: (_, from),
                to: (_, to),
            } => RowKey::Edge { from, to },
        }
    }
}

impl Serialize for MappedRow<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match &self.ends {
            Ends::Vertex(identity, id) => map.serialize_entry(identity.field(), id)?,
            Ends::Edge { from, to } => {
                for (names, (end, id)) in [
                    (["_from_external_id", "_from"], from),
                    (["_to_external_id", "_to"], to),
                ] {
                    let [by_id, by_key] = names;
                    match end.by {
                        Identity::ExternalId => map.serialize_entry(by_id, id)?,
                        Identity::Key => {
                            map.serialize_entry(by_key, &format_args!("{}/{id}", end.collection))?;
                        }
                    }
                }
            }
        }
        for (name, value) in self.fields {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
