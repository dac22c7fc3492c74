//! Queries over the graph.

use axum::http::HeaderValue;
use serde_json::Value;

use crate::error::Result;
use crate::state::AppState;

pub(crate) fn timepoint(_: Option<&HeaderValue>) -> Result<Option<i64>> {
    Ok(None)
}

pub(crate) async fn execute(
    _: &AppState,
    _: async_graphql::Request,
    _: Option<i64>,
) -> Result<Value> {
    Ok(Value::Null)
}
