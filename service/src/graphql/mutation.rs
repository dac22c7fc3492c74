//! Tags are what consumers may change.

use std::sync::Arc;

use async_graphql::Error;
use async_graphql::dynamic::{
    Field, FieldFuture, FieldValue, InputObject, InputValue, Object, ResolverContext, TypeRef,
    ValueAccessor,
};

use super::sql::GqlResult;
use crate::auth::Role;
use crate::state::AppState;
use crate::store::ops::tags::ChangeTags;

/// Names of the types.
pub(crate) const TYPES: [&str; 2] = [INPUT, RESPONSE];
const INPUT: &str = "vertex_tag_input";
const RESPONSE: &str = "tag_mutation_response";

/// The input types.
pub(crate) fn types() -> Vec<InputObject> {
    let input = |name: &str| {
        InputObject::new(name)
            .field(
                InputValue::new("id", TypeRef::named_nn(TypeRef::STRING))
                    .description("`id` of the vertex: source and external id, joined by a slash."),
            )
            .field(
                InputValue::new("tag", TypeRef::named_nn(TypeRef::STRING)).description("The tag."),
            )
    };
    vec![input(INPUT)]
}

/// The answer of both.
pub(crate) fn response() -> Object {
    Object::new(RESPONSE).field(Field::new(
        "affected_rows",
        TypeRef::named_nn(TypeRef::INT),
        |ctx| {
            FieldFuture::new(async move {
                let count = ctx.parent_value.try_downcast_ref::<u64>()?;
                Ok(Some(FieldValue::value(*count)))
            })
        },
    ))
}

/// Returns `insert_tag_<vertex>` and `delete_tag_<vertex>`.
pub(crate) fn fields(vertex: &str) -> (Field, Field) {
    let make = |verb: &str, add: bool| {
        let collection = vertex.to_owned();
        Field::new(
            format!("{verb}_tag_{vertex}"),
            TypeRef::named(RESPONSE),
            move |ctx| {
                let collection = collection.clone();
                FieldFuture::new(async move {
                    let count = change(&ctx, collection, add).await?;
                    Ok(Some(FieldValue::owned_any(count)))
                })
            },
        )
        .argument(InputValue::new("objects", TypeRef::named_nn_list_nn(INPUT)))
    };
    (make("insert", true), make("delete", false))
}

async fn change(ctx: &ResolverContext<'_>, collection: String, add: bool) -> GqlResult<u64> {
    let state = ctx.data::<Arc<AppState>>()?;
    if !matches!(ctx.data::<Role>(), Ok(Role::Admin)) {
        return Err(Error::new("this key may not change tags"));
    }
    let mut tags = Vec::new();
    let objects = ctx.args.try_get("objects")?;
    match objects.list() {
        Ok(list) => {
            for object in list.iter() {
                tags.push(read(&object)?);
            }
        }
        // GraphQL takes one value for a list of one.
        Err(_) => tags.push(read(&objects)?),
    }
    let snapshot = state.snapshot();
    let operation = ChangeTags {
        layout: Arc::clone(&snapshot.layout),
        model: snapshot.version,
        collection,
        tags,
        add,
    };
    state
        .store
        .write(operation)
        .await
        .map_err(|error| Error::new(error.message()))
}

/// Reads source, identity and tag.
fn read(object: &ValueAccessor<'_>) -> GqlResult<(String, String, String)> {
    let object = object.object()?;
    let id = object.try_get("id")?.string()?.to_owned();
    let tag = object.try_get("tag")?.string()?.to_owned();
    if tag.is_empty() || tag.len() > 1024 || tag.contains('\0') || id.contains('\0') {
        return Err(Error::new(
            "a tag has 1 to 1024 bytes and no zero character",
        ));
    }
    let (source, id) = id
        .split_once('/')
        .ok_or_else(|| Error::new("`id` is source and external id, joined by a slash"))?;
    Ok((source.to_owned(), id.to_owned(), tag))
}
