//! The collections that a tenant has: the core model and what extensions add to it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use crate::extension::{ExtensionError, ExtensionSchema};
use crate::{Collection, EdgeEnd, Field, FieldType, Identity, Kind, edges, row_end, vertices};

/// A set of collections, by name.
#[derive(Debug, Clone, PartialEq)]
pub struct Model {
    collections: BTreeMap<Cow<'static, str>, Collection>,
}

impl Default for Model {
    fn default() -> Self {
        Self::core()
    }
}

impl Model {
    /// Returns the core model, without extensions.
    #[must_use]
    pub fn core() -> Self {
        let collections = vertices::all()
            .into_iter()
            .chain(edges::all())
            .map(|collection| (collection.name.clone(), collection))
            .collect();
        Self { collections }
    }

    /// Adds what an extension brings: new collections, and properties of existing ones.
    ///
    /// # Errors
    ///
    /// Says which name of the extension is not allowed and why; the model is then unchanged.
    pub fn extend(&mut self, extension: &ExtensionSchema) -> Result<(), ExtensionError> {
        self.collections = extension.apply(&self.collections)?;
        Ok(())
    }

    /// Finds a collection by name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Collection> {
        self.collections.get(name)
    }

    /// Returns all collections in the order of their names.
    pub fn collections(&self) -> impl Iterator<Item = &Collection> {
        self.collections.values()
    }

    /// Returns the vertex collections in the order of their names.
    pub fn vertices(&self) -> impl Iterator<Item = &Collection> {
        self.collections()
            .filter(|collection| !collection.is_edge())
    }

    /// Returns the edge collections in the order of their names.
    pub fn edges(&self) -> impl Iterator<Item = &Collection> {
        self.collections().filter(|collection| collection.is_edge())
    }

    /// Returns the edge collections that start or end in a vertex collection.
    pub fn edges_of<'a>(&'a self, vertex: &'a str) -> impl Iterator<Item = &'a Collection> {
        self.edges().filter(move |edge| {
            edge.ends()
                .is_some_and(|(from, to)| from.collection == vertex || to.collection == vertex)
        })
    }
}

/// Describes a vertex collection: the fields given, and those that every vertex takes.
pub(crate) fn vertex(
    name: impl Into<Cow<'static, str>>,
    identity: Identity,
    description: impl Into<Cow<'static, str>>,
    fields: Vec<Field>,
) -> Collection {
    let mut fields = fields;
    add_missing(&mut fields, vertex_common());
    Collection {
        name: name.into(),
        kind: Kind::Vertex { identity },
        fields,
        one_of: Vec::new(),
        description: description.into(),
    }
}

/// Describes an edge collection: its ends, the fields given, and those that every edge takes.
pub(crate) fn edge(
    name: impl Into<Cow<'static, str>>,
    (from, from_by): (impl Into<Cow<'static, str>>, Identity),
    (to, to_by): (impl Into<Cow<'static, str>>, Identity),
    description: impl Into<Cow<'static, str>>,
    own: Vec<Field>,
) -> Collection {
    let mut fields = vec![
        Field::new(
            row_end::from_field(from_by),
            FieldType::Text,
            "The vertex where the edge starts.",
        ),
        Field::new(
            row_end::to_field(to_by),
            FieldType::Text,
            "The vertex where the edge ends.",
        ),
    ];
    fields.extend(own);
    add_missing(&mut fields, edge_common());
    Collection {
        name: name.into(),
        kind: Kind::Edge {
            from: EdgeEnd {
                collection: from.into(),
                by: from_by,
            },
            to: EdgeEnd {
                collection: to.into(),
                by: to_by,
            },
        },
        fields,
        one_of: Vec::new(),
        description: description.into(),
    }
}

/// Turns constant groups of field names into owned ones.
pub(crate) fn groups(groups: &[&[&'static str]]) -> Vec<Vec<Cow<'static, str>>> {
    groups
        .iter()
        .map(|group| group.iter().map(|&name| Cow::Borrowed(name)).collect())
        .collect()
}

fn vertex_common() -> [Field; 5] {
    [
        Field::new(
            "tag",
            FieldType::Texts,
            "Tags to add. Without it, none is added.",
        ),
        Field::new(
            "untag",
            FieldType::Texts,
            "Tags to take off. Without it, none is taken off.",
        ),
        Field::new("source", FieldType::Text, "The source that reports it."),
        Field::new(
            "_key",
            FieldType::Text,
            "The natural key, where the collection has one.",
        ),
        Field::new(
            "properties",
            FieldType::Object,
            "Custom properties: kept, not searched.",
        ),
    ]
}

fn edge_common() -> [Field; 8] {
    [
        Field::new(
            "created",
            FieldType::Number,
            "When the link came to be, in milliseconds since 1970.",
        ),
        Field::new(
            "modified",
            FieldType::Number,
            "When the link last changed, in milliseconds since 1970.",
        ),
        Field::new("report", FieldType::Text, "The report that brought it."),
        Field::new("active", FieldType::Boolean, "Whether the link holds."),
        Field::new("source", FieldType::Text, "The source that reports it."),
        Field::new(
            "timestamp",
            FieldType::Number,
            "When it was reported, in milliseconds since 1970.",
        ),
        Field::new(
            "properties",
            FieldType::Object,
            "Custom properties: kept, not searched.",
        ),
        Field::new(
            "external_id",
            FieldType::Text,
            "Name that the source gave the link.",
        ),
    ]
}

/// Appends the fields that are not there yet.
fn add_missing(fields: &mut Vec<Field>, more: impl IntoIterator<Item = Field>) {
    for field in more {
        if !fields.iter().any(|known| known.name == field.name) {
            fields.push(field);
        }
    }
}
