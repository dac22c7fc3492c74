//! One row of an envelope: read, checked, hashed.

use std::fmt;

use car_schema::Identity;
use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::{Map, Value as Json};
use xxhash_rust::xxh3::Xxh3;

use super::cell::Cell;
use super::parse::Problem;
use super::rules::{CollectionRules, FieldRule, Slot};
use crate::store::Value;
use crate::store::layout::Connecting;
use crate::store::ops::import::ReadyRow;

/// Longest identity in bytes: what both databases can keep in an index.
const LONGEST_ID: usize = 1024;

/// Reads one row by the rules of its collection.
pub(crate) struct RowSeed<'r> {
    pub(crate) rules: &'r CollectionRules,
    pub(crate) problem: &'r Problem,
    pub(crate) index: usize,
    /// Hash of the text of the row.
    pub(crate) raw: i64,
}

impl<'de> DeserializeSeed<'de> for RowSeed<'_> {
    type Value = ReadyRow;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<ReadyRow, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for RowSeed<'_> {
    type Value = ReadyRow;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "row {} of `{}` as an object",
            self.index, self.rules.name
        )
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ReadyRow, A::Error> {
        let mut draft = Draft {
            fields: vec![Value::Null; self.rules.width],
            ..Draft::default()
        };
        while let Some(name) = map.next_key::<Cell<'de>>()? {
            let Cell::Text(name) = name else {
                return Err(de::Error::custom("a field without a name"));
            };
            let cell = map.next_value::<Cell<'de>>()?;
            let taken = match self.rules.field(&name) {
                Some(field) => draft.take(field, cell),
                None => {
                    draft.custom.insert(name.into_owned(), cell.into_json());
                    continue;
                }
            };
            if let Err(reason) = taken {
                return Err(self
                    .problem
                    .row(&self.rules.name, self.index, Some(&name), &reason));
            }
        }
        draft
            .finish(self.rules, self.raw)
            .map_err(|(field, reason)| {
                self.problem
                    .row(&self.rules.name, self.index, field.as_deref(), &reason)
            })
    }
}

/// A row while it is read.
#[derive(Default)]
struct Draft {
    identity: Option<String>,
    ends: [Option<(String, Identity)>; 2],
    fields: Vec<Value>,
    custom: Map<String, Json>,
    properties: Map<String, Json>,
    tag: Vec<String>,
    untag: Vec<String>,
    /// Whether it says again what the envelope says, such as the time of the run.
    repeats: bool,
}

/// A field, where one is to blame, and the reason.
type Fault = (Option<String>, String);

impl Draft {
    fn take(&mut self, field: &FieldRule, cell: Cell<'_>) -> Result<(), String> {
        match field.slot {
            Slot::Column(place) => {
                let value = field.check(cell)?;
                if let Some(slot) = self.fields.get_mut(place) {
                    *slot = value;
                }
            }
            Slot::Identity => {
                self.identity = field.check(cell)?.into_text();
            }
            Slot::End(end, by) => {
                if let (Some(text), Some(slot)) =
                    (field.check(cell)?.into_text(), self.ends.get_mut(end))
                {
                    *slot = Some((text, by));
                }
            }
            Slot::Tag => self.tag = texts(cell)?,
            Slot::Untag => self.untag = texts(cell)?,
            Slot::Properties => match cell {
                Cell::Object(object) => self.properties = object,
                cell => return Err(format!("must be an object, not {}", cell.kind())),
            },
            Slot::Nowhere => {
                self.repeats = true;
                field.check(cell)?;
            }
        }
        Ok(())
    }

    fn finish(mut self, rules: &CollectionRules, raw: i64) -> Result<ReadyRow, Fault> {
        self.fill_name(rules);
        for (place, value) in &rules.defaults {
            if let Some(slot) = self
                .fields
                .get_mut(*place)
                .filter(|slot| **slot == Value::Null)
            {
                slot.clone_from(value);
            }
        }
        for (name, place) in &rules.required {
            if matches!(self.fields.get(*place), None | Some(Value::Null)) {
                return Err((Some(name.clone()), "is required".into()));
            }
        }
        self.check_groups(rules)?;
        let (id, to, by_external_id) = match &rules.ends {
            None => (self.take_identity(rules)?, String::new(), [false; 2]),
            Some(ends) => {
                let [from, to] = std::mem::take(&mut self.ends);
                let (from, from_external) = end(&ends[0], from, "_from")?;
                let (to, to_external) = end(&ends[1], to, "_to")?;
                (from, to, [from_external, to_external])
            }
        };
        if let Some(slot) = rules.active.and_then(|place| self.fields.get_mut(place))
            && *slot == Value::Null
        {
            *slot = Value::Bool(true);
        }
        // A custom field outside `properties` is the more specific one.
        self.properties.extend(self.custom);
        let properties =
            (!self.properties.is_empty()).then(|| Json::Object(self.properties).to_string());
        if properties
            .as_ref()
            .is_some_and(|text| text.contains("\\u0000"))
        {
            return Err((
                Some("properties".into()),
                "contains a zero character".into(),
            ));
        }
        let connecting = connecting(rules, &id, &self.fields);
        Ok(ReadyRow {
            hash: hash(&self.fields, properties.as_deref()),
            id,
            to,
            fields: self.fields,
            properties,
            connecting,
            position: 0,
            raw: (!self.repeats).then_some(raw),
            tag: self.tag,
            untag: self.untag,
            by_external_id,
        })
    }

    /// A host name may come with its key alone, which then is the name too.
    fn fill_name(&mut self, rules: &CollectionRules) {
        let slot = rules
            .stand_in
            .filter(|_| rules.identity == Some(Identity::Key))
            .and_then(|place| self.fields.get_mut(place));
        if let (Some(slot @ Value::Null), Some(key)) = (slot, &self.identity) {
            *slot = Value::text(key.as_str());
        }
    }

    fn check_groups(&self, rules: &CollectionRules) -> Result<(), Fault> {
        if rules.one_of.is_empty() {
            return Ok(());
        }
        let complete = |group: &&Vec<(String, usize)>| {
            group
                .iter()
                .all(|(_, place)| !matches!(self.fields.get(*place), None | Some(Value::Null)))
        };
        if rules.one_of.iter().filter(complete).count() == 1 {
            return Ok(());
        }
        let groups: Vec<String> = rules
            .one_of
            .iter()
            .map(|group| {
                let names: Vec<&str> = group.iter().map(|(name, _)| name.as_str()).collect();
                names.join(" and ")
            })
            .collect();
        Err((
            None,
            format!("must have exactly one of: {}", groups.join("; ")),
        ))
    }

    fn take_identity(&mut self, rules: &CollectionRules) -> Result<String, Fault> {
        let field = rules.identity.map_or("external_id", Identity::field);
        let stand_in = rules
            .stand_in
            .and_then(|place| self.fields.get(place)?.as_str().map(str::to_owned));
        let id = self
            .identity
            .take()
            .or(stand_in)
            .ok_or_else(|| (Some(field.to_owned()), "is required".to_owned()))?;
        check_id(&id).map_err(|reason| (Some(field.to_owned()), reason))?;
        Ok(id)
    }
}

fn check_id(id: &str) -> Result<(), String> {
    if id.is_empty() {
        return Err("must not be empty".into());
    }
    if id.len() > LONGEST_ID {
        return Err(format!("must not be longer than {LONGEST_ID} bytes"));
    }
    Ok(())
}

/// Returns the identity at an end, and whether it is the external id of a natural-key vertex.
fn end(
    (collection, identity): &(String, Identity),
    given: Option<(String, Identity)>,
    field: &str,
) -> Result<(String, bool), Fault> {
    let Some((text, by)) = given else {
        return Err((
            Some(field.to_owned()),
            format!("is required: name the `{collection}` with `{field}` or `{field}_external_id`"),
        ));
    };
    let id = match by {
        Identity::ExternalId => text,
        Identity::Key => match text
            .strip_prefix(collection.as_str())
            .and_then(|rest| rest.strip_prefix('/'))
        {
            Some(key) => key.to_owned(),
            None => {
                return Err((
                    Some(field.to_owned()),
                    format!("must begin with `{collection}/`"),
                ));
            }
        },
    };
    check_id(&id).map_err(|reason| (Some(field.to_owned()), reason))?;
    Ok((id, by == Identity::ExternalId && *identity == Identity::Key))
}

fn texts(cell: Cell<'_>) -> Result<Vec<String>, String> {
    let Cell::Array(list) = cell else {
        return Err(format!("must be a list of texts, not {}", cell.kind()));
    };
    list.into_iter()
        .map(|item| match item {
            Json::String(text) if text.contains('\0') => Err("contains a zero character".into()),
            Json::String(text) if text.is_empty() || text.len() > LONGEST_ID => Err(format!(
                "has a text that is empty or longer than {LONGEST_ID} bytes"
            )),
            Json::String(text) => Ok(text),
            _ => Err("must be a list of texts".into()),
        })
        .collect()
}

/// Makes the identity across sources.
fn connecting(rules: &CollectionRules, id: &str, fields: &[Value]) -> Option<String> {
    let mut columns = rules
        .connecting_columns
        .iter()
        .filter_map(|&place| fields.get(place)?.as_str());
    match rules.connecting {
        Connecting::None => None,
        Connecting::HostName | Connecting::Account => columns.next().map(str::to_lowercase),
        Connecting::Region => columns.next().map(str::to_owned),
        Connecting::Mac => Some(
            id.chars()
                .filter(char::is_ascii_hexdigit)
                .map(|c| c.to_ascii_lowercase())
                .collect(),
        ),
        Connecting::IpInRegion => Some(match columns.next() {
            Some(region) => format!("{region}/{}", id.to_lowercase()),
            None => id.to_lowercase(),
        }),
    }
}

/// Hashes what a row says, so that an equal report is told from a change.
fn hash(fields: &[Value], properties: Option<&str>) -> i64 {
    let mut hasher = Xxh3::new();
    let mut text = |mark: &[u8], text: &str| {
        hasher.update(mark);
        hasher.update(&text.len().to_le_bytes());
        hasher.update(text.as_bytes());
    };
    for field in fields {
        match field {
            Value::Null => text(b"n", ""),
            Value::Bool(value) => text(if *value { b"t" } else { b"f" }, ""),
            Value::Int(value) => text(b"i", &value.to_string()),
            Value::Float(value) => text(b"d", &format!("{:x}", value.to_bits())),
            Value::Text(value) => text(b"s", value),
        }
    }
    text(b"p", properties.unwrap_or_default());
    // Zero means "changed by hand" in the tables.
    match hasher.digest().cast_signed() {
        0 => 1,
        hash => hash,
    }
}
