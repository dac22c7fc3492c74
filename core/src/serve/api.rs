//! The calls of programs.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::App;
use super::error::ApiError;
use crate::tasks::{
    ConnectorView, Listing, Status, TaskEngine, TaskError, TaskHistory, TaskId, TaskPage, TaskView,
};

pub(super) type Answer<T> = Result<Json<T>, ApiError>;
pub(super) type Shared = State<Arc<App>>;

/// Parts of the path; what is no text is refused as everything else is.
pub(super) struct At<T>(pub(super) T);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for At<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match Path::from_request_parts(parts, state).await {
            Ok(Path(found)) => Ok(Self(found)),
            Err(error) => Err(ApiError::new(
                error.status(),
                "invalid_path",
                error.body_text(),
            )),
        }
    }
}

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/providers", get(providers))
        .route("/connectors", get(connectors))
        .route(
            "/connectors/{name}",
            get(connector).post(install).delete(uninstall),
        )
        .route(
            "/connectors/{name}/settings",
            get(settings).put(update).post(update),
        )
        .route("/connectors/{name}/reset", post(reset))
        .route("/connectors/{name}/tasks", get(tasks))
        .route("/connectors/{name}/tasks/{task}", get(task))
        .route("/connectors/{name}/tasks/{task}/{action}", post(act))
}

async fn providers(State(app): Shared) -> Json<Value> {
    let providers: Vec<Value> = app
        .manager
        .providers()
        .iter()
        .map(|provider| {
            json!({
                "name": provider.name(),
                "description": provider.description(),
                "settings": provider.schema(),
            })
        })
        .collect();
    Json(json!({ "providers": providers }))
}

async fn connectors(State(app): Shared) -> Json<Value> {
    Json(json!({ "connectors": app.manager.connectors() }))
}

async fn connector(State(app): Shared, At(name): At<String>) -> Answer<ConnectorView> {
    Ok(Json(app.manager.connector(&name)?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Install {
    provider: Option<String>,
}

async fn install(
    State(app): Shared,
    At(name): At<String>,
    query: Result<Query<Install>, axum::extract::rejection::QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query.map_err(|error| invalid_query(&error))?;
    let settings = object(body)?;
    let provider = query.provider.as_deref();
    let view = app.manager.install(&name, provider, settings).await?;
    let mut response = (StatusCode::CREATED, Json(&view)).into_response();
    if let Ok(place) = HeaderValue::from_str(&format!("/connectors/{name}")) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(response)
}

async fn uninstall(State(app): Shared, At(name): At<String>) -> Result<StatusCode, ApiError> {
    app.manager.uninstall(&name).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn settings(State(app): Shared, At(name): At<String>) -> Answer<Value> {
    Ok(Json(app.manager.settings(&name)?))
}

async fn update(
    State(app): Shared,
    At(name): At<String>,
    body: Result<Bytes, BytesRejection>,
) -> Answer<ConnectorView> {
    Ok(Json(app.manager.update(&name, object(body)?).await?))
}

async fn reset(State(app): Shared, At(name): At<String>) -> Answer<ConnectorView> {
    Ok(Json(app.manager.reset(&name).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Tasks {
    limit: Option<u32>,
    after: Option<String>,
    status: Option<String>,
    parent: Option<String>,
    #[serde(default)]
    roots: bool,
}

async fn tasks(
    State(app): Shared,
    At(name): At<String>,
    query: Result<Query<Tasks>, axum::extract::rejection::QueryRejection>,
) -> Answer<TaskPage> {
    let Query(query) = query.map_err(|error| invalid_query(&error))?;
    app.manager.connector(&name)?;
    let status = match query.status {
        None => None,
        Some(word) => Some(Status::from_word(&word).ok_or_else(|| {
            let words = Status::ALL.map(Status::as_str).join(", ");
            invalid_query(&format!("`status` is one of {words}"))
        })?),
    };
    let listing = Listing {
        after: query.after,
        limit: query.limit,
        status,
        parent: query.parent.map(TaskId::from_text),
        roots: query.roots,
    };
    Ok(Json(app.manager.engine().tasks(&name, &listing).await?))
}

async fn task(State(app): Shared, At((name, task)): At<(String, String)>) -> Answer<TaskHistory> {
    app.manager.connector(&name)?;
    let task = TaskId::from_text(task);
    Ok(Json(app.manager.engine().history(&name, &task).await?))
}

async fn act(
    State(app): Shared,
    At((name, task, action)): At<(String, String, String)>,
) -> Answer<TaskView> {
    app.manager.connector(&name)?;
    let task = TaskId::from_text(task);
    match change(&**app.manager.engine(), &action, &name, &task).await {
        Some(changed) => Ok(Json(changed?)),
        None => Err(ApiError::new(
            StatusCode::NOT_FOUND,
            "unknown_path",
            "a task can be told to retry, pause, resume or stop",
        )),
    }
}

/// Does to a task what a word says; `None` for a word that says nothing.
pub(super) async fn change(
    engine: &dyn TaskEngine,
    action: &str,
    connector: &str,
    task: &TaskId,
) -> Option<Result<TaskView, TaskError>> {
    Some(match action {
        "retry" => engine.retry(connector, task).await,
        "pause" => engine.pause(connector, task).await,
        "resume" => engine.resume(connector, task).await,
        "stop" => engine.stop(connector, task).await,
        _ => return None,
    })
}

pub(super) fn invalid_query(error: &dyn std::fmt::Display) -> ApiError {
    ApiError::new(StatusCode::BAD_REQUEST, "invalid_query", error.to_string())
}

/// Reads a body, however it was sent. None at all counts as one without fields.
fn object(body: Result<Bytes, BytesRejection>) -> Result<Value, ApiError> {
    let invalid = |text: String| ApiError::new(StatusCode::BAD_REQUEST, "invalid_body", text);
    let body =
        body.map_err(|error| ApiError::new(error.status(), "invalid_body", error.body_text()))?;
    if body.trim_ascii().is_empty() {
        return Ok(json!({}));
    }
    let value: Value = serde_json::from_slice(&body)
        // The text may hold a secret, so only its place is told.
        .map_err(|error| {
            invalid(format!(
                "the body is no JSON: line {} column {}",
                error.line(),
                error.column()
            ))
        })?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(invalid(
            "the body is no JSON object with settings".to_owned(),
        ))
    }
}
