//! What can go wrong: starting and loading ([`Error`]), and answering a request (`ApiError`).

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

/// A failure to open, serve or load.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is wrong, or what it names cannot be used; the text names the flag.
    #[error("{flag}: {message}")]
    Setting {
        /// The flag, such as `--data`.
        flag: &'static str,
        /// What is wrong and what to do.
        message: String,
        /// The failure below, if there is one.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The database failed while it was used.
    #[error("{action} in the database")]
    Database {
        /// What was being done, such as "loading made assets".
        action: &'static str,
        /// The failure below.
        #[source]
        source: sqlx::Error,
    },
    /// The machine could not be read.
    #[error("reading {what}")]
    Machine {
        /// File or list that was read.
        what: String,
        /// The failure below.
        #[source]
        source: std::io::Error,
    },
    /// What was to be loaded does not fit the database, or writing it failed.
    #[error("loading {what}: {message}")]
    Load {
        /// What was loaded.
        what: &'static str,
        /// What the database said.
        message: String,
    },
    /// The server ended by itself.
    #[error("serving HTTP")]
    Serve(#[source] std::io::Error),
}

impl Error {
    pub(crate) fn setting(flag: &'static str, message: impl Into<String>) -> Self {
        Self::Setting {
            flag,
            message: message.into(),
            source: None,
        }
    }

    pub(crate) fn setting_from(
        flag: &'static str,
        message: impl Into<String>,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Setting {
            flag,
            message: message.into(),
            source: Some(source.into()),
        }
    }

    pub(crate) fn database(action: &'static str) -> impl Fn(sqlx::Error) -> Self {
        move |source| Self::Database { action, source }
    }

    /// Process exit code: 2 for a setting, 1 for everything else.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Setting { .. } => 2,
            Self::Database { .. } | Self::Machine { .. } | Self::Load { .. } | Self::Serve(_) => 1,
        }
    }
}

/// A refused request: HTTP status, stable code, text for people.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
        }
    }

    pub(crate) fn bad(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn no_object(collection: &str, pk: i64) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no_such_object",
            format!("{collection} has no object {pk}"),
        )
    }

    pub(crate) fn busy() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "another program is writing to the database; try again in a few seconds",
        )
    }
}

impl From<sqlx::Error> for ApiError {
    /// The text of a database failure goes to the log, never to the client.
    fn from(error: sqlx::Error) -> Self {
        if matches!(error, sqlx::Error::PoolTimedOut) {
            return Self::busy();
        }
        let database = error.as_database_error();
        if database.is_some_and(|e| e.is_unique_violation()) {
            return Self::new(
                StatusCode::CONFLICT,
                "duplicate",
                "an object with this pk or this unique field exists already",
            );
        }
        // SQLite result codes keep the primary code in the low byte: 5 busy, 6 locked, 13 full.
        let primary = database
            .and_then(|e| e.code())
            .and_then(|code| code.parse::<u32>().ok())
            .map(|code| code & 0xff);
        match primary {
            Some(5 | 6) => Self::busy(),
            Some(13) => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "disk_full",
                "the disk of the database is full; nothing was changed",
            ),
            _ => {
                tracing::error!(error = %error, "the database failed");
                Self::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "internal",
                    "the database failed; the server's log says why",
                )
            }
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({"code": self.code, "message": self.message}).to_string();
        let mut response = (
            self.status,
            [(axum::http::header::CONTENT_TYPE, "application/json")],
            body,
        )
            .into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(
                axum::http::header::RETRY_AFTER,
                axum::http::HeaderValue::from_static("5"),
            );
        }
        response
    }
}
