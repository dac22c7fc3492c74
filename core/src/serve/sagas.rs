//! The sagas of the connector: what is told of them, and the two things that a person can do about
//! one.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::App;
use super::api::{Answer, At, Shared, invalid_query};
use super::error::ApiError;
use crate::failure::{Effect, Failure, FailureKind, Retry};
use crate::saga::{LogError, SagaDesk, SagaReport, SagaView, Status, Summary, abandon};

/// Sagas in a list when nobody says.
const USUAL: u32 = 100;
/// Most sagas in a list.
const MOST: u32 = 1000;
/// Why a saga is abandoned when nobody says.
const USUAL_REASON: &str = "abandoned by hand";

/// The sagas, and what they are gone on with.
pub(super) struct Sagas {
    desk: Arc<dyn SagaDesk>,
    cancel: CancellationToken,
}

/// Returns the routes.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/sagas", get(list))
        .route("/sagas/{id}", get(show))
        .route("/sagas/{id}/resume", post(resume))
        .route("/sagas/{id}/abandon", post(give_up))
}

impl Sagas {
    pub(super) fn new(desk: Arc<dyn SagaDesk>, cancel: CancellationToken) -> Self {
        Self { desk, cancel }
    }

    /// Lists sagas, the latest first.
    pub(super) async fn list(
        &self,
        status: Option<Status>,
        limit: Option<u32>,
    ) -> Result<Vec<Summary>, ApiError> {
        let limit = limit.unwrap_or(USUAL).min(MOST);
        Ok(self.desk.log().list(status, limit).await?)
    }

    /// Tells one.
    pub(super) async fn report(&self, id: &str) -> Result<SagaReport, ApiError> {
        Ok(SagaView::read(self.desk.log(), id).await?.report())
    }

    /// Goes on with one, and tells where that led.
    pub(super) async fn resume(&self, id: &str) -> Result<SagaReport, ApiError> {
        let before = self.report(id).await?;
        if before.status.is_over() {
            return Err(over(&before));
        }
        let (desk, cancel) = (Arc::clone(&self.desk), self.cancel.clone());
        let own = id.to_owned();
        // A caller that goes away does not stop it in the middle of a step.
        let work = tokio::spawn(async move { desk.resume(&own, cancel).await });
        match work.await {
            Ok(Ok(())) => self.report(id).await,
            Ok(Err(failure)) => Err(refused(&failure)),
            Err(error) => {
                tracing::error!(%error, "a saga that was gone on with ended unexpectedly");
                let failed = "it ended unexpectedly; the log says why";
                Err(ApiError::new(StatusCode::BAD_GATEWAY, "failed", failed))
            }
        }
    }

    /// Ends one as it is, and tells it.
    pub(super) async fn abandon(
        &self,
        id: &str,
        reason: Option<&str>,
    ) -> Result<SagaReport, ApiError> {
        let before = self.report(id).await?;
        if before.status.is_over() {
            return Err(over(&before));
        }
        let reason = reason.filter(|reason| !reason.trim().is_empty());
        match abandon(self.desk.log(), id, reason.unwrap_or(USUAL_REASON)).await {
            Ok(_) => self.report(id).await,
            Err(failure) => Err(refused(&failure)),
        }
    }
}

impl App {
    /// Returns the sagas; the routes that ask are there only where they are.
    pub(super) fn its_sagas(&self) -> Result<&Sagas, ApiError> {
        self.sagas.as_ref().ok_or_else(|| {
            let none = "this connector has no sagas to show";
            ApiError::new(StatusCode::NOT_FOUND, "unknown_path", none)
        })
    }
}

fn over(saga: &SagaReport) -> ApiError {
    let text = format!("saga `{}` is {} already", saga.id, saga.status.as_str());
    ApiError::new(StatusCode::CONFLICT, "not_now", text)
}

impl From<LogError> for ApiError {
    fn from(error: LogError) -> Self {
        let (status, code) = match &error {
            LogError::NotFound { .. } => (StatusCode::NOT_FOUND, "unknown_saga"),
            LogError::Held { .. } | LogError::Lost { .. } => (StatusCode::CONFLICT, "held"),
            LogError::Unreadable { .. } => (StatusCode::INTERNAL_SERVER_ERROR, "unreadable"),
            LogError::Unusable { .. } | LogError::Storage { .. } => {
                (StatusCode::SERVICE_UNAVAILABLE, "saga_log")
            }
        };
        answer(status, code, &Failure::from(error))
    }
}

/// Says why a saga could not be gone on with, or ended.
fn refused(failure: &Failure) -> ApiError {
    let (status, code) = match (failure.kind(), failure.effect(), failure.retry()) {
        (FailureKind::InvalidParameter, ..) => (StatusCode::CONFLICT, "not_now"),
        (FailureKind::Interrupted, ..) => (StatusCode::SERVICE_UNAVAILABLE, "stopping"),
        (FailureKind::General, Effect::Unknown, _) => (StatusCode::SERVICE_UNAVAILABLE, "saga_log"),
        (FailureKind::General, _, Retry::Backoff | Retry::After(_)) => {
            (StatusCode::CONFLICT, "held")
        }
        _ => (StatusCode::BAD_GATEWAY, "failed"),
    };
    answer(status, code, failure)
}

fn answer(status: StatusCode, code: &'static str, failure: &Failure) -> ApiError {
    if status.is_server_error() {
        let error = failure.chain().join(": ");
        tracing::error!(code, error, "a call about sagas failed");
    }
    ApiError::new(status, code, failure.to_string()).with_hints(failure)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Listing {
    limit: Option<u32>,
    status: Option<String>,
}

async fn list(
    State(app): Shared,
    query: Result<Query<Listing>, QueryRejection>,
) -> Result<Json<Value>, ApiError> {
    let Query(query) = query.map_err(|error| invalid_query(&error))?;
    let status = query.status.as_deref().map(status).transpose()?;
    let list = app.its_sagas()?.list(status, query.limit).await?;
    let list: Vec<Value> = list.iter().map(summary).collect();
    Ok(Json(json!({ "sagas": list })))
}

/// Finds a status by its word.
pub(super) fn status(word: &str) -> Result<Status, ApiError> {
    Status::parse(word).ok_or_else(|| {
        let words = Status::ALL.map(Status::as_str).join(", ");
        invalid_query(&format!("`status` is one of {words}"))
    })
}

fn summary(saga: &Summary) -> Value {
    json!({
        "id": saga.id,
        "saga": saga.saga,
        "status": saga.status,
        "step": saga.step,
        "createdAt": saga.created,
        "updatedAt": saga.updated,
    })
}

async fn show(State(app): Shared, At(id): At<String>) -> Answer<SagaReport> {
    Ok(Json(app.its_sagas()?.report(&id).await?))
}

async fn resume(State(app): Shared, At(id): At<String>) -> Answer<SagaReport> {
    Ok(Json(app.its_sagas()?.resume(&id).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    reason: Option<String>,
}

async fn give_up(
    State(app): Shared,
    At(id): At<String>,
    query: Result<Query<Reason>, QueryRejection>,
) -> Answer<SagaReport> {
    let Query(query) = query.map_err(|error| invalid_query(&error))?;
    let sagas = app.its_sagas()?;
    Ok(Json(sagas.abandon(&id, query.reason.as_deref()).await?))
}
