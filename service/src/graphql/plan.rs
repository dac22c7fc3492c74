//! What a query wants, read from its selection before any statement is written.

use async_graphql::{Error, SelectionField, Value as Gql};

use super::catalog::{Attribute, Catalog, Link, Relation};
use super::sql::{GqlResult, entry};
use super::totals::{self, Total};

/// Arguments of a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct ListArgs {
    pub(crate) filter: Option<Gql>,
    pub(crate) order_by: Vec<(String, Direction)>,
    pub(crate) limit: Option<i64>,
    pub(crate) offset: i64,
    pub(crate) distinct_on: Vec<String>,
}

/// How to sort by an attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Direction {
    pub(crate) descending: bool,
    pub(crate) nulls_first: bool,
}

/// The names of [`Direction`]s in the schema.
pub(crate) const DIRECTIONS: [(&str, Direction); 6] = [
    (
        "asc",
        Direction {
            descending: false,
            nulls_first: false,
        },
    ),
    (
        "asc_nulls_first",
        Direction {
            descending: false,
            nulls_first: true,
        },
    ),
    (
        "asc_nulls_last",
        Direction {
            descending: false,
            nulls_first: false,
        },
    ),
    (
        "desc",
        Direction {
            descending: true,
            nulls_first: true,
        },
    ),
    (
        "desc_nulls_first",
        Direction {
            descending: true,
            nulls_first: true,
        },
    ),
    (
        "desc_nulls_last",
        Direction {
            descending: true,
            nulls_first: false,
        },
    ),
];

/// One level of a query.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) collection: String,
    pub(crate) attributes: Vec<Attribute>,
    pub(crate) children: Vec<Child>,
    pub(crate) aggregates: Vec<Aggregation>,
}

/// An aggregate over a list within a level.
#[derive(Debug, Clone)]
pub(crate) struct Aggregation {
    /// Its name in the answer.
    pub(crate) key: String,
    pub(crate) relation: Relation,
    pub(crate) args: ListArgs,
    pub(crate) totals: Vec<Total>,
    /// The rows it is over, where they are asked for.
    pub(crate) nodes: Option<Plan>,
}

/// A list within a level.
#[derive(Debug, Clone)]
pub(crate) struct Child {
    /// Its name in the answer.
    pub(crate) key: String,
    pub(crate) relation: Relation,
    pub(crate) args: ListArgs,
    pub(crate) plan: Plan,
}

/// A relation as a level selects it: its name in the answer, arguments, and all its fields.
struct Selected<'c, 'q> {
    key: String,
    relation: &'c Relation,
    args: ListArgs,
    fields: Vec<SelectionField<'q>>,
}

/// Adds a field to those of equal name in the answer.
fn select<'c, 'q>(
    lists: &mut Vec<Selected<'c, 'q>>,
    relation: &'c Relation,
    field: SelectionField<'q>,
) -> GqlResult<()> {
    let key = totals::response_key(field);
    match lists.iter_mut().find(|known| known.key == key) {
        Some(known) => known.fields.push(field),
        None => lists.push(Selected {
            key,
            relation,
            args: list_args(&field)?,
            fields: vec![field],
        }),
    }
    Ok(())
}

/// Reads what is selected of a collection. Fields of equal name in the answer are one.
pub(crate) fn plan(
    catalog: &Catalog,
    collection: &str,
    fields: &[SelectionField<'_>],
) -> GqlResult<Plan> {
    let on = entry(catalog, collection)?;
    let mut attributes: Vec<Attribute> = Vec::new();
    let mut lists = Vec::new();
    let mut wholes = Vec::new();
    for field in fields.iter().flat_map(|field| field.selection_set()) {
        if let Some(attribute) = on.attribute(field.name()) {
            if !attributes.contains(attribute) {
                attributes.push(attribute.clone());
            }
        } else if let Some(relation) = on.relation(field.name()) {
            select(&mut lists, relation, field)?;
        } else if let Some(relation) = on.aggregated(field.name()) {
            select(&mut wholes, relation, field)?;
        }
    }
    let children = lists
        .into_iter()
        .map(|list| {
            let plan = if list.relation.link == Link::Tags {
                Plan {
                    collection: list.relation.target.clone(),
                    attributes: Vec::new(),
                    children: Vec::new(),
                    aggregates: Vec::new(),
                }
            } else {
                plan(catalog, &list.relation.target, &list.fields)?
            };
            Ok(Child {
                key: list.key,
                relation: list.relation.clone(),
                args: list.args,
                plan,
            })
        })
        .collect::<GqlResult<_>>()?;
    let aggregates = wholes
        .into_iter()
        .map(|list| {
            let (totals, nodes) = aggregation(catalog, &list.relation.target, &list.fields)?;
            Ok(Aggregation {
                key: list.key,
                relation: list.relation.clone(),
                args: list.args,
                totals,
                nodes,
            })
        })
        .collect::<GqlResult<_>>()?;
    Ok(Plan {
        collection: collection.to_owned(),
        attributes,
        children,
        aggregates,
    })
}

/// Reads what is selected of an aggregate: its totals, and the rows where they are asked for.
pub(crate) fn aggregation(
    catalog: &Catalog,
    collection: &str,
    fields: &[SelectionField<'_>],
) -> GqlResult<(Vec<Total>, Option<Plan>)> {
    let on = entry(catalog, collection)?;
    let mut totals = Vec::new();
    let mut rows = Vec::new();
    for field in fields.iter().flat_map(|field| field.selection_set()) {
        match field.name() {
            "aggregate" => totals::read(on, &field, &mut totals)?,
            "nodes" => rows.push(field),
            _ => {}
        }
    }
    let nodes = if rows.is_empty() {
        None
    } else {
        Some(plan(catalog, collection, &rows)?)
    };
    Ok((totals, nodes))
}

/// Reads the arguments of a list.
pub(crate) fn list_args(field: &SelectionField<'_>) -> GqlResult<ListArgs> {
    let mut args = ListArgs::default();
    let arguments = field
        .arguments()
        .map_err(|error| Error::new(error.message))?;
    for (name, value) in arguments {
        match name.as_str() {
            "where" => args.filter = Some(value),
            "order_by" => args.order_by = order_by(&value)?,
            "limit" => args.limit = number("limit", &value)?,
            "offset" => args.offset = number("offset", &value)?.unwrap_or_default(),
            "distinct_on" => args.distinct_on = names(&value),
            _ => {}
        }
    }
    Ok(args)
}

fn number(name: &str, value: &Gql) -> GqlResult<Option<i64>> {
    match value {
        Gql::Null => Ok(None),
        Gql::Number(number) => number
            .as_i64()
            .filter(|number| *number >= 0)
            .map(Some)
            .ok_or_else(|| Error::new(format!("`{name}` must be a whole number of 0 or more"))),
        _ => Err(Error::new(format!("`{name}` must be a number"))),
    }
}

fn names(value: &Gql) -> Vec<String> {
    match value {
        Gql::List(list) => list.iter().flat_map(names).collect(),
        Gql::Enum(name) => vec![name.to_string()],
        Gql::String(name) => vec![name.clone()],
        _ => Vec::new(),
    }
}

fn order_by(value: &Gql) -> GqlResult<Vec<(String, Direction)>> {
    match value {
        Gql::Null => Ok(Vec::new()),
        Gql::List(list) => {
            let parts: Vec<Vec<_>> = list.iter().map(order_by).collect::<GqlResult<_>>()?;
            Ok(parts.into_iter().flatten().collect())
        }
        Gql::Object(fields) => fields
            .iter()
            .map(|(name, direction)| {
                let wanted = names(direction);
                DIRECTIONS
                    .iter()
                    .find(|(known, _)| wanted.first().is_some_and(|name| name == known))
                    .map(|(_, direction)| (name.to_string(), *direction))
                    .ok_or_else(|| Error::new(format!("`order_by` has no direction for `{name}`")))
            })
            .collect(),
        _ => Err(Error::new(
            "`order_by` must be an object such as {name: asc}",
        )),
    }
}
