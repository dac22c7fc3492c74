//! Extensions: collections and properties that a connector adds to a tenant's model.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::model;
use crate::{Collection, EdgeEnd, Field, FieldType, Identity, Kind, Limits};

/// Longest name of a collection or property, so that tables can carry it on every database.
const LONGEST_NAME: usize = 56;

/// Names that queries and rows use for themselves.
const RESERVED: &[&str] = &[
    "id",
    "source",
    "report",
    "external_id",
    "connecting_id",
    "reported_at",
    "properties",
    "tag",
    "tags",
    "untag",
    "instances",
    "timestamp",
    "active",
    "query",
    "mutation",
    "databases",
    "imports",
    "importstatus",
    "jobstatus",
];

/// A connector's extension as `/v3/carSchema` takes and gives it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Extension {
    /// A UUID; one per connector, for good.
    pub key: String,
    /// Who maintains the extension: the connector's name.
    pub owner: String,
    /// A whole number as text; a higher one replaces a lower one.
    pub version: String,
    /// What it adds.
    pub schema: ExtensionSchema,
}

impl Extension {
    /// Returns the version as a number.
    ///
    /// # Errors
    ///
    /// When the version is not a whole number.
    pub fn version_number(&self) -> Result<u64, ExtensionError> {
        self.version.parse().map_err(|_| ExtensionError::Version {
            version: self.version.clone(),
        })
    }
}

/// What an extension adds to the model.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtensionSchema {
    /// New vertex collections, and properties of existing ones.
    #[serde(default)]
    pub vertices: Vec<VertexExtension>,
    /// New edge collections, and properties of existing ones.
    #[serde(default)]
    pub edges: Vec<EdgeExtension>,
}

/// A vertex collection that an extension makes or widens.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VertexExtension {
    /// Name of the collection; one that exists gets the properties added.
    pub name: String,
    /// Properties by name.
    #[serde(default)]
    pub properties: BTreeMap<String, PropertyExtension>,
    /// Rules over several properties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<OneOf>,
}

/// An edge collection that an extension makes or widens; its name is `end1_end2`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeExtension {
    /// Vertex collection where the edges start.
    pub end1: String,
    /// Vertex collection where the edges end.
    pub end2: String,
    /// Properties by name.
    #[serde(default)]
    pub properties: BTreeMap<String, PropertyExtension>,
    /// Rules over several properties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<OneOf>,
}

impl EdgeExtension {
    /// Returns the name of the edge collection.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}_{}", self.end1, self.end2)
    }
}

/// Rules over several properties of a collection.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OneOf {
    /// Groups of required fields, of which exactly one must be complete.
    #[serde(rename = "oneOf", default)]
    pub one_of: Vec<Vec<String>>,
}

/// A property of a collection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PropertyExtension {
    /// What it holds.
    #[serde(rename = "type")]
    pub ty: PropertyType,
    /// Whether look-ups by it are fast.
    #[serde(default, skip_serializing_if = "is_false")]
    pub indexed: bool,
    /// Whether a row without it is refused.
    #[serde(default, skip_serializing_if = "is_false")]
    pub required: bool,
    /// Whether no two rows of a source may share a value.
    #[serde(default, skip_serializing_if = "is_false")]
    pub unique: bool,
    /// Value of rows that do not give one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<serde_json::Value>,
    /// What it means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What its values may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validation: Option<PropertyValidation>,
}

impl PropertyExtension {
    /// Makes an optional property of a type.
    #[must_use]
    pub fn new(ty: PropertyType, description: impl Into<String>) -> Self {
        Self {
            ty,
            indexed: false,
            required: false,
            unique: false,
            default: None,
            description: Some(description.into()),
            validation: None,
        }
    }
}

fn is_false(value: &bool) -> bool {
    !value
}

/// The types that a property can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PropertyType {
    /// A string.
    Text,
    /// A number.
    Numeric,
    /// `true` or `false`.
    Boolean,
    /// A whole number.
    Integer,
    /// A whole number of 64 bits.
    Bigint,
    /// Any JSON value.
    Jsonb,
    /// A time: milliseconds since 1970.
    Timestamp,
    /// An IP address or network.
    Inet,
    /// A hardware address.
    Macaddr,
    /// A whole number that the service may count up.
    Bigserial,
    /// A number.
    Float,
}

impl PropertyType {
    /// Returns what a field of the type holds on the wire.
    #[must_use]
    pub const fn field_type(self) -> FieldType {
        match self {
            Self::Text | Self::Inet | Self::Macaddr => FieldType::Text,
            Self::Numeric | Self::Float | Self::Timestamp => FieldType::Number,
            Self::Boolean => FieldType::Boolean,
            Self::Integer | Self::Bigint | Self::Bigserial => FieldType::Integer,
            Self::Jsonb => FieldType::Any,
        }
    }
}

/// What the values of a property may be.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PropertyValidation {
    /// A pattern that text must match somewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regex: Option<RegexRule>,
    /// Bounds of a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<RangeRule>,
}

/// A pattern that text must match somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegexRule {
    /// Regular expression, searched, not anchored.
    pub pattern: String,
    /// What to tell the sender of other text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}

/// Bounds of a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RangeRule {
    /// Smallest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<f64>,
    /// Largest value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<f64>,
    /// What to tell the sender of another number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
}

/// Why an extension cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExtensionError {
    /// The version is not a number.
    #[error("version `{version}` is not a whole number")]
    Version {
        /// What was given.
        version: String,
    },
    /// A name cannot be used for a collection or property.
    #[error(
        "name `{name}` is not allowed: a lower-case letter first, then lower-case letters, digits and `_`, at most {LONGEST_NAME} in all"
    )]
    Name {
        /// What was given.
        name: String,
    },
    /// A name has a meaning of its own.
    #[error("name `{name}` in `{collection}` is reserved")]
    Reserved {
        /// The collection.
        collection: String,
        /// The name.
        name: String,
    },
    /// A property exists with another type.
    #[error("property `{property}` of `{collection}` exists already and means something else")]
    Redefined {
        /// The collection.
        collection: String,
        /// The property.
        property: String,
    },
    /// An edge ends in a collection that is not there.
    #[error("edge `{edge}` ends in `{end}`, which is not a vertex collection")]
    UnknownEnd {
        /// The edge collection.
        edge: String,
        /// The end.
        end: String,
    },
    /// A group names a field that is not there.
    #[error("validation of `{collection}` names `{field}`, which is not a property of it")]
    UnknownField {
        /// The collection.
        collection: String,
        /// The field.
        field: String,
    },
}

impl ExtensionSchema {
    /// Returns the collections with the extension applied.
    pub(crate) fn apply(
        &self,
        base: &BTreeMap<Cow<'static, str>, Collection>,
    ) -> Result<BTreeMap<Cow<'static, str>, Collection>, ExtensionError> {
        let mut collections = base.clone();
        for vertex in &self.vertices {
            let collection = match collections.get(vertex.name.as_str()) {
                Some(existing) if existing.is_edge() => {
                    return Err(ExtensionError::Reserved {
                        collection: vertex.name.clone(),
                        name: vertex.name.clone(),
                    });
                }
                Some(existing) => existing.clone(),
                None => new_vertex(&vertex.name)?,
            };
            let collection = widen(collection, &vertex.properties, vertex.validation.as_ref())?;
            collections.insert(collection.name.clone(), collection);
        }
        for edge in &self.edges {
            let name = edge.name();
            let collection = match collections.get(name.as_str()) {
                Some(existing) if existing.is_edge() => existing.clone(),
                Some(_) => {
                    return Err(ExtensionError::Reserved {
                        collection: name.clone(),
                        name,
                    });
                }
                None => new_edge(edge, &collections)?,
            };
            let collection = widen(collection, &edge.properties, edge.validation.as_ref())?;
            collections.insert(collection.name.clone(), collection);
        }
        Ok(collections)
    }
}

fn new_vertex(name: &str) -> Result<Collection, ExtensionError> {
    check_name(name)?;
    if RESERVED.contains(&name) {
        return Err(ExtensionError::Reserved {
            collection: name.into(),
            name: name.into(),
        });
    }
    let id = Field {
        required: true,
        indexed: true,
        ..Field::new(
            "external_id",
            FieldType::Text,
            "Name that the source gave it.",
        )
    };
    Ok(model::vertex(
        name.to_owned(),
        Identity::ExternalId,
        "Added by an extension.",
        vec![id],
    ))
}

fn new_edge(
    edge: &EdgeExtension,
    collections: &BTreeMap<Cow<'static, str>, Collection>,
) -> Result<Collection, ExtensionError> {
    let name = edge.name();
    check_name(&name)?;
    let end = |end: &str| {
        collections
            .get(end)
            .and_then(Collection::identity)
            .map(|by| EdgeEnd {
                collection: Cow::Owned(end.to_owned()),
                by,
            })
            .ok_or_else(|| ExtensionError::UnknownEnd {
                edge: name.clone(),
                end: end.to_owned(),
            })
    };
    let (from, to) = (end(&edge.end1)?, end(&edge.end2)?);
    Ok(model::edge(
        name,
        (from.collection, from.by),
        (to.collection, to.by),
        "Added by an extension.",
        Vec::new(),
    ))
}

fn widen(
    mut collection: Collection,
    properties: &BTreeMap<String, PropertyExtension>,
    validation: Option<&OneOf>,
) -> Result<Collection, ExtensionError> {
    for (name, property) in properties {
        let field = property.field(name);
        match collection.field(name) {
            Some(existing) if existing.ty == field.ty && !is_structural(&collection, name) => {}
            Some(_) if RESERVED.contains(&name.as_str()) || is_structural(&collection, name) => {
                return Err(reserved(&collection, name));
            }
            Some(_) => {
                return Err(ExtensionError::Redefined {
                    collection: collection.name.to_string(),
                    property: name.clone(),
                });
            }
            None if RESERVED.contains(&name.as_str()) => return Err(reserved(&collection, name)),
            None => {
                check_name(name)?;
                collection.fields.push(field);
            }
        }
    }
    for group in validation
        .map(|rules| rules.one_of.as_slice())
        .unwrap_or_default()
    {
        if let Some(field) = group.iter().find(|field| collection.field(field).is_none()) {
            return Err(ExtensionError::UnknownField {
                collection: collection.name.to_string(),
                field: field.clone(),
            });
        }
        let group: Vec<Cow<'static, str>> = group.iter().cloned().map(Cow::Owned).collect();
        if !collection.one_of.contains(&group) {
            collection.one_of.push(group);
        }
    }
    Ok(collection)
}

fn reserved(collection: &Collection, name: &str) -> ExtensionError {
    ExtensionError::Reserved {
        collection: collection.name.to_string(),
        name: name.to_owned(),
    }
}

/// Tells whether a field carries the identity, an end or the bookkeeping of a row.
fn is_structural(collection: &Collection, name: &str) -> bool {
    name.starts_with('_')
        || match &collection.kind {
            Kind::Vertex { identity } => name == identity.field(),
            Kind::Edge { .. } => false,
        }
}

fn check_name(name: &str) -> Result<(), ExtensionError> {
    let allowed = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.len() <= LONGEST_NAME
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if allowed {
        Ok(())
    } else {
        Err(ExtensionError::Name {
            name: name.to_owned(),
        })
    }
}

impl PropertyExtension {
    fn field(&self, name: &str) -> Field {
        let rules = self.validation.clone().unwrap_or_default();
        let message = rules
            .regex
            .as_ref()
            .and_then(|rule| rule.error_message.clone())
            .or_else(|| {
                rules
                    .range
                    .as_ref()
                    .and_then(|rule| rule.error_message.clone())
            });
        Field {
            name: Cow::Owned(name.to_owned()),
            ty: self.ty.field_type(),
            required: self.required,
            indexed: self.indexed,
            limits: Limits {
                pattern: rules.regex.map(|rule| Cow::Owned(rule.pattern)),
                minimum: rules.range.as_ref().and_then(|rule| rule.minimum),
                maximum: rules.range.as_ref().and_then(|rule| rule.maximum),
                error_message: message.map(Cow::Owned),
                ..Limits::NONE
            },
            description: Cow::Owned(self.description.clone().unwrap_or_default()),
        }
    }
}
