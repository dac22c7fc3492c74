//! What a collection is: its name, its kind, its fields and their limits.

use std::borrow::Cow;

/// How a vertex is told apart from the others of its source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Identity {
    /// By `external_id`, a name that the source gave it.
    ExternalId,
    /// By `_key`, the thing itself: an address or a name that means the same in every source.
    Key,
}

impl Identity {
    /// Returns the field of a row that holds the identity.
    #[must_use]
    pub const fn field(self) -> &'static str {
        match self {
            Self::ExternalId => "external_id",
            Self::Key => "_key",
        }
    }

    /// Returns the parameter that names rows of this kind in `DELETE /source/{s}/{collection}`.
    #[must_use]
    pub const fn delete_parameter(self) -> &'static str {
        match self {
            Self::ExternalId => "external_ids",
            Self::Key => "keys",
        }
    }
}

/// One end of an edge collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeEnd {
    /// The vertex collection that this end is in.
    pub collection: Cow<'static, str>,
    /// How the vertex is named on the wire. A natural-key vertex can be named by its external
    /// id too: `account_hostname` does so.
    pub by: Identity,
}

/// Vertex or edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A thing.
    Vertex {
        /// The field that tells one from another.
        identity: Identity,
    },
    /// A link between two things.
    Edge {
        /// Where the link starts.
        from: EdgeEnd,
        /// Where the link ends.
        to: EdgeEnd,
    },
}

/// What a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// A string.
    Text,
    /// Any finite JSON number. Times are numbers: milliseconds since 1970 in UTC.
    Number,
    /// A number without a fraction; `80.0` counts as one.
    Integer,
    /// `true` or `false`; never a number.
    Boolean,
    /// A JSON object.
    Object,
    /// A list of strings.
    Texts,
    /// Any JSON value.
    Any,
}

/// What a value may be, beyond its type.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Limits {
    /// Regular expression that is searched in the text, not anchored.
    pub pattern: Option<Cow<'static, str>>,
    /// Fewest characters.
    pub min_length: Option<u64>,
    /// Most characters.
    pub max_length: Option<u64>,
    /// Smallest number.
    pub minimum: Option<f64>,
    /// Largest number.
    pub maximum: Option<f64>,
    /// What to tell the sender of a value outside the limits.
    pub error_message: Option<Cow<'static, str>>,
}

impl Limits {
    /// No limits, for use in constants.
    pub const NONE: Self = Self {
        pattern: None,
        min_length: None,
        max_length: None,
        minimum: None,
        maximum: None,
        error_message: None,
    };
}

/// A field of a collection.
#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    /// Its name on the wire.
    pub name: Cow<'static, str>,
    /// What it holds.
    pub ty: FieldType,
    /// Whether a row without it is refused.
    pub required: bool,
    /// Whether look-ups by it are fast.
    pub indexed: bool,
    /// What a value may be, beyond its type.
    pub limits: Limits,
    /// What it means.
    pub description: Cow<'static, str>,
}

impl Field {
    /// Makes an optional, unindexed field without limits.
    #[must_use]
    pub const fn new(name: &'static str, ty: FieldType, description: &'static str) -> Self {
        Self {
            name: Cow::Borrowed(name),
            ty,
            required: false,
            indexed: false,
            limits: Limits::NONE,
            description: Cow::Borrowed(description),
        }
    }
}

/// A collection of the graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Collection {
    /// Its name: one word for vertices, `from_to` for edges.
    pub name: Cow<'static, str>,
    /// Vertex or edge.
    pub kind: Kind,
    /// Its fields, those that carry identity and edge ends among them.
    pub fields: Vec<Field>,
    /// Groups of fields of which exactly one group must be complete.
    pub one_of: Vec<Vec<Cow<'static, str>>>,
    /// What it holds.
    pub description: Cow<'static, str>,
}

impl Collection {
    /// Returns whether this is an edge collection.
    #[must_use]
    pub const fn is_edge(&self) -> bool {
        matches!(self.kind, Kind::Edge { .. })
    }

    /// Returns how a vertex of this collection is identified; `None` for edges.
    #[must_use]
    pub const fn identity(&self) -> Option<Identity> {
        match self.kind {
            Kind::Vertex { identity } => Some(identity),
            Kind::Edge { .. } => None,
        }
    }

    /// Returns both ends of an edge collection; `None` for vertices.
    #[must_use]
    pub const fn ends(&self) -> Option<(&EdgeEnd, &EdgeEnd)> {
        match &self.kind {
            Kind::Vertex { .. } => None,
            Kind::Edge { from, to } => Some((from, to)),
        }
    }

    /// Finds a field by its name on the wire.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}
