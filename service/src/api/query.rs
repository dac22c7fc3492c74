//! GraphQL over HTTP.

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};

use super::App;
use super::extract::{JsonBody, Parameters};
use crate::auth::Role;
use crate::error::{Error, Result};
use crate::graphql::{self, Answer};

/// Header that asks for the graph as of an earlier time.
pub(super) const TIMEPOINT: &str = "x-hasura-car-timepoint";

pub(crate) async fn post(
    State(state): App,
    Extension(role): Extension<Role>,
    headers: HeaderMap,
    JsonBody(request): JsonBody<async_graphql::Request>,
) -> Result<Json<Answer>> {
    let at = graphql::timepoint(headers.get(TIMEPOINT))?;
    graphql::execute(&state, request.data(role), at)
        .await
        .map(Json)
}

/// Answers a query that came in the address. It only reads: addresses are followed, repeated and
/// kept by programs in between.
pub(crate) async fn get(
    State(state): App,
    Extension(role): Extension<Role>,
    headers: HeaderMap,
    parameters: Parameters,
) -> Result<Json<Answer>> {
    let query = parameters.get("query").ok_or_else(|| {
        Error::bad_request(
            "missing_parameter",
            "send the query as the parameter `query`, or with POST",
        )
    })?;
    let mut request = async_graphql::Request::new(query);
    if let Some(name) = parameters
        .get("operationName")
        .filter(|name| !name.is_empty())
    {
        request = request.operation_name(name);
    }
    if let Some(text) = parameters.get("variables").filter(|text| !text.is_empty()) {
        let variables = serde_json::from_str(text).map_err(|error| {
            Error::bad_request(
                "invalid_query",
                format!("`variables` must be a JSON object: {error}"),
            )
        })?;
        request = request.variables(variables);
    }
    if graphql::changes(&mut request) {
        return Err(Error::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "mutation_over_get",
            "GET only reads; send mutations with POST",
        ));
    }
    let at = graphql::timepoint(headers.get(TIMEPOINT))?;
    graphql::execute(&state, request.data(role), at)
        .await
        .map(Json)
}
