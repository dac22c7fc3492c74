//! Queries over the graph, in the shape that Hasura gave them.
//!
//! The schema is made from the model at run time. A root field reads its whole selection first,
//! then runs one statement per list and level; the fields below only pick from what is there.

mod aggregate;
mod catalog;
mod explain;
mod fetch;
mod filter;
mod mutation;
mod names;
mod plan;
mod resolve;
mod schema;
mod sql;
mod statement;
mod totals;

use std::sync::Arc;

use async_graphql::ServerError;
use async_graphql::dynamic::Schema;
use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, OperationType};
use axum::http::{HeaderValue, StatusCode};
use serde::Serialize;
use tokio::sync::Mutex;

use crate::error::{Error, Result};
use crate::state::AppState;
use crate::store::Layout;
use catalog::Catalog;
use resolve::{Session, SharedSession};

/// The schema of a model, made when the first query asks for it.
#[derive(Default)]
pub(crate) struct Engine(std::sync::OnceLock<Result<Made, String>>);

/// A schema and what it was made from.
struct Made {
    schema: Schema,
    catalog: Arc<Catalog>,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").finish_non_exhaustive()
    }
}

impl Engine {
    fn made(&self, layout: &Layout) -> Result<&Made> {
        let made = self.0.get_or_init(|| {
            let catalog = Arc::new(Catalog::new(layout));
            let schema = schema::build(&catalog).map_err(|error| error.to_string())?;
            Ok(Made { schema, catalog })
        });
        made.as_ref()
            .map_err(|error| Error::internal("make the query schema", error.clone()))
    }
}

/// Refuses a model that no query schema can be made of.
///
/// # Errors
///
/// When a collection has the name of something that the schema makes up.
pub(crate) fn check(layout: &Layout) -> Result<()> {
    let catalog = Arc::new(Catalog::new(layout));
    names::check(&catalog)?;
    schema::build(&catalog).map_err(|error| {
        Error::bad_request(
            "invalid_extension",
            format!("no query schema can be made of the model with it: {error}"),
        )
    })?;
    Ok(())
}

/// The answer to a query: `data`, `errors` or both, with the fields in the order of the query.
#[derive(Debug, Serialize)]
pub(crate) struct Answer {
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<async_graphql::Value>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ServerError>,
}

/// Reads the header that asks for an earlier time: ISO 8601 in UTC.
pub(crate) fn timepoint(header: Option<&HeaderValue>) -> Result<Option<i64>> {
    let Some(header) = header else {
        return Ok(None);
    };
    header
        .to_str()
        .ok()
        .map(str::trim)
        .and_then(crate::time::parse)
        .map(Some)
        .ok_or_else(|| {
            Error::bad_request(
                "invalid_timepoint",
                "`x-hasura-car-timepoint` must be a time in UTC such as 2026-01-31T12:00:00Z",
            )
        })
}

/// Fills in the defaults of variables that were not sent: the library looks for them in arguments,
/// not in `@include` and `@skip`.
fn with_defaults(mut request: async_graphql::Request) -> async_graphql::Request {
    let name = request.operation_name.clone();
    let Ok(document) = request.parsed_query() else {
        return request;
    };
    let defaults: Vec<_> = operations(document, name.as_deref())
        .flat_map(|operation| &operation.variable_definitions)
        .filter_map(|definition| {
            let value = definition.node.default_value()?.clone();
            Some((definition.node.name.node.clone(), value))
        })
        .collect();
    for (name, value) in defaults {
        request.variables.entry(name).or_insert(value);
    }
    request
}

/// Tells whether the operation that a request chooses changes something.
pub(crate) fn changes(request: &mut async_graphql::Request) -> bool {
    let chosen = request.operation_name.clone();
    let Ok(document) = request.parsed_query() else {
        return false;
    };
    operations(document, chosen.as_deref()).any(|operation| operation.ty == OperationType::Mutation)
}

/// Returns the operations of a document that a request may choose.
fn operations<'d>(
    document: &'d ExecutableDocument,
    chosen: Option<&'d str>,
) -> impl Iterator<Item = &'d OperationDefinition> {
    document
        .operations
        .iter()
        .filter(move |(name, _)| chosen.is_none() || name.map(|name| name.as_str()) == chosen)
        .map(|(_, operation)| &operation.node)
}

/// Answers a query as GraphQL does: with `data`, `errors` or both.
pub(crate) async fn execute(
    state: &Arc<AppState>,
    request: async_graphql::Request,
    at: Option<i64>,
) -> Result<Answer> {
    let snapshot = state.ready().await?;
    let made = snapshot.engine.made(&snapshot.layout)?;
    let limit = state.limits.query;
    let conn = state.store.read_within(limit).await?;
    let session: SharedSession = Arc::new(Mutex::new(Session::new(conn, at)));
    let request = with_defaults(request).data(session).data(Arc::clone(state));
    // What is dropped here stops its statement.
    let response = tokio::time::timeout(limit, made.schema.execute(request))
        .await
        .map_err(|_| {
            Error::new(
                StatusCode::GATEWAY_TIMEOUT,
                "query_too_slow",
                format!(
                    "the query took longer than {} seconds and was stopped; narrow it with `where` or `limit`, or start the service with a longer --query-timeout",
                    limit.as_secs_f64()
                ),
            )
        })?;
    let mut errors = response.errors;
    for error in &mut errors {
        if let Some(text) = explain::explain(&error.message, &made.catalog) {
            error.message = text;
        }
    }
    let refused = !errors.is_empty() && matches!(response.data, async_graphql::Value::Null);
    Ok(Answer {
        data: (!refused).then_some(response.data),
        errors,
    })
}
