//! The HTTP side: routes, who may call them, and how answers stream.

mod access;
mod collections;
mod delta;
mod page;
mod request;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;
use axum::routing::get;
use axum::{Json, middleware};
use serde_json::{Value, json};

pub(crate) use self::access::Credentials;
use crate::error::ApiError;
use crate::store::Store;

/// What every handler needs.
#[derive(Clone)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) credentials: Arc<Credentials>,
}

/// All routes of the server.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/model_state_id/", get(model_state_id))
        .route("/delta/", get(delta::get))
        .route(
            "/{collection}/",
            get(collections::list).post(collections::create),
        )
        .route(
            "/{collection}/{pk}/",
            get(collections::read)
                .put(collections::replace)
                .patch(collections::patch)
                .delete(collections::delete),
        )
        .route(
            "/{collection}",
            axum::routing::any(collections::add_slash_to_list),
        )
        .route(
            "/{collection}/{pk}",
            axum::routing::any(collections::add_slash_to_object),
        )
        .merge(page::routes())
        .fallback(no_such_address)
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn_with_state(app.clone(), access::check))
        .with_state(app)
}

async fn model_state_id(State(app): State<App>) -> Result<Json<Value>, ApiError> {
    Ok(Json(json!({"model_state_id": app.store.state().await?})))
}

async fn no_such_address(uri: Uri) -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        "no_such_address",
        format!(
            "there is nothing at {}",
            crate::store::draft::shorten(uri.path())
        ),
    )
}

async fn wrong_method(method: axum::http::Method, uri: Uri) -> ApiError {
    ApiError::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong_method",
        format!(
            "{} does not take {}",
            crate::store::draft::shorten(uri.path()),
            crate::store::draft::shorten(method.as_str())
        ),
    )
}

/// An answer with JSON text that is ready.
fn json_text(status: StatusCode, text: String) -> Response {
    let mut response = Response::new(axum::body::Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(
        axum::http::header::CONTENT_TYPE,
        axum::http::HeaderValue::from_static("application/json"),
    );
    response
}
