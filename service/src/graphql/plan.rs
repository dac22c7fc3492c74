//! What a query wants, read from its selection before any statement is written.

use async_graphql::{Error, SelectionField, Value as Gql};

use super::catalog::{Attribute, Catalog, Link, Relation};
use super::sql::{GqlResult, entry};

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

/// Reads what is selected of a collection. Fields of equal name in the answer are one.
pub(crate) fn plan(
    catalog: &Catalog,
    collection: &str,
    fields: &[SelectionField<'_>],
) -> GqlResult<Plan> {
    let on = entry(catalog, collection)?;
    let mut attributes: Vec<Attribute> = Vec::new();
    let mut lists: Vec<(String, &Relation, ListArgs, Vec<SelectionField<'_>>)> = Vec::new();
    for field in fields.iter().flat_map(|field| field.selection_set()) {
        if let Some(attribute) = on.attribute(field.name()) {
            if !attributes.contains(attribute) {
                attributes.push(attribute.clone());
            }
        } else if let Some(relation) = on.relation(field.name()) {
            let key = field.alias().unwrap_or(field.name()).to_owned();
            match lists.iter_mut().find(|(known, ..)| *known == key) {
                Some((_, _, _, fields)) => fields.push(field),
                None => {
                    let args = list_args(&field)?;
                    lists.push((key, relation, args, vec![field]));
                }
            }
        }
    }
    let children = lists
        .into_iter()
        .map(|(key, relation, args, fields)| {
            let plan = if relation.link == Link::Tags {
                Plan {
                    collection: relation.target.clone(),
                    attributes: Vec::new(),
                    children: Vec::new(),
                }
            } else {
                plan(catalog, &relation.target, &fields)?
            };
            Ok(Child {
                key,
                relation: relation.clone(),
                args,
                plan,
            })
        })
        .collect::<GqlResult<_>>()?;
    Ok(Plan {
        collection: collection.to_owned(),
        attributes,
        children,
    })
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
