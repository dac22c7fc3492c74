//! The GraphQL schema of a catalog, made at run time.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_graphql::dynamic::{
    Enum, Field, FieldFuture, FieldValue, InputObject, InputValue, Object, ResolverContext, Scalar,
    Schema, SchemaBuilder, SchemaError, TypeRef,
};
use async_graphql::{Error, Value as Gql};

use super::aggregate;
use super::catalog::{Catalog, Entry, Link, Relation, TAG, Ty};
use super::fetch::Node;
use super::mutation;
use super::plan::DIRECTIONS;
use super::resolve;

/// Deepest nesting of a query: the introspection that tools send fits.
pub(crate) const DEPTH: usize = 16;

/// Most fields of a query.
pub(crate) const COMPLEXITY: usize = 2_000;

/// Most directives of a field.
const DIRECTIVES: usize = 10;

/// Names of the roots.
pub(crate) const QUERY: &str = "query_root";
pub(crate) const MUTATION: &str = "mutation_root";

/// Builds the schema.
pub(crate) fn build(catalog: &Arc<Catalog>) -> Result<Schema, SchemaError> {
    let mut query = Object::new(QUERY);
    let mut mutation = Object::new(MUTATION);
    let mut builder = Schema::build(QUERY, Some(MUTATION), None)
        .limit_depth(DEPTH)
        .limit_recursive_depth(64)
        .limit_complexity(COMPLEXITY)
        .limit_directives(DIRECTIVES);
    builder = common_types(builder, catalog);
    for (name, entry) in &catalog.0 {
        query = query
            .field(root_list(catalog, name))
            .field(by_pk(catalog, name))
            .field(aggregate::field(catalog, name));
        if entry.table.ends.is_none() {
            let (insert, delete) = mutation::fields(name);
            mutation = mutation.field(insert).field(delete);
        }
        builder = collection_types(builder, entry);
    }
    builder.register(query).register(mutation).finish()
}

fn common_types(mut builder: SchemaBuilder, catalog: &Catalog) -> SchemaBuilder {
    let mut directions = Enum::new("order_by");
    for (name, _) in DIRECTIONS {
        directions = directions.item(name);
    }
    builder = builder
        .register(directions)
        .register(Scalar::new("jsonb").description("Any JSON."))
        .register(Scalar::new("bigint").description("A whole number of up to 64 bits."))
        .register(
            Object::new(TAG).field(
                Field::new("name", TypeRef::named_nn(TypeRef::STRING), |ctx| {
                    FieldFuture::new(async move { scalar(&ctx, "name") })
                })
                .description("The tag."),
            ),
        )
        .register(InputObject::new("tag_bool_exp").field(InputValue::new(
            "name",
            TypeRef::named(comparison_name(Ty::String)),
        )));
    let types: BTreeSet<Ty> = catalog
        .0
        .values()
        .flat_map(|entry| entry.attributes.iter().map(|attribute| attribute.ty))
        .chain([Ty::String])
        .filter(|ty| ty.comparable())
        .collect();
    for ty in types {
        builder = builder.register(comparison(ty));
    }
    for input in mutation::types() {
        builder = builder.register(input);
    }
    builder.register(mutation::response())
}

/// Comparisons of all types, of lists and of patterns.
const SIMPLE: [&str; 6] = ["_eq", "_neq", "_gt", "_gte", "_lt", "_lte"];
const LISTS: [&str; 2] = ["_in", "_nin"];
const PATTERNS: [&str; 6] = [
    "_like",
    "_nlike",
    "_ilike",
    "_nilike",
    "_similar",
    "_nsimilar",
];
const IS_NULL: &str = "_is_null";

/// Returns the names of a type's comparisons.
pub(crate) fn comparisons(ty: Ty) -> impl Iterator<Item = &'static str> {
    let patterns = PATTERNS.into_iter().filter(move |_| ty == Ty::String);
    SIMPLE
        .into_iter()
        .chain(LISTS)
        .chain(patterns)
        .chain([IS_NULL])
}

/// Returns the name of the type of a type's comparisons.
pub(crate) fn comparison_name(ty: Ty) -> String {
    format!("{}_comparison_exp", ty.name())
}

fn comparison(ty: Ty) -> InputObject {
    let mut input = InputObject::new(comparison_name(ty));
    for name in comparisons(ty) {
        let of = match name {
            IS_NULL => TypeRef::named(TypeRef::BOOLEAN),
            _ if LISTS.contains(&name) => TypeRef::named_nn_list(ty.name()),
            _ => TypeRef::named(ty.name()),
        };
        input = input.field(InputValue::new(name, of));
    }
    input
}

fn collection_types(builder: SchemaBuilder, entry: &Entry) -> SchemaBuilder {
    let name = entry.table.name.as_str();
    let filter_name = format!("{name}_bool_exp");
    let mut object = Object::new(name);
    let mut filter = InputObject::new(&filter_name)
        .field(InputValue::new(
            "_and",
            TypeRef::named_nn_list(&filter_name),
        ))
        .field(InputValue::new("_or", TypeRef::named_nn_list(&filter_name)))
        .field(InputValue::new("_not", TypeRef::named(&filter_name)));
    let mut order = InputObject::new(format!("{name}_order_by"));
    let mut columns = Enum::new(format!("{name}_select_column"));
    for attribute in &entry.attributes {
        let attribute_name = attribute.name.clone();
        let json = attribute.ty == Ty::Json;
        let mut field = Field::new(
            &attribute.name,
            TypeRef::named(attribute.ty.name()),
            move |ctx| {
                let name = attribute_name.clone();
                FieldFuture::new(async move {
                    if json {
                        part(&ctx, &name)
                    } else {
                        scalar(&ctx, &name)
                    }
                })
            },
        );
        if json {
            field = field.argument(InputValue::new("path", TypeRef::named(TypeRef::STRING)));
        }
        if !attribute.description.is_empty() {
            field = field.description(&attribute.description);
        }
        object = object.field(field);
        if attribute.ty.comparable() {
            let ty = comparison_name(attribute.ty);
            filter = filter.field(InputValue::new(&attribute.name, TypeRef::named(ty)));
            order = order.field(InputValue::new(&attribute.name, TypeRef::named("order_by")));
            columns = columns.item(attribute.name.as_str());
        }
    }
    for relation in &entry.relations {
        object = object.field(list(relation));
        let ty = format!("{}_bool_exp", relation.target);
        filter = filter.field(InputValue::new(&relation.name, TypeRef::named(ty)));
    }
    for (name, relation) in entry.aggregates() {
        object = object.field(aggregate::of_relation(&name, &relation.target));
    }
    let builder = builder
        .register(object)
        .register(filter)
        .register(order)
        .register(columns);
    aggregate::types(builder, entry)
}

/// Adds the arguments of a list.
pub(crate) fn with_list_arguments(field: Field, collection: &str) -> Field {
    field
        .argument(InputValue::new(
            "where",
            TypeRef::named(format!("{collection}_bool_exp")),
        ))
        .argument(InputValue::new(
            "order_by",
            TypeRef::named_nn_list(format!("{collection}_order_by")),
        ))
        .argument(InputValue::new("limit", TypeRef::named(TypeRef::INT)))
        .argument(InputValue::new("offset", TypeRef::named(TypeRef::INT)))
        .argument(InputValue::new(
            "distinct_on",
            TypeRef::named_nn_list(format!("{collection}_select_column")),
        ))
}

fn root_list(catalog: &Arc<Catalog>, name: &str) -> Field {
    let (catalog, collection) = (Arc::clone(catalog), name.to_owned());
    let field = Field::new(name, TypeRef::named_nn_list_nn(name), move |ctx| {
        let (catalog, collection) = (Arc::clone(&catalog), collection.clone());
        FieldFuture::new(async move {
            let nodes = resolve::list(&ctx, &catalog, &collection).await?;
            Ok(Some(field_list(&nodes)))
        })
    });
    with_list_arguments(field, name)
}

fn by_pk(catalog: &Arc<Catalog>, name: &str) -> Field {
    let (catalog, collection) = (Arc::clone(catalog), name.to_owned());
    let edge = catalog.get(name).is_some_and(|entry| entry.table.is_edge());
    let field = Field::new(format!("{name}_by_pk"), TypeRef::named(name), move |ctx| {
        let (catalog, collection) = (Arc::clone(&catalog), collection.clone());
        FieldFuture::new(async move {
            let node = resolve::by_pk(&ctx, &catalog, &collection).await?;
            Ok(node.map(FieldValue::owned_any))
        })
    });
    if edge {
        field
            .argument(InputValue::new(
                "from_id",
                TypeRef::named_nn(TypeRef::STRING),
            ))
            .argument(InputValue::new("to_id", TypeRef::named_nn(TypeRef::STRING)))
    } else {
        field.argument(InputValue::new("id", TypeRef::named_nn(TypeRef::STRING)))
    }
}

fn list(relation: &Relation) -> Field {
    let field = Field::new(
        &relation.name,
        TypeRef::named_nn_list_nn(&relation.target),
        move |ctx| {
            FieldFuture::new(async move {
                let key = ctx.field().alias().unwrap_or(ctx.field().name()).to_owned();
                let node = parent(&ctx)?;
                Ok(Some(field_list(node.list(&key))))
            })
        },
    )
    .description(&relation.description);
    if relation.link == Link::Tags {
        return field
            .argument(InputValue::new("limit", TypeRef::named(TypeRef::INT)))
            .argument(InputValue::new("offset", TypeRef::named(TypeRef::INT)));
    }
    with_list_arguments(field, &relation.target)
}

/// Turns nodes into a list of the answer.
pub(crate) fn field_list(nodes: &[Arc<Node>]) -> FieldValue<'static> {
    FieldValue::list(
        nodes
            .iter()
            .map(|node| FieldValue::owned_any(Arc::clone(node))),
    )
}

fn parent<'c>(ctx: &'c ResolverContext<'_>) -> Result<&'c Arc<Node>, Error> {
    ctx.parent_value.try_downcast_ref::<Arc<Node>>()
}

fn scalar(ctx: &ResolverContext<'_>, name: &str) -> Result<Option<Gql>, Error> {
    Ok(parent(ctx)?.value(name).cloned())
}

/// Returns JSON, or what is at the path in it: names joined by dots.
fn part(ctx: &ResolverContext<'_>, name: &str) -> Result<Option<Gql>, Error> {
    let mut value = parent(ctx)?.value(name).cloned().unwrap_or(Gql::Null);
    let Some(path) = ctx.args.get("path").filter(|path| !path.is_null()) else {
        return Ok(Some(value));
    };
    for step in path.string()?.trim_start_matches("$.").split('.') {
        value = match value {
            Gql::Object(mut object) => object.swap_remove(step).unwrap_or(Gql::Null),
            Gql::List(mut list) => match step.parse::<usize>() {
                Ok(index) if index < list.len() => list.swap_remove(index),
                _ => Gql::Null,
            },
            _ => Gql::Null,
        };
    }
    Ok(Some(value))
}
