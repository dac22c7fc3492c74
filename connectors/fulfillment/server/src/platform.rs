//! The platform: requests, and what becomes of them.

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::state::{Collection, Refusal, Shared, not_found, refusal};

#[derive(Debug, Deserialize)]
struct Paging {
    status: Option<String>,
    #[serde(default)]
    offset: usize,
    limit: Option<usize>,
}

pub(crate) fn routes() -> Router<Shared> {
    collection("/requests", Collection::Assets)
        .merge(collection("/tier/config-requests", Collection::TierConfigs))
}

fn collection(path: &str, collection: Collection) -> Router<Shared> {
    Router::new()
        .route(
            path,
            get(move |state: State<Shared>, headers, query| {
                list(state, headers, query, collection)
            })
            .post(move |state: State<Shared>, headers, body| {
                create(state, headers, body, collection)
            }),
        )
        .route(
            &format!("{path}/{{id}}"),
            get(move |state: State<Shared>, headers, id| one(state, headers, id, collection)).put(
                move |state: State<Shared>, headers, id, body| {
                    update(state, headers, id, body, collection)
                },
            ),
        )
        .route(
            &format!("{path}/{{id}}/{{action}}"),
            post(move |state: State<Shared>, headers, path, body| {
                act(state, headers, path, body, collection)
            }),
        )
}

async fn list(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Query(paging): Query<Paging>,
    collection: Collection,
) -> Result<Response, Refusal> {
    shared.platform(&headers)?;
    let state = shared.lock();
    let all: Vec<&Value> = state
        .requests
        .iter()
        .filter(|((of, _), _)| *of == collection)
        .map(|(_, request)| request)
        .filter(|request| {
            let status = request.get("status").and_then(Value::as_str);
            paging.status.is_none() || status == paging.status.as_deref()
        })
        .collect();
    let limit = paging.limit.unwrap_or(100).min(1000);
    let page: Vec<&Value> = all
        .iter()
        .skip(paging.offset)
        .take(limit)
        .copied()
        .collect();
    let last = paging.offset.saturating_add(page.len()).saturating_sub(1);
    let range = format!("items {}-{last}/{}", paging.offset, all.len());
    let mut answer = Json(json!(page)).into_response();
    if let Ok(range) = HeaderValue::from_str(&range) {
        answer.headers_mut().insert("Content-Range", range);
    }
    Ok(answer)
}

async fn create(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Json(mut request): Json<Value>,
    collection: Collection,
) -> Result<(StatusCode, Json<Value>), Refusal> {
    shared.platform(&headers)?;
    let mut state = shared.lock();
    state.number += 1;
    let prefix = match collection {
        Collection::Assets => "PR",
        Collection::TierConfigs => "TCR",
    };
    let made = format!("{prefix}-{:04}", state.number);
    let id = request.get("id").and_then(Value::as_str);
    let id = id.map_or(made, str::to_owned);
    let Some(object) = request.as_object_mut() else {
        return Err(refusal(
            StatusCode::BAD_REQUEST,
            "VAL_001",
            "a request is an object",
        ));
    };
    object.insert("id".to_owned(), json!(id));
    object.entry("status").or_insert_with(|| json!("pending"));
    state.requests.insert((collection, id), request.clone());
    Ok((StatusCode::CREATED, Json(request)))
}

async fn one(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path(id): Path<String>,
    collection: Collection,
) -> Result<Json<Value>, Refusal> {
    shared.platform(&headers)?;
    let state = shared.lock();
    let found = state.requests.get(&(collection, id));
    found.cloned().map(Json).ok_or_else(not_found)
}

/// Takes over what the body has, parameters by their ids.
async fn update(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path(id): Path<String>,
    Json(body): Json<Value>,
    collection: Collection,
) -> Result<Json<Value>, Refusal> {
    shared.platform(&headers)?;
    let mut state = shared.lock();
    let request = state
        .requests
        .get_mut(&(collection, id))
        .ok_or_else(not_found)?;
    merge(request, body);
    Ok(Json(request.clone()))
}

fn merge(into: &mut Value, from: Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(into), Value::Array(from)) => {
            for value in from {
                let id = value.get("id");
                let same = into
                    .iter_mut()
                    .find(|old| id.is_some() && old.get("id") == id);
                match same {
                    Some(old) => merge(old, value),
                    None => into.push(value),
                }
            }
        }
        (into, from) => *into = from,
    }
}

async fn act(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path((id, action)): Path<(String, String)>,
    Json(body): Json<Value>,
    collection: Collection,
) -> Result<Json<Value>, Refusal> {
    shared.platform(&headers)?;
    let status = match action.as_str() {
        "approve" => "approved",
        "fail" => "failed",
        "inquire" => "inquiring",
        "pend" => "pending",
        _ => return Err(not_found()),
    };
    let mut state = shared.lock();
    let request = state
        .requests
        .get_mut(&(collection, id))
        .ok_or_else(not_found)?;
    let now = request
        .get("status")
        .and_then(Value::as_str)
        .unwrap_or_default();
    if now != "pending" && action != "pend" {
        return Err(refusal(
            StatusCode::CONFLICT,
            "REQ_003",
            &format!("the request is {now}, so it cannot be {status}"),
        ));
    }
    merge(request, json!({"status": status, "answer": body}));
    Ok(Json(request.clone()))
}
