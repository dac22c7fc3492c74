//! What the server stores: the collections, their fields and their links, as one table of data.
//!
//! Everything else (tables, triggers, JSON, validation, pages) is derived from this table, so that
//! a new field or collection is one line here.

/// How an object of a collection is recognised by somebody who does not know its `pk`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Key {
    /// The `pk` itself.
    Pk,
    /// The named field, unique in its collection.
    Field(&'static str),
}

/// The type of a field's value.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Text of at most [`MAX_TEXT`] bytes.
    Text,
    /// A whole number between two bounds, both included.
    Integer {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
    },
    /// Any finite number.
    Number,
    /// `true` or `false`.
    Boolean,
}

/// Longest text a field takes, in bytes of UTF-8.
pub const MAX_TEXT: usize = 16 * 1024;

/// Greatest pk that a client may choose: the greatest whole number that every JSON reader keeps.
pub const MAX_PK: i64 = (1 << 53) - 1;

/// One field with a value of its own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Field {
    /// Name in JSON and in the table.
    pub name: &'static str,
    /// Type of the value.
    pub kind: Kind,
    /// Whether an object without a value is refused.
    pub required: bool,
}

/// One field that links to objects of another collection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Relation {
    /// Name in JSON.
    pub name: &'static str,
    /// Name of the collection that is linked to.
    pub target: &'static str,
    /// `true`: one address or null; `false`: a list of addresses.
    pub single: bool,
    /// Whether readers show the target's fields as part of this object; then a change of the
    /// target counts as a change of this object.
    pub embedded: bool,
}

impl Relation {
    /// The collection that is linked to.
    #[must_use]
    pub fn target(&self) -> &'static Collection {
        // A test proves that every target exists.
        collection(self.target).unwrap_or(&COLLECTIONS[0])
    }
}

/// One collection.
#[derive(Debug, PartialEq)]
pub struct Collection {
    /// Name in addresses and in the database.
    pub name: &'static str,
    /// How its objects are recognised.
    pub key: Key,
    /// Fields, in the order of the JSON.
    pub fields: &'static [Field],
    /// Links, in the order of the JSON.
    pub relations: &'static [Relation],
}

impl Collection {
    /// Column that holds the key.
    #[must_use]
    pub fn key_column(&self) -> &'static str {
        match self.key {
            Key::Pk => "pk",
            Key::Field(name) => name,
        }
    }

    /// Name of the table that holds the links of `relation`.
    #[must_use]
    pub fn link_table(&self, relation: &Relation) -> String {
        format!("{}__{}", self.name, relation.name)
    }

    /// Position in [`COLLECTIONS`].
    pub(crate) fn index(&self) -> usize {
        COLLECTIONS
            .iter()
            .position(|c| c.name == self.name)
            .unwrap_or_default()
    }
}

/// Finds a collection by name.
#[must_use]
pub fn collection(name: &str) -> Option<&'static Collection> {
    COLLECTIONS.iter().find(|c| c.name == name)
}

const fn text(name: &'static str) -> Field {
    Field {
        name,
        kind: Kind::Text,
        required: false,
    }
}

const fn number(name: &'static str) -> Field {
    Field {
        name,
        kind: Kind::Number,
        required: false,
    }
}

/// Milliseconds since 1970-01-01 UTC, up to the year 9999.
const fn time(name: &'static str) -> Field {
    Field {
        name,
        kind: Kind::Integer {
            min: 0,
            max: 253_402_300_799_999,
        },
        required: false,
    }
}

const fn required(field: Field) -> Field {
    Field {
        required: true,
        ..field
    }
}

const fn many(name: &'static str, target: &'static str) -> Relation {
    Relation {
        name,
        target,
        single: false,
        embedded: false,
    }
}

/// All collections. A relation lives in the object on its many side, so that no list grows with
/// the size of the model.
pub static COLLECTIONS: [Collection; 9] = [
    Collection {
        name: "xrefproperties",
        key: Key::Pk,
        fields: &[required(text("name")), text("value")],
        relations: &[],
    },
    Collection {
        name: "sites",
        key: Key::Pk,
        fields: &[required(text("name")), text("address"), text("description")],
        relations: &[],
    },
    Collection {
        name: "assets",
        key: Key::Pk,
        fields: &[
            required(text("name")),
            text("description"),
            text("asset_type"),
            number("initial_value"),
            number("business_value"),
            number("risk"),
        ],
        relations: &[Relation {
            name: "site",
            target: "sites",
            single: true,
            embedded: false,
        }],
    },
    Collection {
        name: "vulnerabilities",
        key: Key::Field("external_id"),
        fields: &[
            required(text("external_id")),
            required(text("name")),
            text("description"),
            number("base_score"),
            time("disclosed_on"),
            time("published_on"),
        ],
        relations: &[
            Relation {
                embedded: true,
                ..many("xref_properties", "xrefproperties")
            },
            many("assets", "assets"),
        ],
    },
    Collection {
        name: "ports",
        key: Key::Pk,
        fields: &[
            required(Field {
                name: "port_number",
                kind: Kind::Integer { min: 0, max: 65535 },
                required: true,
            }),
            required(text("protocol")),
            text("status"),
            text("description"),
        ],
        relations: &[],
    },
    Collection {
        name: "mac_addresses",
        key: Key::Field("address"),
        fields: &[required(text("address")), text("interface")],
        relations: &[many("assets", "assets")],
    },
    Collection {
        name: "ip_addresses",
        key: Key::Field("address"),
        fields: &[required(text("address"))],
        relations: &[
            many("assets", "assets"),
            many("mac_addresses", "mac_addresses"),
            many("ports", "ports"),
        ],
    },
    Collection {
        name: "hosts",
        key: Key::Field("host_name"),
        fields: &[required(text("host_name"))],
        relations: &[
            many("assets", "assets"),
            many("ip_addresses", "ip_addresses"),
        ],
    },
    Collection {
        name: "apps",
        key: Key::Pk,
        fields: &[
            required(text("name")),
            text("version"),
            text("description"),
            text("cpe"),
            text("owner"),
            Field {
                name: "is_os",
                kind: Kind::Boolean,
                required: false,
            },
        ],
        relations: &[
            many("assets", "assets"),
            many("ports", "ports"),
            many("vulnerabilities", "vulnerabilities"),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_relation_points_to_an_earlier_collection_and_every_key_is_a_required_field() {
        for (at, c) in COLLECTIONS.iter().enumerate() {
            assert_eq!(c.index(), at);
            for relation in c.relations {
                let target = collection(relation.target).unwrap();
                assert!(target.index() < at, "{}.{}", c.name, relation.name);
            }
            if let Key::Field(name) = c.key {
                assert!(c.fields.iter().any(|f| f.name == name && f.required));
            }
        }
    }
}
