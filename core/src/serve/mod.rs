//! `serve`: a process that stays up. Its HTTP interface, its page, its metrics, and imports on
//! schedule.
//!
//! Everything but `/health/…` and `/openapi.json` asks for the key, in `Authorization: Bearer KEY`
//! or by the log-in form of the page.

mod access;
mod api;
mod error;
mod import;
mod metrics;
mod openapi;
mod page;
#[cfg(feature = "saga")]
mod rounds;
#[cfg(feature = "saga")]
mod sagas;
mod sealed;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use access::Access;
pub(crate) use access::random_key;
pub use error::ApiError;
pub(crate) use import::{EngineOptions, ImportProvider, Imports, when};
#[cfg(feature = "saga")]
pub(crate) use rounds::SagaRounds;
pub(crate) use sealed::SealedStore;

use crate::failure::{Failure, FailureKind};
use crate::secret::Secret;
use crate::tasks::Manager;

/// Largest body of a request.
const LARGEST_BODY: usize = 4 << 20;
/// How long a request may take.
const PATIENCE: Duration = Duration::from_secs(150);
/// How long running requests may take to end after the stop was asked for.
const GRACE: Duration = Duration::from_secs(3);

/// What the interface shows and asks for.
pub struct ServeOptions {
    program: (String, String),
    key: Secret,
    #[cfg(feature = "saga")]
    sagas: Option<sagas::Sagas>,
}

impl ServeOptions {
    /// Names the program, its version, and the key that callers give.
    pub fn new(program: impl Into<String>, version: impl Into<String>, key: Secret) -> Self {
        Self {
            program: (program.into(), version.into()),
            key,
            #[cfg(feature = "saga")]
            sagas: None,
        }
    }

    /// Shows sagas too, and goes on with those that a caller names until the token is cancelled.
    #[cfg(feature = "saga")]
    #[must_use]
    pub fn sagas(
        mut self,
        desk: Arc<dyn crate::saga::SagaDesk>,
        cancel: CancellationToken,
    ) -> Self {
        self.sagas = Some(sagas::Sagas::new(desk, cancel));
        self
    }
}

pub(crate) struct App {
    manager: Manager,
    access: Access,
    program: (String, String),
    #[cfg(feature = "saga")]
    sagas: Option<sagas::Sagas>,
}

impl App {
    /// Returns whether there are sagas to show.
    const fn has_sagas(&self) -> bool {
        #[cfg(feature = "saga")]
        return self.sagas.is_some();
        #[cfg(not(feature = "saga"))]
        false
    }
}

/// Returns the interface as a router, for a server of any kind.
pub fn router(manager: Manager, options: ServeOptions) -> Router {
    let app = Arc::new(App {
        manager,
        access: Access::new(options.key),
        program: options.program,
        #[cfg(feature = "saga")]
        sagas: options.sagas,
    });
    let guarded = api::routes();
    #[cfg(feature = "saga")]
    let guarded = match app.has_sagas() {
        true => guarded.merge(sagas::routes()),
        false => guarded,
    };
    let guarded = guarded
        .route("/metrics", get(metrics::answer))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), bearer));
    Router::new()
        .merge(guarded)
        .merge(page::routes(&app))
        .route("/health/live", get(async || "alive\n"))
        .route("/health/ready", get(ready))
        .route("/openapi.json", get(openapi::answer))
        .fallback(async || {
            ApiError::new(
                StatusCode::NOT_FOUND,
                "unknown_path",
                "there is no such path; `/openapi.json` lists them",
            )
        })
        .method_not_allowed_fallback(async || {
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "unknown_method",
                "this path takes other methods; `/openapi.json` lists them",
            )
        })
        .layer(middleware::from_fn(in_time))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(app)
}

/// Answers callers until it is cancelled.
///
/// # Errors
///
/// When the socket fails.
pub async fn answer(
    listener: TcpListener,
    router: Router,
    cancel: CancellationToken,
) -> Result<(), Failure> {
    let stop = cancel.clone();
    let server =
        axum::serve(listener, router).with_graceful_shutdown(async move { stop.cancelled().await });
    let late = async {
        cancel.cancelled().await;
        tokio::time::sleep(GRACE).await;
    };
    tokio::select! {
        served = server => served.map_err(|error| {
            Failure::new(FailureKind::General, "the HTTP interface broke down").because(error)
        }),
        () = late => Ok(()),
    }
}

/// Takes the address to listen on.
///
/// # Errors
///
/// When it cannot be had; the failure names the flag.
pub async fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    TcpListener::bind(address).await.map_err(|error| {
        Failure::new(
            FailureKind::InvalidParameter,
            "cannot listen on the address",
        )
        .with("--listen", address)
        .because(error)
        .hint("name another port with `--listen`, or end the program that has this one")
    })
}

/// Lets only callers through that have the key.
async fn bearer(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if app.access.has_key(request.headers()) {
        return next.run(request).await;
    }
    let mut refused = ApiError::new(
        StatusCode::UNAUTHORIZED,
        "unauthorized",
        "send the key as `Authorization: Bearer KEY`",
    )
    .into_response();
    refused.headers_mut().insert(
        header::WWW_AUTHENTICATE,
        header::HeaderValue::from_static("Bearer"),
    );
    refused
}

/// Ends requests that take too long. What they asked for goes on.
async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(PATIENCE, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::new(
            StatusCode::GATEWAY_TIMEOUT,
            "too_late",
            "it takes too long and goes on; look at it again later",
        )
        .into_response(),
    }
}

/// Says whether tasks can go on.
async fn ready(State(app): State<Arc<App>>) -> Response {
    match app.manager.engine().health().await.trouble {
        None => "ready\n".into_response(),
        Some(trouble) => {
            tracing::warn!(trouble, "not ready");
            ApiError::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "store",
                "tasks cannot go on; the log says why",
            )
            .into_response()
        }
    }
}
