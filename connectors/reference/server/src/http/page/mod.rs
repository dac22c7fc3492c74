//! The page for people: look at the collections, change objects. Plain HTML made here, so that it
//! needs no script, no build step and nothing from elsewhere.

mod form;
mod html;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use axum::routing::{get, post};
use serde_json::Value;

use self::form::Form;
use self::html::Page;
use super::App;
use super::request::{self, Parameters};
use crate::error::ApiError;
use crate::model::Collection;
use crate::store::read;

/// Objects per page.
const ROWS: i64 = 50;
const STYLE: &str = include_str!("style.css");

/// Routes of the page.
pub(super) fn routes() -> Router<App> {
    Router::new()
        .route("/", get(home))
        .route("/ui/style.css", get(style))
        .route("/ui/{collection}/", get(list).post(create))
        .route("/ui/{collection}/new/", get(new))
        .route("/ui/{collection}/{pk}/", get(show).post(save))
        .route("/ui/{collection}/{pk}/delete/", post(delete))
}

fn page(status: StatusCode, page: &Page) -> Response {
    let mut response = Response::new(Body::from(page.finish()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With "no-referrer" browsers would hide where a form comes from, which writes must show.
        (REFERRER_POLICY, "same-origin"),
        (
            CONTENT_SECURITY_POLICY,
            "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; \
             frame-ancestors 'none'",
        ),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Answers a form with the address to look at next.
fn see(address: &str) -> Result<Response, ApiError> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SEE_OTHER;
    let address = HeaderValue::from_str(address)
        .map_err(|_| ApiError::bad("bad_address", "the address cannot be shown"))?;
    response.headers_mut().insert(LOCATION, address);
    Ok(response)
}

/// Shows a refusal as a page.
fn refused(error: &ApiError) -> Response {
    page(error.status, &html::refusal(error))
}

async fn style() -> Response {
    let mut response = Response::new(Body::from(STYLE));
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("text/css"));
    response
}

async fn home(State(app): State<App>) -> Response {
    let shown = async {
        let counts = app.store.counts().await?;
        Ok(html::home(&counts, &app.store.state().await?))
    };
    match shown.await {
        Ok(home) => page(StatusCode::OK, &home),
        Err(error) => refused(&error),
    }
}

async fn list(
    State(app): State<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
) -> Response {
    let shown = async {
        let collection = request::collection(&name)?;
        let parameters = Parameters::new(query.as_deref(), &["after", "pk"])?;
        if let Some(pk) = parameters.get("pk") {
            let pk = request::pk(collection, pk.trim())?;
            return see(&format!("/ui/{name}/{pk}/"));
        }
        let after = parameters.number("after", 0, i64::MAX)?.unwrap_or(0);
        let mut tx = app.store.readers.begin().await?;
        let next = read::next_page(&mut tx, collection, after, ROWS).await?;
        let chunk = read::chunk(&mut tx, collection, "", after, ROWS, None).await?;
        let list = chunk.map(|chunk| chunk.list).unwrap_or_default();
        let objects = read::parse(&format!("[{list}]"))?;
        let objects = objects.as_array().map(Vec::as_slice).unwrap_or_default();
        Ok(page(
            StatusCode::OK,
            &html::list(collection, objects, after, next),
        ))
    };
    shown.await.unwrap_or_else(|error| refused(&error))
}

async fn new(Path(name): Path<String>) -> Response {
    match request::collection(&name) {
        Ok(collection) => page(
            StatusCode::OK,
            &html::object(collection, None, &Form::default(), None),
        ),
        Err(error) => refused(&error),
    }
}

async fn show(State(app): State<App>, Path((name, pk)): Path<(String, String)>) -> Response {
    let shown = async {
        let collection = request::collection(&name)?;
        let pk = request::pk(collection, &pk)?;
        let object = app.store.object(collection, "", pk).await?;
        let form = Form::of(collection, &object);
        Ok(page(
            StatusCode::OK,
            &html::object(collection, Some(pk), &form, None),
        ))
    };
    shown.await.unwrap_or_else(|error| refused(&error))
}

/// Reads the form that the browser sent.
async fn sent(headers: &HeaderMap, body: Body) -> Result<Form, ApiError> {
    let kind = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    if !kind.is_some_and(|kind| kind.starts_with(b"application/x-www-form-urlencoded")) {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_a_form",
            "this address takes the form of the page",
        ));
    }
    Ok(Form::parse(&request::body(body).await?))
}

/// After a refusal the form comes back with what was typed and the reason.
fn again(collection: &Collection, pk: Option<i64>, form: &Form, error: &ApiError) -> Response {
    page(
        error.status,
        &html::object(collection, pk, form, Some(&error.message)),
    )
}

async fn create(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let made = async {
        let collection = request::collection(&name)?;
        let form = sent(&headers, body).await?;
        match app
            .store
            .create(collection, "", &form.json(collection))
            .await
        {
            Ok((pk, _)) => see(&format!("/ui/{name}/{pk}/")),
            Err(error) => Ok(again(collection, None, &form, &error)),
        }
    };
    made.await.unwrap_or_else(|error| refused(&error))
}

async fn save(
    State(app): State<App>,
    Path((name, pk)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let saved = async {
        let collection = request::collection(&name)?;
        let pk = request::pk(collection, &pk)?;
        let form = sent(&headers, body).await?;
        // Only what the person changed is written.
        let before = app.store.object(collection, "", pk).await?;
        let before = Form::of(collection, &before).json(collection);
        let mut changed = form.json(collection);
        if let Value::Object(changed) = &mut changed {
            changed.retain(|field, value| before.get(field) != Some(value));
        }
        match app.store.patch(collection, "", pk, &changed).await {
            Ok(_) => see(&format!("/ui/{name}/{pk}/")),
            Err(error) => Ok(again(collection, Some(pk), &form, &error)),
        }
    };
    saved.await.unwrap_or_else(|error| refused(&error))
}

async fn delete(State(app): State<App>, Path((name, pk)): Path<(String, String)>) -> Response {
    let deleted = async {
        let collection = request::collection(&name)?;
        let pk = request::pk(collection, &pk)?;
        app.store.remove(collection, pk).await?;
        see(&format!("/ui/{name}/"))
    };
    deleted.await.unwrap_or_else(|error| refused(&error))
}
