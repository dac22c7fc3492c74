//! `collection_aggregate` and `relation_aggregate`: counts, sums and extremes, and the rows they
//! are of.

use std::sync::Arc;

use async_graphql::Value as Gql;
use async_graphql::dynamic::{
    Field, FieldFuture, FieldValue, InputValue, Object, ResolverContext, SchemaBuilder, TypeRef,
};

use super::catalog::{Catalog, Entry};
use super::fetch::Node;
use super::plan::{aggregation, list_args};
use super::resolve;
use super::schema::{field_list, with_list_arguments};
use super::sql::GqlResult;
use super::totals::{FUNCTIONS, response_key, type_of, usable};

/// The answer: values by their names in it, and the rows.
#[derive(Debug)]
pub(crate) struct Aggregated {
    pub(crate) values: Gql,
    pub(crate) nodes: Vec<Arc<Node>>,
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

/// Returns the field of this name that is over a relation to another collection.
pub(crate) fn of_relation(name: &str, target: &str) -> Field {
    let field = Field::new(
        name,
        TypeRef::named_nn(format!("{target}_aggregate")),
        |ctx| {
            FieldFuture::new(async move {
                let node = ctx.parent_value.try_downcast_ref::<Arc<Node>>()?;
                let answer = node.aggregated(&response_key(ctx.field()));
                Ok(answer.map(FieldValue::owned_any))
            })
        },
    );
    with_list_arguments(field, target)
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
            let ty = TypeRef::named(type_of(function, attribute).name());
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
                    let answer = ctx.parent_value.try_downcast_ref::<Arc<Aggregated>>()?;
                    Ok(pick(&answer.values, &response_key(ctx.field())))
                })
            },
        ))
        .field(Field::new(
            "nodes",
            TypeRef::named_nn_list_nn(name),
            |ctx| {
                FieldFuture::new(async move {
                    let answer = ctx.parent_value.try_downcast_ref::<Arc<Aggregated>>()?;
                    Ok(Some(field_list(&answer.nodes)))
                })
            },
        ));
    builder.register(fields).register(whole)
}

/// Looks a value up by its name in the answer.
fn by_key<'a>(ctx: &ResolverContext<'a>) -> FieldFuture<'a> {
    let value = ctx
        .parent_value
        .try_downcast_ref::<Gql>()
        .ok()
        .and_then(|values| pick(values, &response_key(ctx.field())));
    FieldFuture::new(async move { Ok(value) })
}

fn pick(values: &Gql, key: &str) -> Option<FieldValue<'static>> {
    let Gql::Object(values) = values else {
        return None;
    };
    Some(match values.get(key)? {
        object @ Gql::Object(_) => FieldValue::owned_any(object.clone()),
        value => FieldValue::value(value.clone()),
    })
}

async fn aggregate(
    ctx: &ResolverContext<'_>,
    catalog: &Catalog,
    collection: &str,
) -> GqlResult<Arc<Aggregated>> {
    let args = list_args(&ctx.field())?;
    let (totals, nodes) = aggregation(catalog, collection, &[ctx.field()])?;
    resolve::aggregate(ctx, catalog, collection, &args, &totals, nodes.as_ref()).await
}
