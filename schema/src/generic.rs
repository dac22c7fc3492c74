//! Rows of collections that have no type of their own: those of extensions.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::row_end::{EndValue, from_field, to_field};
use crate::{Identity, Object, Row, RowKey};

/// A vertex of any collection.
#[derive(Debug, Clone, PartialEq)]
pub struct GenericVertex {
    collection: String,
    identity: Identity,
    id: String,
    /// Its fields without the identity.
    pub fields: Object,
}

impl GenericVertex {
    /// Makes a vertex that is identified by `external_id`.
    #[must_use]
    pub fn new(collection: impl Into<String>, external_id: impl Into<String>) -> Self {
        Self {
            collection: collection.into(),
            identity: Identity::ExternalId,
            id: external_id.into(),
            fields: Object::new(),
        }
    }

    /// Makes a vertex that is identified by `_key`.
    #[must_use]
    pub fn with_key(collection: impl Into<String>, key: impl Into<String>) -> Self {
        Self {
            identity: Identity::Key,
            ..Self::new(collection, key)
        }
    }

    /// Sets a field.
    #[must_use]
    pub fn with(mut self, field: impl Into<String>, value: impl Into<Value>) -> Self {
        self.fields.insert(field.into(), value.into());
        self
    }
}

impl Row for GenericVertex {
    fn collection(&self) -> &str {
        &self.collection
    }

    fn key(&self) -> RowKey<'_> {
        RowKey::Vertex(&self.id)
    }
}

impl Serialize for GenericVertex {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(self.identity.field(), &self.id)?;
        for (name, value) in self
            .fields
            .iter()
            .filter(|(name, _)| *name != self.identity.field())
        {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// How a generic edge names the vertex at one of its ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndRef {
    /// By external id.
    ExternalId(String),
    /// By natural key; the collection becomes part of the reference.
    Key {
        /// The vertex collection.
        collection: String,
        /// The key in it.
        key: String,
    },
}

impl EndRef {
    /// Returns the external id or the natural key.
    #[must_use]
    pub fn id(&self) -> &str {
        match self {
            Self::ExternalId(id) | Self::Key { key: id, .. } => id,
        }
    }

    const fn by(&self) -> Identity {
        match self {
            Self::ExternalId(_) => Identity::ExternalId,
            Self::Key { .. } => Identity::Key,
        }
    }

    fn value(&self) -> EndValue<'_> {
        match self {
            Self::ExternalId(id) => EndValue::new(Identity::ExternalId, "", id),
            Self::Key { collection, key } => EndValue::new(Identity::Key, collection, key),
        }
    }
}

/// An edge of any collection.
#[derive(Debug, Clone, PartialEq)]
pub struct GenericEdge {
    collection: String,
    from: EndRef,
    to: EndRef,
    /// Its fields without the ends.
    pub fields: Object,
}

impl GenericEdge {
    /// Makes an edge between two vertices.
    #[must_use]
    pub fn new(collection: impl Into<String>, from: EndRef, to: EndRef) -> Self {
        Self {
            collection: collection.into(),
            from,
            to,
            fields: Object::new(),
        }
    }

    /// Sets a field.
    #[must_use]
    pub fn with(mut self, field: impl Into<String>, value: impl Into<Value>) -> Self {
        self.fields.insert(field.into(), value.into());
        self
    }
}

impl Row for GenericEdge {
    fn collection(&self) -> &str {
        &self.collection
    }

    fn key(&self) -> RowKey<'_> {
        RowKey::Edge {
            from: self.from.id(),
            to: self.to.id(),
        }
    }
}

impl Serialize for GenericEdge {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (from, to) = (from_field(self.from.by()), to_field(self.to.by()));
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry(from, &self.from.value())?;
        map.serialize_entry(to, &self.to.value())?;
        for (name, value) in self
            .fields
            .iter()
            .filter(|(name, _)| *name != from && *name != to)
        {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
