//! The vendor: things under keys, and switches that make it fail.

use std::time::Duration;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode};
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::state::{Fault, FaultMode, Refusal, Shared, not_found, refusal};

/// How long a call hangs: longer than anybody waits.
const FOR_EVER: Duration = Duration::from_secs(3600);

#[derive(Debug, Deserialize)]
struct Paging {
    after: Option<String>,
    limit: Option<usize>,
}

pub(crate) fn routes() -> Router<Shared> {
    Router::new()
        .route("/faults", put(set_faults))
        .route("/things/{kind}", get(list))
        .route("/things/{kind}/{key}", put(write).post(write).delete(write))
}

/// Takes what goes wrong from now on, in the place of what did.
async fn set_faults(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Json(faults): Json<Vec<Fault>>,
) -> Result<StatusCode, Refusal> {
    shared.vendor(&headers)?;
    shared.lock().faults = faults;
    Ok(StatusCode::NO_CONTENT)
}

async fn list(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path(kind): Path<String>,
    Query(paging): Query<Paging>,
) -> Result<Json<Value>, Refusal> {
    shared.vendor(&headers)?;
    let state = shared.lock();
    let limit = paging.limit.unwrap_or(100).clamp(1, 1000);
    let mut things = state.things.iter().filter(|((of, key), thing)| {
        let behind = paging.after.as_ref().is_none_or(|after| key > after);
        *of == kind && behind && thing.is_some()
    });
    let items: Vec<Value> = things
        .by_ref()
        .take(limit)
        .map(|((_, key), thing)| json!({"id": key, "value": thing}))
        .collect();
    let next = match things.next() {
        Some(_) => items.last().and_then(|last| last.get("id")).cloned(),
        None => None,
    };
    Ok(Json(json!({"items": items, "next": next})))
}

/// Makes (`PUT`), changes (`POST`) or deletes a thing. Each may be repeated.
async fn write(
    State(shared): State<Shared>,
    headers: HeaderMap,
    Path((kind, key)): Path<(String, String)>,
    method: Method,
    body: String,
) -> Result<Json<Value>, Refusal> {
    shared.vendor(&headers)?;
    let fault = take_fault(&shared, &kind, &method);
    match fault {
        Some(FaultMode::Refuse) => {
            return Err(refusal(
                StatusCode::UNPROCESSABLE_ENTITY,
                "NO",
                "the vendor says no",
            ));
        }
        Some(FaultMode::Unavailable) => {
            return Err(refusal(
                StatusCode::SERVICE_UNAVAILABLE,
                "BUSY",
                "the vendor cannot do it now",
            ));
        }
        Some(FaultMode::LoseAnswer | FaultMode::Hang) | None => {}
    }
    let done = apply(&shared, (kind, key), &method, &body)?;
    match fault {
        Some(FaultMode::LoseAnswer) => Err(refusal(
            StatusCode::BAD_GATEWAY,
            "LOST",
            "the answer was lost on its way",
        )),
        Some(FaultMode::Hang) => {
            tokio::time::sleep(FOR_EVER).await;
            Ok(Json(done))
        }
        _ => Ok(Json(done)),
    }
}

fn apply(
    shared: &Shared,
    name: (String, String),
    method: &Method,
    body: &str,
) -> Result<Value, Refusal> {
    let parse = || {
        serde_json::from_str::<Value>(body)
            .map_err(|error| refusal(StatusCode::BAD_REQUEST, "JSON", &error.to_string()))
    };
    let mut state = shared.lock();
    let known = state.things.get(&name).cloned();
    let done = match (method, known) {
        (&Method::DELETE, _) => {
            // Deleted before it is made: then it is not made any more.
            state.things.insert(name, None);
            return Ok(Value::Null);
        }
        (&Method::PUT, Some(Some(thing))) => thing,
        (_, Some(None)) => {
            return Err(refusal(StatusCode::GONE, "GONE", "it was deleted"));
        }
        (&Method::PUT, None) => parse()?,
        (_, None) => return Err(not_found()),
        (_, Some(Some(mut thing))) => {
            if let (Value::Object(thing), Value::Object(change)) = (&mut thing, parse()?) {
                thing.extend(change);
            }
            thing
        }
    };
    state.things.insert(name, Some(done.clone()));
    Ok(done)
}

fn take_fault(shared: &Shared, kind: &str, method: &Method) -> Option<FaultMode> {
    let mut state = shared.lock();
    let fault = state.faults.iter_mut().find(|fault| {
        fault.times > 0
            && fault.kind.as_ref().is_none_or(|of| of == kind)
            && fault.method.as_ref().is_none_or(|of| of == method.as_str())
    })?;
    fault.times -= 1;
    Some(fault.mode)
}
