//! How the ends of an edge are written: `_from_external_id: "7"` or `_to: "ipaddress/10.0.0.1"`.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::Identity;

/// The value of an end: the bare external id, or `collection/key` for natural keys.
pub(crate) struct EndValue<'a> {
    by: Identity,
    collection: &'a str,
    id: &'a str,
}

impl<'a> EndValue<'a> {
    pub(crate) const fn new(by: Identity, collection: &'a str, id: &'a str) -> Self {
        Self { by, collection, id }
    }
}

impl fmt::Display for EndValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.by {
            Identity::ExternalId => f.write_str(self.id),
            Identity::Key => write!(f, "{}/{}", self.collection, self.id),
        }
    }
}

impl Serialize for EndValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.by {
            Identity::ExternalId => serializer.serialize_str(self.id),
            Identity::Key => serializer.collect_str(self),
        }
    }
}

/// Returns the field that names the vertex where an edge starts.
pub(crate) const fn from_field(by: Identity) -> &'static str {
    match by {
        Identity::ExternalId => "_from_external_id",
        Identity::Key => "_from",
    }
}

/// Returns the field that names the vertex where an edge ends.
pub(crate) const fn to_field(by: Identity) -> &'static str {
    match by {
        Identity::ExternalId => "_to_external_id",
        Identity::Key => "_to",
    }
}
