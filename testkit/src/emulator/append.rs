//! The routes by which rows go out.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use car_core::exchange::{OutputType, Rows, SEPARATOR, WRITE_HEADER};
use serde::Deserialize;
use serde_json::json;
use serde_json::value::RawValue;

use super::routes::{Refusal, refused};
use super::state::State;

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    meta: Option<Meta>,
}

#[derive(Deserialize)]
struct Meta {
    separator: Option<String>,
}

pub(super) async fn append(
    Shared(state): Shared<Arc<State>>,
    Path(output): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refusal> {
    let output = named(&output)?;
    let rows = rows(&body)?;
    let key = headers
        .get(WRITE_HEADER)
        .filter(|_| state.repeatable)
        .and_then(|key| key.to_str().ok());
    if let Some(written) = state.outputs().get_mut(&output) {
        // One that came before was written before.
        if key.is_none_or(|key| written.keys.insert(key.to_owned())) {
            written
                .add(&rows)
                .map_err(|failure| Refusal::new(500, failure.chain().join(": ")))?;
        }
    }
    Ok((StatusCode::CREATED, axum::Json(json!({"message": "ok"}))).into_response())
}

pub(super) async fn close(Path(output): Path<String>) -> Result<StatusCode, Refusal> {
    named(&output).map(|_| StatusCode::NO_CONTENT)
}

fn named(output: &str) -> Result<OutputType, Refusal> {
    OutputType::named(output).ok_or_else(|| Refusal::new(404, "there is no such output"))
}

fn rows(body: &[u8]) -> Result<Rows, Refusal> {
    let body: Body<'_> = serde_json::from_slice(body)
        .map_err(|error| Refusal::new(400, format!("the body cannot be read: {error}")))?;
    let no_list = || refused(400, "data", "it must be a list of rows");
    let list: Vec<&RawValue> = body
        .data
        .and_then(|data| serde_json::from_str(data.get()).ok())
        .ok_or_else(no_list)?;
    if list.is_empty() {
        return Err(refused(400, "data", "it must not be empty"));
    }
    let separator = body.meta.and_then(|meta| meta.separator);
    let separator = separator.as_deref().unwrap_or(SEPARATOR);
    let mut rows = Rows::new();
    for row in list {
        rows.push_json(row.get().as_bytes(), separator)
            .map_err(|error| refused(400, "data", &error.to_string()))?;
    }
    Ok(rows)
}
