//! What a caller is told when something is not possible: a stable code and a text.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::failure::Failure;
use crate::tasks::{ConnectorError, TaskError};

/// What a caller is told when something is not possible.
#[derive(Debug, Clone, Serialize)]
pub struct ApiError {
    #[serde(skip)]
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) hints: Vec<String>,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            hints: Vec::new(),
        }
    }

    pub(super) fn with_hints(mut self, failure: &Failure) -> Self {
        self.hints = failure.hints().map(str::to_owned).collect();
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

impl From<TaskError> for ApiError {
    fn from(error: TaskError) -> Self {
        let code = error.code();
        let status = match &error {
            TaskError::NoConnector(_) | TaskError::NoTask { .. } => StatusCode::NOT_FOUND,
            TaskError::NotNow { .. } => StatusCode::CONFLICT,
            TaskError::Descriptor(_)
            | TaskError::Schedule(_)
            | TaskError::TooMuch(_)
            | TaskError::WaitsForItself(_) => StatusCode::BAD_REQUEST,
            TaskError::TooLate(_) => StatusCode::GATEWAY_TIMEOUT,
            TaskError::Failed(_) => StatusCode::BAD_GATEWAY,
            TaskError::Stopped
            | TaskError::Unusable { .. }
            | TaskError::InUse { .. }
            | TaskError::Server { .. }
            | TaskError::Sealed { .. }
            | TaskError::Store { .. } => StatusCode::SERVICE_UNAVAILABLE,
        };
        let failure = Failure::from(error);
        if status.is_server_error() {
            let chain = failure.chain().join(": ");
            tracing::error!(code, error = chain, "a call failed");
        }
        Self::new(status, code, failure.to_string()).with_hints(&failure)
    }
}

impl From<ConnectorError> for ApiError {
    fn from(error: ConnectorError) -> Self {
        let (code, text) = (error.code(), error.text());
        let plain = |status| Self::new(status, code, text.clone());
        match &error {
            ConnectorError::Unknown(_) => plain(StatusCode::NOT_FOUND),
            ConnectorError::Exists(_) | ConnectorError::Fixed(_) => plain(StatusCode::CONFLICT),
            ConnectorError::Name(_) | ConnectorError::Provider(_) => plain(StatusCode::BAD_REQUEST),
            ConnectorError::Settings(failure) => plain(StatusCode::BAD_REQUEST).with_hints(failure),
            ConnectorError::Hook { failure, .. } => {
                plain(StatusCode::BAD_GATEWAY).with_hints(failure)
            }
            ConnectorError::Task(_) => match error {
                ConnectorError::Task(error) => error.into(),
                _ => plain(StatusCode::INTERNAL_SERVER_ERROR),
            },
        }
    }
}
