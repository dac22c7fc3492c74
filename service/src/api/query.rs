//! GraphQL over HTTP.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::{Extension, Json};
use serde_json::Value;

use super::App;
use super::extract::JsonBody;
use crate::auth::Role;
use crate::error::Result;
use crate::graphql;

/// Header that asks for the graph as of an earlier time.
const TIMEPOINT: &str = "x-hasura-car-timepoint";

pub(crate) async fn post(
    State(state): App,
    Extension(role): Extension<Role>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<async_graphql::Request>,
) -> Result<Json<Value>> {
    let at = graphql::timepoint(headers.get(TIMEPOINT))?;
    graphql::execute(&state, request.data(role), at)
        .await
        .map(Json)
}
