//! The statements that lists and aggregates become.

use async_graphql::Error;

use super::catalog::{Attribute, Entry, Ty};
use super::plan::{ListArgs, Plan};
use super::sql::{GqlResult, expression};
use super::totals::Total;
use crate::store::{BulkColumn, ColumnType};

/// Columns that every row of a list begins with: parent, source, identity, other end or
/// connecting id.
pub(crate) const HEAD: usize = 4;

/// What rows are grouped by: the list at the root has no parent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owner {
    /// Everything is one list.
    Root,
    /// One list per parent, whose number is `p.ord`.
    Parent,
    /// The same, of one row at most.
    Single,
}

impl Owner {
    const fn column(self) -> &'static str {
        match self {
            Self::Root => "0",
            Self::Parent | Self::Single => "p.ord",
        }
    }
}

/// Writes the statement of a list: `from` holds tables and conditions.
pub(crate) fn list(
    on: &Entry,
    plan: &Plan,
    args: &ListArgs,
    owner: Owner,
    from: &str,
    budget: i64,
) -> GqlResult<String> {
    let [first, second] = keys(on);
    let mut columns = format!("e.\"_source\", e.\"{first}\", e.\"{second}\"");
    for (index, attribute) in plan.attributes.iter().enumerate() {
        columns.push_str(&format!(", {} AS c{index}", expression("e", attribute)));
    }
    rows(on, args, owner, &columns, from, budget.saturating_add(1))
}

/// Returns the columns of the statement of a list.
pub(crate) fn columns(on: &Entry, plan: &Plan) -> Vec<BulkColumn> {
    let column = |name: &str, ty| BulkColumn {
        name: name.to_owned(),
        ty,
    };
    let [first, second] = keys(on);
    let mut columns = vec![
        column("_ord", ColumnType::Int),
        column("_source", ColumnType::Int),
        column(first, ColumnType::Text),
        column(second, ColumnType::Text),
    ];
    columns.extend(
        plan.attributes
            .iter()
            .enumerate()
            .map(|(index, attribute)| {
                let ty = match attribute.ty {
                    Ty::String | Ty::Json => ColumnType::Text,
                    Ty::Float => ColumnType::Float,
                    Ty::Int | Ty::BigInt => ColumnType::Int,
                    Ty::Boolean => ColumnType::Bool,
                };
                column(&format!("c{index}"), ty)
            }),
    );
    columns
}

const fn keys(on: &Entry) -> [&'static str; 2] {
    if on.table.is_edge() {
        ["_from", "_to"]
    } else {
        ["_id", "_cid"]
    }
}

/// Writes the statement of an aggregate: the number of the parent, then one column per total.
///
/// It is over everything that fits, or what `limit`, `offset` and `distinct_on` leave of it.
pub(crate) fn aggregate(
    on: &Entry,
    totals: &[Total],
    args: &ListArgs,
    owner: Owner,
    from: &str,
) -> GqlResult<String> {
    let mut columns = String::new();
    for total in totals {
        columns.push_str(", ");
        columns.push_str(&total.sql);
    }
    let whole = args.limit.is_none() && args.offset == 0 && args.distinct_on.is_empty();
    let (from, number) = if whole {
        (from.to_owned(), owner.column())
    } else {
        let rows = rows(on, args, owner, "e.*", from, i64::MAX)?;
        let number = match owner {
            Owner::Root => "0",
            Owner::Parent | Owner::Single => "e.\"_ord\"",
        };
        (format!("({rows}) e"), number)
    };
    let grouped = match owner {
        Owner::Root => String::new(),
        Owner::Parent | Owner::Single => format!(" GROUP BY {number}"),
    };
    Ok(format!("SELECT {number}{columns} FROM {from}{grouped}"))
}

/// Writes the rows that the arguments of a list leave of `from`, at most `most` of them.
///
/// Helping columns begin with `_`, as no field of the model does.
fn rows(
    on: &Entry,
    args: &ListArgs,
    owner: Owner,
    columns: &str,
    from: &str,
    most: i64,
) -> GqlResult<String> {
    let order = order(on, args)?;
    let columns = format!("{} AS \"_ord\", {columns}", owner.column());
    let paged = args.limit.is_some() || args.offset > 0;
    let nested = owner != Owner::Root;
    if args.distinct_on.is_empty() && !(nested && paged) {
        let limit = args.limit.unwrap_or(most).min(most);
        let order = match owner {
            Owner::Root => format!("ORDER BY {order}"),
            Owner::Parent => format!("ORDER BY p.ord, {order}"),
            // There is nothing to sort in a list of one.
            Owner::Single => String::new(),
        };
        return Ok(format!(
            "SELECT {columns} FROM {from} {order} LIMIT {limit} OFFSET {}",
            args.offset
        ));
    }
    let mut parts = vec![if nested { "p.ord" } else { "1" }.to_owned()];
    let inner = if args.distinct_on.is_empty() {
        format!(
            "SELECT {columns}, row_number() OVER (PARTITION BY {} ORDER BY {order}) AS \"_place\" \
             FROM {from}",
            parts.join(", ")
        )
    } else {
        for name in &args.distinct_on {
            parts.push(expression("e", attribute(on, name)?));
        }
        // The first of each, then their places among what is left.
        format!(
            "SELECT f.*, row_number() OVER (PARTITION BY f.\"_ord\" ORDER BY f.\"_overall\") AS \"_place\" \
             FROM (SELECT {columns}, row_number() OVER (PARTITION BY {} ORDER BY {order}) AS \"_nth\", \
             row_number() OVER (ORDER BY {order}) AS \"_overall\" FROM {from}) f WHERE f.\"_nth\" = 1",
            parts.join(", ")
        )
    };
    let mut condition = format!("g.\"_place\" > {}", args.offset);
    if let Some(limit) = args.limit {
        condition.push_str(&format!(
            " AND g.\"_place\" <= {}",
            args.offset.saturating_add(limit)
        ));
    }
    Ok(format!(
        "SELECT g.* FROM ({inner}) g WHERE {condition} ORDER BY g.\"_ord\", g.\"_place\" LIMIT {most}"
    ))
}

fn attribute<'e>(on: &'e Entry, name: &str) -> GqlResult<&'e Attribute> {
    on.attribute(name)
        .filter(|attribute| attribute.ty.comparable())
        .ok_or_else(|| Error::new(format!("`{}` cannot be sorted by `{name}`", on.table.name)))
}

/// Writes the order of a list; the number of the row decides where nothing else does.
fn order(on: &Entry, args: &ListArgs) -> GqlResult<String> {
    let mut parts = Vec::new();
    for (name, direction) in &args.order_by {
        let attribute = attribute(on, name)?;
        let way = if direction.descending { "DESC" } else { "ASC" };
        let nulls = if direction.nulls_first {
            "FIRST"
        } else {
            "LAST"
        };
        parts.push(format!(
            "{} {way} NULLS {nulls}",
            expression("e", attribute)
        ));
    }
    parts.push("e.\"_pk\"".to_owned());
    Ok(parts.join(", "))
}
