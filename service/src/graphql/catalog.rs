//! What can be asked of each collection: its attributes and where it leads.

use std::collections::{BTreeMap, HashSet};

use car_schema::{FieldType, Identity};

use crate::store::Table;
use crate::store::layout::Layout;

/// The GraphQL type of an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ty {
    String,
    Float,
    Int,
    BigInt,
    Boolean,
    Json,
}

impl Ty {
    /// Returns the name of the type in the schema.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::String => "String",
            Self::Float => "Float",
            Self::Int => "Int",
            Self::BigInt => "bigint",
            Self::Boolean => "Boolean",
            Self::Json => "jsonb",
        }
    }

    /// Tells whether values can be compared, sorted and told apart.
    pub(crate) const fn comparable(self) -> bool {
        !matches!(self, Self::Json)
    }

    /// Tells whether values can be added up.
    pub(crate) const fn numeric(self) -> bool {
        matches!(self, Self::Float | Self::Int | Self::BigInt)
    }
}

/// Where an attribute's value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The column of this name.
    Column(String),
    /// The key of the source.
    Source,
    /// The identity; for natural keys, what the source calls it comes first.
    ExternalId { natural: bool },
    /// `{source}/{identity}`.
    Id,
    /// `{source}/{identity of the end}`, by the column of the end.
    EndId(&'static str),
}

/// A value that an entity has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) ty: Ty,
    pub(crate) origin: Origin,
    pub(crate) description: String,
}

/// How one collection leads to another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// From a vertex to the edges at it: the column of the near end, and the far one.
    Edges {
        near: &'static str,
        far: &'static str,
        far_vertex: String,
    },
    /// From an edge to one of its ends.
    End(&'static str),
    /// From a vertex to those with the same `connecting_id`.
    Instances,
    /// From a vertex to its tags.
    Tags,
}

/// A list that an entity has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Relation {
    pub(crate) name: String,
    /// The collection of what is in the list; `tag` for tags.
    pub(crate) target: String,
    pub(crate) link: Link,
    pub(crate) description: String,
}

/// What can be asked of a collection.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) table: Table,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) relations: Vec<Relation>,
}

impl Entry {
    pub(crate) fn attribute(&self, name: &str) -> Option<&Attribute> {
        self.attributes
            .iter()
            .find(|attribute| attribute.name == name)
    }

    pub(crate) fn relation(&self, name: &str) -> Option<&Relation> {
        self.relations.iter().find(|relation| relation.name == name)
    }

    /// Returns the relations that can be aggregated, with the names of their aggregates.
    pub(crate) fn aggregates(&self) -> impl Iterator<Item = (String, &Relation)> {
        self.relations
            .iter()
            .filter(|relation| relation.link != Link::Tags)
            .map(|relation| (format!("{}_aggregate", relation.name), relation))
            // A field of the model keeps its name.
            .filter(|(name, _)| self.attribute(name).is_none() && self.relation(name).is_none())
    }

    /// Returns the relation that a field is the aggregate of.
    pub(crate) fn aggregated(&self, field: &str) -> Option<&Relation> {
        self.aggregates()
            .find(|(name, _)| name == field)
            .map(|(_, relation)| relation)
    }
}

/// What can be asked of all collections, by name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Catalog(pub(crate) BTreeMap<String, Entry>);

/// Name of the list element type of tags.
pub(crate) const TAG: &str = "tag";

/// The collection whose instances are found through accounts.
pub(crate) const USER: &str = "user";

impl Catalog {
    pub(crate) fn new(layout: &Layout) -> Self {
        let entries = layout
            .tables()
            .iter()
            .map(|table| (table.name.clone(), entry(layout, table)))
            .collect();
        Self(entries)
    }

    pub(crate) fn get(&self, collection: &str) -> Option<&Entry> {
        self.0.get(collection)
    }
}

fn entry(layout: &Layout, table: &Table) -> Entry {
    let attributes = attributes(table);
    let taken: HashSet<&str> = attributes.iter().map(|a| a.name.as_str()).collect();
    let mut relations = match &table.ends {
        None => vertex_relations(layout, table),
        Some((from, to)) => edge_relations(table, from, to),
    };
    // A field of the model keeps its name: `database` has a text `port`, say.
    let mut names = HashSet::new();
    for relation in &mut relations {
        while taken.contains(relation.name.as_str()) || !names.insert(relation.name.clone()) {
            relation.name.push('_');
        }
    }
    Entry {
        table: table.clone(),
        attributes,
        relations,
    }
}

fn attributes(table: &Table) -> Vec<Attribute> {
    let own = |name: &str, ty, origin, description: &str| Attribute {
        name: name.to_owned(),
        ty,
        origin,
        description: description.to_owned(),
    };
    let column = |name: &str| Origin::Column(name.to_owned());
    let mut list = vec![
        own(
            "source",
            Ty::String,
            Origin::Source,
            "Key of the source that reports it.",
        ),
        own(
            "reported_at",
            Ty::BigInt,
            column("_seen"),
            "Time of the last report, in milliseconds since 1970.",
        ),
        own(
            "report",
            Ty::String,
            column("_report"),
            "Key of the last report.",
        ),
        own(
            "properties",
            Ty::Json,
            column("_props"),
            "Custom properties.",
        ),
    ];
    if let Some((from, to)) = &table.ends {
        let (from, to) = end_names(from, to);
        list.push(own(
            &format!("{from}_id"),
            Ty::String,
            Origin::EndId("_from"),
            "Where the edge starts.",
        ));
        list.push(own(
            &format!("{to}_id"),
            Ty::String,
            Origin::EndId("_to"),
            "Where the edge ends.",
        ));
    } else {
        let natural = table.identity == Some(Identity::Key);
        list.push(own(
            "id",
            Ty::String,
            Origin::Id,
            "Source and external id, joined by a slash.",
        ));
        list.push(own(
            "external_id",
            Ty::String,
            Origin::ExternalId { natural },
            "Name that the source gave it.",
        ));
        if natural {
            list.push(own(
                "_key",
                Ty::String,
                column("_id"),
                "The address or name itself.",
            ));
        }
        list.push(own(
            "connecting_id",
            Ty::String,
            column("_cid"),
            "Equal for the same thing in all sources.",
        ));
    }
    for field in &table.fields {
        let name = field.name.as_str();
        if list.iter().any(|known| known.name == name) {
            // `ipregion` has an `id` of its own; the graph's comes first.
            if matches!(name, "id") {
                list.push(own(
                    "region_key",
                    Ty::String,
                    column(name),
                    "Identifier of the region.",
                ));
            }
            continue;
        }
        let ty = match field.ty {
            FieldType::Text => Ty::String,
            FieldType::Number => Ty::Float,
            FieldType::Integer => Ty::Int,
            FieldType::Boolean => Ty::Boolean,
            FieldType::Object | FieldType::Texts | FieldType::Any => Ty::Json,
        };
        list.push(own(name, ty, column(name), ""));
    }
    list
}

/// Names both ends of an edge, apart even when they are in one collection.
fn end_names(from: &str, to: &str) -> (String, String) {
    if from == to {
        (format!("from_{from}"), format!("to_{to}"))
    } else {
        (from.to_owned(), to.to_owned())
    }
}

fn vertex_relations(layout: &Layout, table: &Table) -> Vec<Relation> {
    let mut relations = Vec::new();
    for edge in layout.edges() {
        let Some((from, to)) = &edge.ends else {
            continue;
        };
        let mut add = |near, far, other: &str, name: String| {
            relations.push(Relation {
                name,
                target: edge.name.clone(),
                link: Link::Edges {
                    near,
                    far,
                    far_vertex: other.to_owned(),
                },
                description: format!("Edges `{}` of it.", edge.name),
            });
        };
        if *from == table.name {
            add("_from", "_to", to, plural(to));
        }
        if *to == table.name {
            let name = if from == to {
                format!("{}_in", plural(from))
            } else {
                plural(from)
            };
            add("_to", "_from", from, name);
        }
    }
    relations.push(Relation {
        name: "instances".into(),
        target: table.name.clone(),
        link: Link::Instances,
        description: "The same thing in all sources, itself included.".into(),
    });
    relations.push(Relation {
        name: "tags".into(),
        target: TAG.into(),
        link: Link::Tags,
        description: "Its tags.".into(),
    });
    relations
}

fn edge_relations(table: &Table, from: &str, to: &str) -> Vec<Relation> {
    let (from_name, to_name) = end_names(from, to);
    [(from_name, from, "_from"), (to_name, to, "_to")]
        .into_iter()
        .map(|(name, vertex, column)| Relation {
            name,
            target: vertex.to_owned(),
            link: Link::End(column),
            description: format!("End of `{}` in `{vertex}`, a list of one.", table.name),
        })
        .collect()
}

/// Makes the name of a list from the name of its elements.
fn plural(name: &str) -> String {
    let consonant_y = name
        .strip_suffix('y')
        .filter(|stem| !stem.ends_with(['a', 'e', 'i', 'o', 'u']));
    if let Some(stem) = consonant_y {
        format!("{stem}ies")
    } else if name.ends_with(['s', 'x', 'z']) || name.ends_with("ch") || name.ends_with("sh") {
        format!("{name}es")
    } else {
        format!("{name}s")
    }
}

#[cfg(test)]
mod tests {
    use super::plural;

    #[test]
    fn lists_are_named_in_the_plural() {
        for (one, many) in [
            ("vulnerability", "vulnerabilities"),
            ("ipaddress", "ipaddresses"),
            ("businessprocess", "businessprocesses"),
            ("asset", "assets"),
            ("key", "keys"),
            ("box", "boxes"),
            ("database", "databases"),
        ] {
            assert_eq!(plural(one), many);
        }
    }
}
