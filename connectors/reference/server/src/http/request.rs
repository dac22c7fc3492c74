//! Reading what a client sent: the host for links, query parameters, pks, JSON bodies.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::{CONTENT_TYPE, HOST};
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::error::ApiError;
use crate::model::Collection;
use crate::store::draft::shorten;

/// Largest request body in bytes.
const MAX_BODY: usize = 1024 * 1024;
/// Longest wait for a request body.
const BODY: Duration = Duration::from_secs(30);
/// Largest page.
pub(super) const MAX_LIMIT: i64 = 10_000;

/// Start of every link: `http://` and the host that the client asked.
pub(super) fn base(headers: &HeaderMap) -> Result<String, ApiError> {
    let host = headers
        .get(HOST)
        .and_then(|h| h.to_str().ok())
        .unwrap_or("");
    let plain = |b: u8| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b);
    if host.is_empty() || host.len() > 260 || !host.bytes().all(plain) {
        return Err(ApiError::bad(
            "bad_host",
            "the request needs a `Host` header with a host name and port, since links are built \
             from it",
        ));
    }
    Ok(format!("http://{host}"))
}

/// Finds the collection of an address.
pub(super) fn collection(name: &str) -> Result<&'static Collection, ApiError> {
    crate::model::collection(name).ok_or_else(|| {
        let names: Vec<&str> = crate::model::COLLECTIONS.iter().map(|c| c.name).collect();
        ApiError::new(
            StatusCode::NOT_FOUND,
            "no_such_collection",
            format!(
                "there is no collection `{}`; there are {}",
                shorten(name),
                names.join(", ")
            ),
        )
    })
}

/// Reads the pk of an address.
pub(super) fn pk(collection: &Collection, text: &str) -> Result<i64, ApiError> {
    whole(text).filter(|pk| *pk > 0).ok_or_else(|| {
        ApiError::new(
            StatusCode::NOT_FOUND,
            "no_such_object",
            format!(
                "{} has no object `{}`; a pk is a whole number",
                collection.name,
                shorten(text)
            ),
        )
    })
}

fn whole(text: &str) -> Option<i64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

/// Query parameters, each known and given once.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Parses the query; refuses what is not in `known`.
    pub(super) fn new(query: Option<&str>, known: &[&str]) -> Result<Self, ApiError> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(query.unwrap_or("").as_bytes()) {
            if !known.contains(&name.as_ref()) {
                return Err(ApiError::bad(
                    "unknown_parameter",
                    format!(
                        "there is no parameter `{}` here; there are {}",
                        shorten(&name),
                        known.join(", ")
                    ),
                ));
            }
            if pairs.iter().any(|(other, _)| *other == name) {
                return Err(ApiError::bad(
                    "repeated_parameter",
                    format!("`{name}` is given twice"),
                ));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(pairs))
    }

    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let pair = self.0.iter().find(|(other, _)| other == name);
        pair.map(|(_, value)| value.as_str())
    }

    /// A whole number between two bounds.
    pub(super) fn number(&self, name: &str, min: i64, max: i64) -> Result<Option<i64>, ApiError> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        match whole(text) {
            Some(number) if (min..=max).contains(&number) => Ok(Some(number)),
            _ => Err(ApiError::bad(
                "bad_parameter",
                format!("`{name}` must be a whole number from {min} to {max}"),
            )),
        }
    }
}

/// Reads a body of at most [`MAX_BODY`] bytes.
pub(super) async fn body(body: Body) -> Result<Bytes, ApiError> {
    let read = axum::body::to_bytes(body, MAX_BODY);
    match tokio::time::timeout(BODY, read).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let inner: &dyn std::error::Error = &error;
            let too_long = std::iter::successors(Some(inner), |e| e.source())
                .any(|e| e.to_string().contains("length limit"));
            if too_long {
                Err(ApiError::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "body_too_large",
                    format!("a body has at most {MAX_BODY} bytes"),
                ))
            } else {
                Err(ApiError::bad("bad_body", "the body ended early"))
            }
        }
        Err(_) => Err(ApiError::new(
            StatusCode::REQUEST_TIMEOUT,
            "slow_body",
            format!("the body did not come within {} s", BODY.as_secs()),
        )),
    }
}

/// Reads a JSON body.
pub(super) async fn json(headers: &HeaderMap, content: Body) -> Result<Value, ApiError> {
    let kind = headers.get(CONTENT_TYPE).and_then(|t| t.to_str().ok());
    let kind = kind.unwrap_or("").split(';').next().unwrap_or("").trim();
    if !kind.eq_ignore_ascii_case("application/json") {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_json",
            "send the object as `Content-Type: application/json`",
        ));
    }
    serde_json::from_slice(&body(content).await?)
        .map_err(|e| ApiError::bad("bad_json", format!("the body is not JSON: {e}")))
}
