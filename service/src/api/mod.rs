//! The calls of the protocol, below `/api/car/v2` and `/api/car/v3`.

mod compare;
mod databases;
mod extract;
mod health;
mod imports;
mod jobs;
mod openapi;
mod query;
mod retention;
mod runs;
mod schema;
mod sources;
mod tenant;
mod vertices;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{delete, get, patch, post};
use tower_http::cors::CorsLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;
use tracing::Instrument as _;

pub(crate) use schema::store_extension;

use crate::error::{Error, Result};
use crate::state::AppState;

pub(crate) type App = State<Arc<AppState>>;

/// How long a caller may pause while it sends a body.
const BODY_PAUSE: Duration = Duration::from_secs(30);

/// How long a browser may remember what it was allowed.
const PREFLIGHT: Duration = Duration::from_secs(600);

/// Returns all routes.
pub(crate) fn router(state: Arc<AppState>) -> Router {
    let v2 = Router::new()
        .route(
            "/databases",
            get(databases::show)
                .post(databases::create)
                .patch(databases::repair),
        )
        .route("/jobstatus", get(jobs::many))
        .route("/jobstatus/{id}", get(jobs::one))
        .route("/imports", post(imports::import))
        .route("/importstatus", get(imports::many))
        .route("/importstatus/{id}", get(imports::one))
        .route(
            "/source",
            get(sources::show_by_key).patch(sources::patch_by_key),
        )
        .route("/source/{source}", get(sources::show).patch(sources::patch))
        .route(
            "/source/{source}/full-import-in-progress",
            get(sources::session)
                .post(sources::open)
                .patch(sources::keep)
                .delete(sources::close),
        )
        .route("/source/{source}/{collection}", delete(vertices::retire))
        .route("/{collection}", patch(vertices::patch).get(vertices::list))
        .route("/{collection}/{id}/graph", get(vertices::graph));
    let v3 = Router::new()
        .route("/carSchema", get(schema::all).post(schema::put))
        .route("/carSchema/{key}", get(schema::one).delete(schema::remove))
        .route("/importSchema", get(schema::import_schema))
        .route("/extensionSchema", get(schema::extension_schema))
        .route("/imports/unchanged", post(compare::unchanged))
        .route("/imports/refused", get(imports::refused))
        .route("/imports/compare", post(compare::compare))
        .route("/source/{source}/rows", get(compare::rows))
        .route("/source/{source}/runs", get(runs::list).post(runs::keep))
        .route("/query", get(query::get).post(query::post))
        .route(
            "/DataRetentionPolicy",
            get(retention::show).post(retention::set),
        )
        .route("/openapi.json", get(openapi::document))
        .route("/clearDbToken", get(tenant::clear_token))
        .route("/clearDb", post(tenant::clear))
        .route("/clearDb/", post(tenant::clear))
        .route("/health/all", get(health::all));
    let guarded = Router::new()
        .nest("/api/car/v2", v2)
        .nest("/api/car/v3", v3)
        .route("/metrics", get(health::metrics))
        .layer(middleware::from_fn_with_state(
            Arc::clone(&state),
            authorise,
        ))
        .layer(middleware::from_fn_with_state(Arc::clone(&state), count));
    Router::new()
        .route("/api/car/v2/health", get(health::health))
        .route("/api/car/v3/health", get(health::health))
        .merge(guarded)
        .fallback(unknown_route)
        .method_not_allowed_fallback(unknown_method)
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyTimeoutLayer::new(BODY_PAUSE))
        .layer(cors(&state.limits.origins))
        .with_state(state)
}

/// Lets pages of these origins call; without any, browsers keep all other pages from it.
fn cors(origins: &[HeaderValue]) -> CorsLayer {
    if origins.is_empty() {
        return CorsLayer::new();
    }
    CorsLayer::new()
        .allow_origin(origins.to_vec())
        .allow_methods([Method::GET, Method::POST, Method::PATCH, Method::DELETE])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static(query::TIMEPOINT),
        ])
        .max_age(PREFLIGHT)
}

async fn authorise(State(state): App, mut request: Request, next: Next) -> Result<Response> {
    let from = request.extensions().get::<Peer>().map(|peer| peer.0);
    let role = state
        .access
        .check(&state.store, request.headers(), from)
        .await?;
    role.check_call(request.method(), request.uri().path())?;
    // Every line that the call writes into the log tells who called.
    let call = tracing::info_span!("call", by = crate::auth::caller(request.headers()));
    request.extensions_mut().insert(role);
    Ok(next.run(request).instrument(call).await)
}

async fn count(State(state): App, request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let call = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let response = next.run(request).await;
    let call = call.as_deref().unwrap_or("unknown");
    state
        .meter
        .call(method.as_str(), call, response.status().as_u16());
    response
}

/// Address that a call comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) std::net::IpAddr);

async fn unknown_route() -> Error {
    Error::not_found(
        "unknown_call",
        "there is no such call; base addresses are /api/car/v2 and /api/car/v3",
    )
}

async fn unknown_method() -> Error {
    Error::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "unknown_method",
        "this address does not take that method",
    )
}
