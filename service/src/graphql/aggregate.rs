//! `collection_aggregate`: counts, sums and extremes, and the rows they are of.

use std::sync::Arc;

use async_graphql::dynamic::{
    Field, FieldFuture, FieldValue, InputValue, Object, ResolverContext, SchemaBuilder, TypeRef,
};
use async_graphql::indexmap::IndexMap;
use async_graphql::{Error, Name, SelectionField, Value as Gql};

use super::catalog::{Catalog, Entry, Ty};
use super::fetch::{self, Node};
use super::filter::Filter;
use super::plan::{ListArgs, list_args, plan};
use super::resolve::{self, SharedSession};
use super::schema::{field_list, with_list_arguments};
use super::sql::{GqlResult, Sql, entry, expression};

/// The functions over columns, and whether they need numbers.
const FUNCTIONS: [(&str, bool); 4] = [("min", false), ("max", false), ("sum", true), ("avg", true)];

/// The answer: values by their names in it, and the rows.
struct Aggregated {
    values: Gql,
    nodes: Vec<Arc<Node>>,
}

/// Returns the root field.
pub(crate) fn field(catalog: &Arc<Catalog>, name: &str) -> Field {
    let (catalog, collection) = (Arc::clone(catalog), name.to_owned());
    let field = Field::new(
        format!("{name}_aggregate"),
        TypeRef::named_nn(format!("{name}_aggregate")),
        move |ctx| {
            let (catalog, collection) = (Arc::clone(&catalog), collection.clone());
            FieldFuture::new(async move {
                let answer = aggregate(&ctx, &catalog, &collection).await?;
                Ok(Some(FieldValue::owned_any(answer)))
            })
        },
    );
    with_list_arguments(field, name)
}

/// Registers the types of a collection's aggregates.
pub(crate) fn types(mut builder: SchemaBuilder, entry: &Entry) -> SchemaBuilder {
    let name = entry.table.name.as_str();
    let mut fields = Object::new(format!("{name}_aggregate_fields")).field(
        Field::new("count", TypeRef::named_nn(TypeRef::INT), |ctx| by_key(&ctx))
            .argument(InputValue::new(
                "columns",
                TypeRef::named_nn_list(format!("{name}_select_column")),
            ))
            .argument(InputValue::new(
                "distinct",
                TypeRef::named(TypeRef::BOOLEAN),
            )),
    );
    for (function, numeric) in FUNCTIONS {
        let mut object = Object::new(format!("{name}_{function}_fields"));
        let mut any = false;
        for attribute in usable(entry, numeric) {
            let ty = if function == "avg" {
                Ty::Float
            } else {
                attribute.ty
            };
            let ty = TypeRef::named(ty.name());
            object = object.field(Field::new(&attribute.name, ty, |ctx| by_key(&ctx)));
            any = true;
        }
        if any {
            let ty = TypeRef::named(format!("{name}_{function}_fields"));
            fields = fields.field(Field::new(function, ty, |ctx| by_key(&ctx)));
            builder = builder.register(object);
        }
    }
    let whole = Object::new(format!("{name}_aggregate"))
        .field(Field::new(
            "aggregate",
            TypeRef::named(format!("{name}_aggregate_fields")),
            |ctx| {
                FieldFuture::new(async move {
                    let answer = ctx.parent_value.try_downcast_ref::<Aggregated>()?;
                    Ok(Some(FieldValue::owned_any(answer.values.clone())))
                })
            },
        ))
        .field(Field::new(
            "nodes",
            TypeRef::named_nn_list_nn(name),
            |ctx| {
                FieldFuture::new(async move {
                    let answer = ctx.parent_value.try_downcast_ref::<Aggregated>()?;
                    Ok(Some(field_list(&answer.nodes)))
                })
            },
        ));
    builder.register(fields).register(whole)
}

fn usable(entry: &Entry, numeric: bool) -> impl Iterator<Item = &super::catalog::Attribute> {
    entry.attributes.iter().filter(move |attribute| {
        attribute.ty.comparable()
            && attribute.ty != Ty::Boolean
            && (!numeric || attribute.ty.numeric())
    })
}

/// Looks a value up by its name in the answer.
fn by_key<'a>(ctx: &ResolverContext<'a>) -> FieldFuture<'a> {
    let key = response_key(ctx.field());
    let value = ctx
        .parent_value
        .try_downcast_ref::<Gql>()
        .ok()
        .and_then(|value| match value {
            Gql::Object(object) => object.get(key.as_str()).cloned(),
            _ => None,
        });
    FieldFuture::new(async move {
        Ok(match value {
            Some(object @ Gql::Object(_)) => Some(FieldValue::owned_any(object)),
            Some(value) => Some(FieldValue::value(value)),
            None => None,
        })
    })
}

fn response_key(field: SelectionField<'_>) -> String {
    field.alias().unwrap_or(field.name()).to_owned()
}

/// A column of the statement: where its value goes, what it computes, its type.
struct Wanted {
    path: Vec<String>,
    sql: String,
    ty: Ty,
}

async fn aggregate(
    ctx: &ResolverContext<'_>,
    catalog: &Catalog,
    collection: &str,
) -> GqlResult<Aggregated> {
    let on = entry(catalog, collection)?;
    let args = list_args(&ctx.field())?;
    let mut wanted = Vec::new();
    let mut rows = Vec::new();
    for field in ctx.field().selection_set() {
        match field.name() {
            "aggregate" => read(on, &field, &mut wanted)?,
            "nodes" => rows.push(field),
            _ => {}
        }
    }
    let nodes_plan = if rows.is_empty() {
        None
    } else {
        Some(plan(catalog, collection, &rows)?)
    };
    drop(rows);
    let nodes = match &nodes_plan {
        Some(plan) => resolve::run(ctx, catalog, plan, &args).await?,
        None => Vec::new(),
    };
    let values = if wanted.is_empty() {
        Gql::Object(IndexMap::new())
    } else {
        compute(ctx, catalog, on, &args, &wanted).await?
    };
    Ok(Aggregated { values, nodes })
}

fn read(on: &Entry, field: &SelectionField<'_>, wanted: &mut Vec<Wanted>) -> GqlResult<()> {
    for function in field.selection_set() {
        let key = response_key(function);
        if function.name() == "count" {
            wanted.push(Wanted {
                path: vec![key],
                sql: count(on, &function)?,
                ty: Ty::Int,
            });
        }
        if !FUNCTIONS.iter().any(|(name, _)| *name == function.name()) {
            continue;
        }
        for column in function.selection_set() {
            let Some(attribute) = on.attribute(column.name()) else {
                continue;
            };
            let ty = if function.name() == "avg" {
                Ty::Float
            } else {
                attribute.ty
            };
            wanted.push(Wanted {
                path: vec![response_key(function), response_key(column)],
                sql: call(function.name(), ty, &expression("e", attribute)),
                ty,
            });
        }
    }
    Ok(())
}

/// Writes a call; PostgreSQL would answer sums and averages as decimals.
fn call(function: &str, ty: Ty, argument: &str) -> String {
    match (function, ty) {
        ("avg", _) | ("sum", Ty::Float) => {
            format!("CAST({function}({argument}) AS DOUBLE PRECISION)")
        }
        ("sum", _) => format!("CAST(sum({argument}) AS BIGINT)"),
        _ => format!("{function}({argument})"),
    }
}

fn count(on: &Entry, field: &SelectionField<'_>) -> GqlResult<String> {
    let arguments = field
        .arguments()
        .map_err(|error| Error::new(error.message))?;
    let mut columns = Vec::new();
    let mut distinct = false;
    for (name, value) in arguments {
        match (name.as_str(), value) {
            ("columns", Gql::List(list)) => {
                columns.extend(list.into_iter().filter_map(|item| match item {
                    Gql::Enum(name) => Some(name.to_string()),
                    Gql::String(name) => Some(name),
                    _ => None,
                }));
            }
            ("columns", Gql::Enum(name)) => columns.push(name.to_string()),
            ("distinct", Gql::Boolean(value)) => distinct = value,
            _ => {}
        }
    }
    match columns.as_slice() {
        [] => Ok("count(*)".into()),
        [column] => {
            let attribute = on
                .attribute(column)
                .ok_or_else(|| Error::new(format!("there is no column `{column}`")))?;
            let distinct = if distinct { "DISTINCT " } else { "" };
            Ok(format!("count({distinct}{})", expression("e", attribute)))
        }
        _ => Err(Error::new("`count` takes one column")),
    }
}

async fn compute(
    ctx: &ResolverContext<'_>,
    catalog: &Catalog,
    on: &Entry,
    args: &ListArgs,
    wanted: &[Wanted],
) -> GqlResult<Gql> {
    let session = ctx.data::<SharedSession>()?;
    let mut session = session.lock().await;
    let mut sql = Sql::new(session.conn.dialect(), session.at);
    let mut condition = match &args.filter {
        Some(filter) => Filter::new(catalog, &mut sql).condition(on, "e", filter)?,
        None => "true".to_owned(),
    };
    if let Some((from, to)) = &on.table.ends {
        for (end, column) in [(from, "_from"), (to, "_to")] {
            let exists = sql.end_exists("e", column, &entry(catalog, end)?.table);
            condition.push_str(" AND ");
            condition.push_str(&exists);
        }
    }
    let table = sql.table(&on.table);
    let from = fetch::restricted(on, args, &table, &condition)?;
    let columns: Vec<&str> = wanted.iter().map(|wanted| wanted.sql.as_str()).collect();
    let text = format!("SELECT {} FROM {from}", columns.join(", "));
    let rows = session
        .conn
        .fetch(text, sql.args)
        .await
        .map_err(|error| fetch::failed(&error))?;
    let row = rows.into_iter().next().unwrap_or_default();
    let mut values = IndexMap::new();
    for (index, wanted) in wanted.iter().enumerate() {
        let value = fetch::value(wanted.ty, row.get(index));
        match wanted.path.as_slice() {
            [key] => {
                values.insert(Name::new(key), value);
            }
            [outer, inner] => {
                let object = values
                    .entry(Name::new(outer))
                    .or_insert_with(|| Gql::Object(IndexMap::new()));
                if let Gql::Object(object) = object {
                    object.insert(Name::new(inner), value);
                }
            }
            _ => {}
        }
    }
    Ok(Gql::Object(values))
}
