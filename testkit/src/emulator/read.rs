//! The routes by which rows come in.

use std::collections::HashMap;
use std::sync::Arc;

use axum::extract::{Path, Query, State as Shared};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use car_core::exchange::{InputType, OutputType, READ_HEADER, Rows};
use serde_json::json;

use super::routes::{Refusal, refused};
use super::state::State;

/// Batches are smaller than this.
const LARGEST: usize = 1000;

/// Column with the classification of a row; hidden from connectors.
const CLASSIFICATION: &str = "__classification-id";

type Parameters = HashMap<String, String>;

pub(super) async fn next(
    Shared(state): Shared<Arc<State>>,
    Path(input): Path<String>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let rows = serve(&state, &input, 1, &parameters, &headers)?;
    Ok(match rows.get(0) {
        None => StatusCode::NO_CONTENT.into_response(),
        Some(row) => json_text(format!("{{\"message\":\"ok\",\"data\":{}}}", row.json())),
    })
}

pub(super) async fn next_batch(
    Shared(state): Shared<Arc<State>>,
    Path(input): Path<String>,
    Query(parameters): Query<Parameters>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let size = match parameters.get("size") {
        None => Some(1),
        Some(size) => size.parse().ok().filter(|size| (1..LARGEST).contains(size)),
    };
    let Some(size) = size else {
        return Err(refused(400, "size", "it must be from 1 to 999"));
    };
    let rows = serve(&state, &input, size, &parameters, &headers)?;
    let mut body = String::with_capacity(rows.bytes() + 64);
    body.push_str("{\"message\":\"ok\",\"data\":[");
    for (place, row) in rows.iter().enumerate() {
        if place > 0 {
            body.push(',');
        }
        body.push_str(row.json());
    }
    body.push_str("]}");
    Ok(json_text(body))
}

fn serve(
    state: &State,
    input: &str,
    size: usize,
    parameters: &Parameters,
    headers: &HeaderMap,
) -> Result<Rows, Refusal> {
    let input = InputType::named(input).ok_or_else(not_provided)?;
    let hidden = match parameters.get("show-hidden").map(String::as_str) {
        None | Some("false" | "0" | "") => false,
        Some("true" | "1") => true,
        Some(_) => return Err(refused(400, "show-hidden", "it must be true or false")),
    };
    let wanted = match parameters.get("classification-id") {
        None => None,
        Some(id) => Some(
            id.parse::<u64>()
                .map_err(|_| refused(400, "classification-id", "it must be a number"))?,
        ),
    };
    let number = headers
        .get(READ_HEADER)
        .filter(|_| state.repeatable)
        .and_then(|number| number.to_str().ok());
    let mut inputs = state.inputs();
    let cursor = inputs.entry(input).or_default();
    if let (Some(number), Some((last, rows))) = (number, &cursor.last)
        && number == last
    {
        return Ok(rows.clone());
    }
    // A classification is told by a column that is hidden otherwise.
    let reads_hidden = hidden || wanted.is_some();
    let fits = |row: car_core::exchange::Row<'_>| {
        wanted.is_none_or(|wanted| {
            row.get(CLASSIFICATION)
                .is_some_and(|id| id.text() == wanted.to_string())
        })
    };
    let rows = state
        .read(cursor, input, size, reads_hidden, fits)
        .map_err(|failure| Refusal::invalid_file(&failure))?
        .ok_or_else(not_provided)?;
    let rows = if reads_hidden && !hidden {
        shown(&rows)
    } else {
        rows
    };
    if let Some(number) = number {
        cursor.last = Some((number.to_owned(), rows.clone()));
    }
    Ok(rows)
}

fn shown(rows: &Rows) -> Rows {
    use car_core::exchange::Named;
    let mut shown = Rows::new();
    for row in rows.iter() {
        let name = |name: &str| match name.starts_with('_') {
            true => Named::Gone,
            false => Named::Same,
        };
        shown.push_changed(row, &name, &[]);
    }
    shown
}

pub(super) async fn restart(
    Shared(state): Shared<Arc<State>>,
    Path(input): Path<String>,
) -> Result<Response, Refusal> {
    let input = provided(&state, &input)?;
    state.inputs().remove(&input);
    Ok(axum::Json(json!({"message": "ok"})).into_response())
}

pub(super) async fn count(
    Shared(state): Shared<Arc<State>>,
    Path(items): Path<String>,
) -> Result<Response, Refusal> {
    let count = match OutputType::named(&items) {
        Some(output) => state
            .outputs()
            .get(&output)
            .map_or(0, |written| written.rows),
        None => {
            let input = provided(&state, &items)?;
            let mut cursor = super::state::Cursor::default();
            let mut count = 0;
            loop {
                let rows = state
                    .read(&mut cursor, input, 8192, true, |_| true)
                    .map_err(|failure| Refusal::invalid_file(&failure))?
                    .unwrap_or_default();
                if rows.is_empty() {
                    break count;
                }
                count += rows.len() as u64;
            }
        }
    };
    Ok(axum::Json(json!({"message": "ok", "data": {"count": count}})).into_response())
}

fn provided(state: &State, name: &str) -> Result<InputType, Refusal> {
    let input = InputType::named(name).ok_or_else(not_provided)?;
    match state.file(input) {
        Ok(Some(_)) => Ok(input),
        Ok(None) => Err(not_provided()),
        Err(failure) => Err(Refusal::invalid_file(&failure)),
    }
}

fn not_provided() -> Refusal {
    Refusal::new(404, "the file was not provided for this run")
}

fn json_text(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
