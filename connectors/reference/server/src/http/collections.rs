//! The collections: lists, pages, single objects, and changes to them.

use axum::body::Body;
use axum::extract::{Path, RawQuery, State};
use axum::http::header::{LINK, LOCATION};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use axum::response::Response;
use serde_json::Value;

use super::request::{self, MAX_LIMIT, Parameters};
use super::{App, json_text, stream};
use crate::error::ApiError;
use crate::store::read::{self, CHUNK, Wanted};

/// Most pks in one `?pk=`.
const MAX_PKS: usize = 2000;

/// `GET /X/`: everything, a page (`limit`, `after`), or chosen objects (`pk`).
pub(super) async fn list(
    State(app): State<App>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let collection = request::collection(&name)?;
    let base = request::base(&headers)?;
    let parameters = Parameters::new(query.as_deref(), &["limit", "after", "pk"])?;
    let after = parameters.number("after", 0, i64::MAX)?;
    let limit = parameters.number("limit", 1, MAX_LIMIT)?;
    let wanted = match parameters.get("pk") {
        Some(_) if after.is_some() || limit.is_some() => {
            return Err(ApiError::bad(
                "bad_parameter",
                "`pk` cannot be combined with `limit` or `after`",
            ));
        }
        Some(pks) => Wanted::These(pk_list(pks)?),
        None => Wanted::Range {
            after: after.unwrap_or(0),
            limit: limit.unwrap_or(i64::MAX),
        },
    };
    // One read transaction for the whole answer: what it holds is the state at one moment.
    let mut tx = app.store.readers.begin().await?;
    let next = match (&wanted, limit) {
        (Wanted::Range { after, .. }, Some(limit)) => {
            read::next_page(&mut tx, collection, *after, limit).await?
        }
        _ => None,
    };
    let link = next
        .zip(limit)
        .map(|(last, limit)| format!("<{base}/{name}/?limit={limit}&after={last}>; rel=\"next\""));
    let mut response = stream::answer(|sink| async move {
        let (mut after, mut left, these) = match wanted {
            Wanted::Range { after, limit } => (after, limit, None),
            Wanted::These(pks) => (0, i64::MAX, Some(pks)),
        };
        let mut before = "[";
        while left > 0 {
            let size = left.min(CHUNK);
            let chunk =
                read::chunk(&mut tx, collection, &base, after, size, these.as_deref()).await?;
            let Some(chunk) = chunk else { break };
            sink.send(before.to_owned() + &chunk.list).await?;
            before = ",";
            after = chunk.last;
            left -= size;
        }
        let end = if before == "[" { "[]" } else { "]" };
        Ok(sink.send(end).await?)
    });
    if let Some(link) = link {
        response.headers_mut().insert(LINK, header(&link)?);
    }
    Ok(response)
}

fn header(text: &str) -> Result<HeaderValue, ApiError> {
    HeaderValue::from_str(text)
        .map_err(|_| ApiError::bad("bad_host", "the `Host` header cannot be used in a link"))
}

fn pk_list(text: &str) -> Result<String, ApiError> {
    let pks: Option<Vec<u64>> = text
        .split(',')
        .filter(|part| !part.is_empty())
        .map(|part| part.trim().parse().ok())
        .collect();
    match pks {
        Some(pks) if pks.len() <= MAX_PKS => Ok(Value::from(pks).to_string()),
        _ => Err(ApiError::bad(
            "bad_parameter",
            format!("`pk` takes at most {MAX_PKS} whole numbers with commas between them"),
        )),
    }
}

/// `GET /X/<pk>/`.
pub(super) async fn read(
    State(app): State<App>,
    Path((name, pk)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let collection = request::collection(&name)?;
    let base = request::base(&headers)?;
    let pk = request::pk(collection, &pk)?;
    let mut connection = app.store.readers.acquire().await?;
    let text = read::one(&mut connection, collection, &base, pk)
        .await?
        .ok_or_else(|| ApiError::no_object(collection.name, pk))?;
    Ok(json_text(StatusCode::OK, text))
}

/// `POST /X/`.
pub(super) async fn create(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let collection = request::collection(&name)?;
    let base = request::base(&headers)?;
    let body = request::json(&headers, body).await?;
    let (pk, text) = app.store.create(collection, &base, &body).await?;
    created(&base, collection.name, pk, text)
}

fn created(base: &str, collection: &str, pk: i64, text: String) -> Result<Response, ApiError> {
    let mut response = json_text(StatusCode::CREATED, text);
    let location = header(&format!("{base}/{collection}/{pk}/"))?;
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}

/// `PUT /X/<pk>/`: replaces the object, or adds it under that pk.
pub(super) async fn replace(
    State(app): State<App>,
    Path((name, pk)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let collection = request::collection(&name)?;
    let base = request::base(&headers)?;
    let pk = request::pk(collection, &pk)?;
    let body = request::json(&headers, body).await?;
    let (added, text) = app.store.replace(collection, &base, pk, &body).await?;
    if added {
        return created(&base, collection.name, pk, text);
    }
    Ok(json_text(StatusCode::OK, text))
}

/// `PATCH /X/<pk>/`: sets the given fields.
pub(super) async fn patch(
    State(app): State<App>,
    Path((name, pk)): Path<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let collection = request::collection(&name)?;
    let base = request::base(&headers)?;
    let pk = request::pk(collection, &pk)?;
    let body = request::json(&headers, body).await?;
    let text = app.store.patch(collection, &base, pk, &body).await?;
    Ok(json_text(StatusCode::OK, text))
}

/// `DELETE /X/<pk>/`.
pub(super) async fn delete(
    State(app): State<App>,
    Path((name, pk)): Path<(String, String)>,
) -> Result<StatusCode, ApiError> {
    let collection = request::collection(&name)?;
    let pk = request::pk(collection, &pk)?;
    app.store.remove(collection, pk).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `/X` without the slash at the end.
pub(super) async fn add_slash_to_list(
    Path(name): Path<String>,
    method: Method,
    uri: Uri,
) -> Result<Response, ApiError> {
    if !matches!(name.as_str(), "model_state_id" | "delta") {
        request::collection(&name)?;
    }
    add_slash(&method, &uri)
}

/// `/X/<pk>` without the slash at the end.
pub(super) async fn add_slash_to_object(
    Path((name, pk)): Path<(String, String)>,
    method: Method,
    uri: Uri,
) -> Result<Response, ApiError> {
    request::pk(request::collection(&name)?, &pk)?;
    add_slash(&method, &uri)
}

/// Reads are redirected as other servers do it (301); 308 keeps the method and body of a write.
fn add_slash(method: &Method, uri: &Uri) -> Result<Response, ApiError> {
    let query = uri.query().map(|q| format!("?{q}")).unwrap_or_default();
    let location = header(&format!("{}/{query}", uri.path()))?;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = match *method {
        Method::GET | Method::HEAD => StatusCode::MOVED_PERMANENTLY,
        _ => StatusCode::PERMANENT_REDIRECT,
    };
    response.headers_mut().insert(LOCATION, location);
    Ok(response)
}
