//! What a browser sends: parameters of the address and fields of a form.

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use percent_encoding::percent_decode_str;

use super::Pages;
use crate::error::{Error, Result};

/// Largest form, in bytes.
const LARGEST: usize = 256 << 10;

/// Fields by name.
#[derive(Debug, Default, Clone)]
pub(super) struct Fields(Vec<(String, String)>);

impl Fields {
    fn parse(text: &str) -> Result<Self> {
        text.split('&')
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                Ok((decode(name)?, decode(value)?))
            })
            .collect::<Result<_>>()
            .map(Self)
    }

    /// Returns the first field of this name; empty where there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.as_str())
            .unwrap_or_default()
    }
}

fn decode(text: &str) -> Result<String> {
    let text = text.replace('+', " ");
    let text = percent_decode_str(&text)
        .decode_utf8()
        .map_err(|_| Error::bad_request("invalid_query", "a field is not valid UTF-8"))?;
    if text.contains('\0') {
        return Err(Error::bad_request(
            "invalid_query",
            "a field contains a zero character",
        ));
    }
    Ok(text.into_owned())
}

/// The parameters of the address; their error is for the page to show.
pub(super) struct Query(pub(super) Result<Fields>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self(Fields::parse(parts.uri.query().unwrap_or_default())))
    }
}

/// A form that was sent from a page of ours; its error is for the page to show.
pub(super) struct Form(pub(super) Result<Fields>);

impl FromRequest<Arc<Pages>> for Form {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: Request, _: &Arc<Pages>) -> Result<Self, Self::Rejection> {
        Ok(Self(read(request).await))
    }
}

async fn read(request: Request) -> Result<Fields> {
    check_origin(request.headers(), request.uri())?;
    let kind = request.headers().get(header::CONTENT_TYPE);
    if !kind.is_some_and(|kind| {
        kind.as_bytes()
            .starts_with(b"application/x-www-form-urlencoded")
    }) {
        return Err(Error::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "not_a_form",
            "this address takes the form of its page",
        ));
    }
    let bytes = axum::body::to_bytes(request.into_body(), LARGEST)
        .await
        .map_err(|_| {
            Error::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                format!("the form is larger than {LARGEST} bytes or did not arrive whole"),
            )
        })?;
    let text = std::str::from_utf8(&bytes)
        .map_err(|_| Error::bad_request("invalid_query", "the form is not valid UTF-8"))?;
    Fields::parse(text)
}

/// Refuses forms that another site sends. Browsers say where a form comes from.
fn check_origin(headers: &HeaderMap, uri: &Uri) -> Result<()> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let foreign_site = headers.contains_key("sec-fetch-site")
        && !matches!(text("sec-fetch-site"), Some("same-origin"));
    let host = text("host").or_else(|| uri.authority().map(|authority| authority.as_str()));
    let foreign_origin = headers.contains_key("origin")
        && text("origin")
            .and_then(|origin| origin.split_once("://"))
            .map(|(_, origin)| origin)
            != host;
    if foreign_site || foreign_origin {
        return Err(Error::new(
            StatusCode::FORBIDDEN,
            "foreign_form",
            "the form comes from another site; send it from the pages of this service",
        ));
    }
    Ok(())
}
