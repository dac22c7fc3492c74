//! The rules of a collection, compiled once per model so that a row costs little to check.

use std::collections::HashMap;

use car_schema::{Collection, Extension, Field, FieldType, Identity, Kind, Model};
use fancy_regex::Regex;
use serde_json::Value as Json;

use super::cell::Cell;
use crate::error::{Error, Result};
use crate::extra;
use crate::store::layout::{Connecting, Layout, has_column};
use crate::store::{Table, Value};

/// Where a field of a row goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot {
    /// The identity of the vertex.
    Identity,
    /// An end of the edge (0 from, 1 to), named this way.
    End(usize, Identity),
    /// A column, by its place among the fields of the table.
    Column(usize),
    /// Tags to add.
    Tag,
    /// Tags to take off.
    Untag,
    /// Custom properties.
    Properties,
    /// Checked and then left out: the envelope says the same.
    Nowhere,
}

/// A field with its compiled limits.
#[derive(Debug)]
pub(crate) struct FieldRule {
    pub(crate) name: String,
    pub(crate) slot: Slot,
    ty: FieldType,
    pattern: Option<Regex>,
    min_length: Option<u64>,
    max_length: Option<u64>,
    minimum: Option<f64>,
    maximum: Option<f64>,
    message: Option<String>,
}

/// The rules of one collection.
#[derive(Debug)]
pub(crate) struct CollectionRules {
    pub(crate) name: String,
    /// Number of its table in the layout.
    pub(crate) table: usize,
    /// How many columns its fields have.
    pub(crate) width: usize,
    pub(crate) fields: Vec<FieldRule>,
    by_name: HashMap<String, usize>,
    /// Columns that must be filled, by name and place.
    pub(crate) required: Vec<(String, usize)>,
    /// Groups of columns of which exactly one must be complete.
    pub(crate) one_of: Vec<Vec<(String, usize)>>,
    /// The vertex collections at both ends and whether they have natural keys; `None` for vertices.
    pub(crate) ends: Option<[(String, Identity); 2]>,
    pub(crate) identity: Option<Identity>,
    pub(crate) connecting: Connecting,
    /// The column that stands in for a missing identity: host names and regions.
    pub(crate) stand_in: Option<usize>,
    /// Columns that the connecting id is made of.
    pub(crate) connecting_columns: Vec<usize>,
    /// The column `active` of edges, which is true unless said otherwise.
    pub(crate) active: Option<usize>,
    /// Values of columns that a row does not fill, by place.
    pub(crate) defaults: Vec<(usize, Value)>,
    /// Tells these rules from any others.
    pub(crate) fingerprint: u64,
}

/// The rules of all collections.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    by_name: HashMap<String, CollectionRules>,
}

impl Rules {
    /// Compiles the rules of a model.
    ///
    /// # Errors
    ///
    /// When a pattern of an extension is not a regular expression, or a default is not a value of
    /// its property.
    pub(crate) fn new(model: &Model, layout: &Layout, extensions: &[Extension]) -> Result<Self> {
        let mut by_name = HashMap::new();
        for collection in model.collections() {
            if let Some(rules) = compile(model, collection, layout)? {
                by_name.insert(rules.name.clone(), rules);
            }
        }
        for (collection, name, property) in extra::added(extensions) {
            if let (Some(rules), Some(value)) = (by_name.get_mut(&collection), &property.default) {
                rules.set_default(name, value)?;
            }
        }
        Ok(Self { by_name })
    }

    pub(crate) fn get(&self, collection: &str) -> Option<&CollectionRules> {
        self.by_name.get(collection)
    }
}

fn compile(
    model: &Model,
    collection: &Collection,
    layout: &Layout,
) -> Result<Option<CollectionRules>> {
    let (Some(number), Some(table)) =
        (layout.index(&collection.name), layout.get(&collection.name))
    else {
        return Ok(None);
    };
    let place = |name: &str| table.fields.iter().position(|field| field.name == name);
    let mut fields = Vec::new();
    for field in &collection.fields {
        let slot = slot(collection, field, table);
        fields.push(field_rule(collection, field, slot)?);
    }
    let ends = ends(model, collection);
    if ends.is_some() {
        add_end_names(&mut fields);
    }
    let by_name = fields
        .iter()
        .enumerate()
        .map(|(index, field)| (field.name.clone(), index))
        .collect();
    let stand_in = match collection.name.as_ref() {
        "hostname" => place("host_name"),
        "geolocation" => place("region"),
        _ => None,
    };
    let connecting_columns = match table.connecting {
        Connecting::HostName => vec![place("host_name")],
        Connecting::IpInRegion => vec![place("region_id")],
        Connecting::Region => vec![place("connecting_id"), place("id")],
        Connecting::Account => vec![place("name")],
        Connecting::Mac | Connecting::None => Vec::new(),
    };
    Ok(Some(CollectionRules {
        name: collection.name.to_string(),
        table: number,
        width: table.fields.len(),
        required: collection
            .fields
            .iter()
            .filter(|field| field.required)
            .filter_map(|field| Some((field.name.to_string(), place(&field.name)?)))
            .collect(),
        one_of: collection
            .one_of
            .iter()
            .map(|group| {
                group
                    .iter()
                    .filter_map(|name| Some((name.to_string(), place(name)?)))
                    .collect()
            })
            .collect(),
        defaults: Vec::new(),
        fingerprint: fingerprint(collection, ends.as_ref()),
        active: table.is_edge().then(|| place("active")).flatten(),
        fields,
        by_name,
        ends,
        identity: collection.identity(),
        connecting: table.connecting,
        stand_in,
        connecting_columns: connecting_columns.into_iter().flatten().collect(),
    }))
}

/// Raised when a program reads the same row in another way than the one before it did.
const READING: u32 = 1;

fn fingerprint(collection: &Collection, ends: Option<&[(String, Identity); 2]>) -> u64 {
    let rules = format!("{READING} {collection:?} {ends:?}");
    xxhash_rust::xxh3::xxh3_64(rules.as_bytes())
}

fn slot(collection: &Collection, field: &Field, table: &Table) -> Slot {
    let name = field.name.as_ref();
    if has_column(collection, field)
        && let Some(place) = table.fields.iter().position(|column| column.name == name)
    {
        return Slot::Column(place);
    }
    match (name, &collection.kind) {
        ("tag", _) => Slot::Tag,
        ("untag", _) => Slot::Untag,
        ("properties", _) => Slot::Properties,
        (name, Kind::Vertex { identity }) if name == identity.field() => Slot::Identity,
        ("_from", Kind::Edge { .. }) => Slot::End(0, Identity::Key),
        ("_from_external_id", Kind::Edge { .. }) => Slot::End(0, Identity::ExternalId),
        ("_to", Kind::Edge { .. }) => Slot::End(1, Identity::Key),
        ("_to_external_id", Kind::Edge { .. }) => Slot::End(1, Identity::ExternalId),
        _ => Slot::Nowhere,
    }
}

/// Lets each end be named in both ways, whichever the model prefers.
fn add_end_names(fields: &mut Vec<FieldRule>) {
    for (name, end, by) in [
        ("_from", 0, Identity::Key),
        ("_from_external_id", 0, Identity::ExternalId),
        ("_to", 1, Identity::Key),
        ("_to_external_id", 1, Identity::ExternalId),
    ] {
        if !fields.iter().any(|field| field.name == name) {
            fields.push(FieldRule {
                name: name.to_owned(),
                slot: Slot::End(end, by),
                ty: FieldType::Text,
                pattern: None,
                min_length: None,
                max_length: None,
                minimum: None,
                maximum: None,
                message: None,
            });
        }
    }
}

fn ends(model: &Model, collection: &Collection) -> Option<[(String, Identity); 2]> {
    let (from, to) = collection.ends()?;
    let end = |name: &str| {
        let identity = model
            .get(name)
            .and_then(Collection::identity)
            .unwrap_or(Identity::ExternalId);
        (name.to_owned(), identity)
    };
    Some([end(&from.collection), end(&to.collection)])
}

fn field_rule(collection: &Collection, field: &Field, slot: Slot) -> Result<FieldRule> {
    let limits = &field.limits;
    let pattern = limits
        .pattern
        .as_deref()
        .map(Regex::new)
        .transpose()
        .map_err(|error| {
            Error::bad_request(
                "invalid_extension",
                format!(
                    "the pattern of `{}` in `{}` is not a regular expression: {error}",
                    field.name, collection.name
                ),
            )
        })?;
    Ok(FieldRule {
        name: field.name.to_string(),
        slot,
        ty: field.ty,
        pattern,
        min_length: limits.min_length,
        max_length: limits.max_length,
        minimum: limits.minimum,
        maximum: limits.maximum,
        message: limits.error_message.as_deref().map(str::to_owned),
    })
}

impl CollectionRules {
    fn set_default(&mut self, name: &str, value: &Json) -> Result<()> {
        let Some((field, place)) = self.field(name).and_then(|field| match field.slot {
            Slot::Column(place) => Some((field, place)),
            _ => None,
        }) else {
            return Ok(());
        };
        let value = field.check(Cell::from(value.clone())).map_err(|reason| {
            Error::bad_request(
                "invalid_extension",
                format!("the default of `{name}` in `{}` {reason}", self.name),
            )
        })?;
        let text = format!("{} {name} {value:?}", self.fingerprint);
        self.fingerprint = xxhash_rust::xxh3::xxh3_64(text.as_bytes());
        self.defaults.push((place, value));
        Ok(())
    }

    /// Checks a value for a field that has a column.
    pub(crate) fn check_json(&self, name: &str, value: Json) -> Result<Value, String> {
        match self.field(name) {
            Some(field) => field.check(Cell::from(value)),
            None => Err("is not a field of the collection".into()),
        }
    }

    pub(crate) fn field(&self, name: &str) -> Option<&FieldRule> {
        self.by_name
            .get(name)
            .and_then(|&index| self.fields.get(index))
    }
}

impl FieldRule {
    /// Checks a value and turns it into what is stored; the error is the reason.
    pub(crate) fn check(&self, cell: Cell<'_>) -> Result<Value, String> {
        let wrong =
            |wanted: &str, cell: &Cell<'_>| format!("must be {wanted}, not {}", cell.kind());
        match (self.ty, cell) {
            (FieldType::Text, Cell::Text(text)) => {
                self.check_text(&text)?;
                Ok(Value::Text(text.into_owned()))
            }
            (FieldType::Text, cell) => Err(wrong("text", &cell)),
            (FieldType::Number, Cell::Float(value)) => self.number(value),
            #[expect(
                clippy::cast_precision_loss,
                reason = "the field holds floating point numbers"
            )]
            (FieldType::Number, Cell::Int(value)) => self.number(value as f64),
            #[expect(
                clippy::cast_precision_loss,
                reason = "the field holds floating point numbers"
            )]
            (FieldType::Number, Cell::Big(value)) => self.number(value as f64),
            (FieldType::Number, cell) => Err(wrong("a number", &cell)),
            (FieldType::Integer, Cell::Int(value)) => self.integer(value),
            (FieldType::Integer, Cell::Float(value)) => {
                if value.fract() != 0.0 {
                    return Err("must be a whole number".into());
                }
                if value.abs() >= 9.0e18 {
                    return Err("is too large".into());
                }
                #[expect(clippy::cast_possible_truncation, reason = "whole and in range")]
                self.integer(value as i64)
            }
            (FieldType::Integer, Cell::Big(_)) => Err("is too large".into()),
            (FieldType::Integer, cell) => Err(wrong("a whole number", &cell)),
            (FieldType::Boolean, Cell::Bool(value)) => Ok(Value::Bool(value)),
            (FieldType::Boolean, cell) => Err(wrong("true or false", &cell)),
            (FieldType::Object, Cell::Object(object)) => json(&Json::Object(object)),
            (FieldType::Object, cell) => Err(wrong("an object", &cell)),
            (FieldType::Texts, Cell::Array(list)) if list.iter().all(Json::is_string) => {
                json(&Json::Array(list))
            }
            (FieldType::Texts, cell) => Err(wrong("a list of texts", &cell)),
            (FieldType::Any, cell) => json(&cell.into_json()),
        }
    }

    fn check_text(&self, text: &str) -> Result<(), String> {
        if text.contains('\0') {
            return Err("contains a zero character".into());
        }
        let reason = |standard: String| self.message.clone().unwrap_or(standard);
        if self.min_length.is_some() || self.max_length.is_some() {
            let length = u64::try_from(text.chars().count()).unwrap_or(u64::MAX);
            if let Some(min) = self.min_length.filter(|&min| length < min) {
                return Err(reason(format!("must have at least {min} characters")));
            }
            if let Some(max) = self.max_length.filter(|&max| length > max) {
                return Err(reason(format!("must have at most {max} characters")));
            }
        }
        if let Some(pattern) = &self.pattern {
            // An expression that gives up on the text did not match it.
            if !pattern.is_match(text).unwrap_or(false) {
                return Err(reason(format!(
                    "does not match the pattern {}",
                    pattern.as_str()
                )));
            }
        }
        Ok(())
    }

    fn number(&self, value: f64) -> Result<Value, String> {
        if !value.is_finite() {
            return Err("is too large".into());
        }
        self.check_range(value)?;
        // Minus zero equals zero and shall hash like it.
        Ok(Value::Float(value + 0.0))
    }

    fn integer(&self, value: i64) -> Result<Value, String> {
        #[expect(
            clippy::cast_precision_loss,
            reason = "limits are floating point numbers"
        )]
        self.check_range(value as f64)?;
        Ok(Value::Int(value))
    }

    fn check_range(&self, value: f64) -> Result<(), String> {
        let reason = |standard: String| self.message.clone().unwrap_or(standard);
        if let Some(min) = self.minimum.filter(|&min| value < min) {
            return Err(reason(format!("must be {min} or more")));
        }
        if let Some(max) = self.maximum.filter(|&max| value > max) {
            return Err(reason(format!("must be {max} or less")));
        }
        Ok(())
    }
}

fn json(value: &Json) -> Result<Value, String> {
    let text = value.to_string();
    if text.contains("\\u0000") {
        return Err("contains a zero character".into());
    }
    Ok(Value::Text(text))
}
