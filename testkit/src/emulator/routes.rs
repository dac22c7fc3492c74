//! All routes of the container API, and those of the emulator itself.

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Path, Query, State as Shared};
use axum::http::StatusCode;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use car_core::Failure;
use car_core::exchange::{
    ABILITIES_HEADER, Classification, LogLevel, REPEATABLE_READS, REPEATABLE_WRITES, Storage,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::state::{LogEntry, State};
use super::{append, fault, page, read};

/// Largest body that is read.
const LARGEST_BODY: usize = 64 * 1024 * 1024;

/// An error as the platform writes it.
pub(super) struct Refusal {
    status: StatusCode,
    message: String,
    errors: Value,
}

impl Refusal {
    pub(super) fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status: StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
            message: message.into(),
            // As it is where no field is to blame: a list, and not an object.
            errors: json!([]),
        }
    }

    pub(super) fn invalid_file(failure: &Failure) -> Self {
        Self::new(500, format!("invalid file: {}", failure.chain().join(": ")))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"message": self.message, "errors": self.errors});
        (self.status, axum::Json(body)).into_response()
    }
}

/// Says what is wrong with a field.
pub(super) fn refused(status: u16, field: &str, text: &str) -> Refusal {
    Refusal {
        errors: json!({field: text}),
        ..Refusal::new(status, "the request is not valid")
    }
}

pub(super) fn router(state: Arc<State>) -> Router {
    Router::new()
        .route("/ping", get(ping))
        .route("/output/{type}", post(append::append))
        .route("/output/{type}/close", post(append::close))
        .route("/input/{type}/next", get(read::next))
        .route("/input/{type}/next_batch", get(read::next_batch))
        .route("/input/{type}/restart", get(read::restart))
        .route("/items/{type}/count", get(read::count))
        .route("/logs/{level}", post(log))
        .route("/processes/pending", get(pending))
        .route("/processes/log", post(log_processes))
        .route("/processes/{id}", get(process))
        .route("/storage/internal", post(store_internal))
        .route("/store/to-transport", post(store_to_transport))
        .route("/csa-classifications", get(classifications))
        .route("/emulator", get(page::page))
        .route("/emulator/logs", get(page::logs))
        .route("/emulator/faults", post(add_fault).delete(clear_faults))
        .fallback(|| async { Refusal::new(404, "there is no such route") })
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .layer(from_fn_with_state(Arc::clone(&state), fault::pass))
        .with_state(state)
}

async fn ping(Shared(state): Shared<Arc<State>>) -> Response {
    let body = axum::Json(json!({"message": "ok"}));
    if state.repeatable {
        let abilities = format!("{REPEATABLE_READS}, {REPEATABLE_WRITES}");
        return ([(ABILITIES_HEADER, abilities)], body).into_response();
    }
    body.into_response()
}

#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    message: Value,
    #[serde(default)]
    context: Option<Map<String, Value>>,
}

async fn log(
    Shared(state): Shared<Arc<State>>,
    Path(level): Path<String>,
    body: axum::body::Bytes,
) -> Result<Response, Refusal> {
    let level =
        LogLevel::named(&level).ok_or_else(|| Refusal::new(404, "there is no such level"))?;
    let body: Message = serde_json::from_slice(&body)
        .map_err(|error| Refusal::new(400, format!("the body cannot be read: {error}")))?;
    let message = body.message.as_str().unwrap_or_default();
    if message.trim().is_empty() {
        return Err(refused(400, "message", "it must not be blank"));
    }
    state.log(LogEntry {
        level,
        message: message.to_owned(),
        context: body.context.map(Value::Object),
    });
    Ok((StatusCode::CREATED, axum::Json(json!({"message": "ok"}))).into_response())
}

async fn pending(Shared(state): Shared<Arc<State>>) -> Response {
    axum::Json(state.pending()).into_response()
}

async fn process(
    Shared(state): Shared<Arc<State>>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let process = state.process(&id);
    let process = process.ok_or_else(|| Refusal::new(404, "there is no such process"))?;
    Ok(axum::Json(process).into_response())
}

async fn log_processes(Shared(state): Shared<Arc<State>>) -> Response {
    for process in state.pending() {
        state.log(LogEntry {
            level: LogLevel::Info,
            message: format!("process {} is {}", process.id, process.status),
            context: None,
        });
    }
    axum::Json(json!({"message": "ok"})).into_response()
}

async fn store_internal(state: Shared<Arc<State>>, body: axum::body::Bytes) -> Response {
    store(&state, Storage::Internal, &body)
}

async fn store_to_transport(state: Shared<Arc<State>>, body: axum::body::Bytes) -> Response {
    store(&state, Storage::Transport, &body)
}

fn store(state: &State, storage: Storage, body: &[u8]) -> Response {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut errors = Map::new();
    for (name, field) in [("source_file", "sourceFile"), ("remote_file", "remoteFile")] {
        if text(name).trim().is_empty() {
            errors.insert(field.to_owned(), "it must not be blank".into());
        }
    }
    if !errors.is_empty() {
        return Refusal {
            errors: errors.into(),
            ..Refusal::new(400, "the request is not valid")
        }
        .into_response();
    }
    let place = match storage {
        Storage::Internal => "internal",
        Storage::Transport => "transport",
    };
    let id = state.store(place, text("source_file"), text("remote_file"));
    let body = axum::Json(json!({"message": "ok", "data": {"id": id}}));
    (StatusCode::ACCEPTED, body).into_response()
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Below {
    #[serde(default)]
    classification_path: String,
}

async fn classifications(
    Shared(state): Shared<Arc<State>>,
    Query(below): Query<Below>,
) -> Response {
    let below = below.classification_path;
    let list: Vec<Classification> = state
        .classifications()
        .into_iter()
        .filter(|known| known.classification_path.starts_with(&below))
        .collect();
    axum::Json(list).into_response()
}

async fn add_fault(Shared(state): Shared<Arc<State>>, body: axum::body::Bytes) -> Response {
    match serde_json::from_slice::<Fault>(&body) {
        Ok(fault) => {
            state.faults.add(fault);
            StatusCode::NO_CONTENT.into_response()
        }
        Err(error) => Refusal::new(400, error.to_string()).into_response(),
    }
}

async fn clear_faults(Shared(state): Shared<Arc<State>>) -> StatusCode {
    state.faults.clear();
    StatusCode::NO_CONTENT
}
