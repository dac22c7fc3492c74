//! Reading requests, with our own errors instead of the framework's texts.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use bytes::Bytes;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::state::AppState;

/// Segments of the path, decoded.
pub(crate) struct Segments<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Segments<T>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self> {
        let Path(value) =
            Path::<T>::from_request_parts(parts, state)
                .await
                .map_err(|error: PathRejection| {
                    Error::bad_request("invalid_path", error.body_text())
                })?;
        Ok(Self(value))
    }
}

/// Parameters of the address in their order.
pub(crate) struct Parameters(Vec<Parameter>);

struct Parameter {
    name: String,
    value: String,
    /// The value with `+` standing for itself.
    literal: String,
}

impl Parameters {
    /// Returns the first value of a parameter; `+` stands for a space, as forms write it.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.iter()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// Returns all values of a parameter whose `+` stands for itself: lists of ids, which
    /// existing clients paste into the address as they are.
    pub(crate) fn all_literal<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |parameter| parameter.name == name)
            .map(|parameter| parameter.literal.as_str())
    }

    /// Returns all parameters.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|parameter| (parameter.name.as_str(), parameter.value.as_str()))
    }

    /// Returns a count, `standard` unless given, from 1 to `most`.
    pub(crate) fn number(&self, name: &str, standard: usize, most: usize) -> Result<usize> {
        let Some(text) = self.get(name) else {
            return Ok(standard);
        };
        text.parse()
            .ok()
            .filter(|number| (1..=most).contains(number))
            .ok_or_else(|| {
                Error::bad_request(
                    "invalid_parameter",
                    format!("`{name}` must be a whole number from 1 to {most}"),
                )
            })
    }

    /// Returns the values of a list with commas, `ids=a,b`.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.iter()
            .filter(|(known, _)| *known == name)
            .flat_map(|(_, value)| value.split(','))
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self> {
        parts
            .uri
            .query()
            .unwrap_or_default()
            .split('&')
            .filter(|part| !part.is_empty())
            .map(|part| {
                let (name, value) = part.split_once('=').unwrap_or((part, ""));
                Ok(Parameter {
                    name: decode(name)?,
                    value: decode(&value.replace('+', " "))?,
                    literal: decode(value)?,
                })
            })
            .collect::<Result<_>>()
            .map(Self)
    }
}

fn decode(text: &str) -> Result<String> {
    let text = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| Error::bad_request("invalid_query", "a parameter is not valid UTF-8"))?;
    if text.contains('\0') {
        return Err(Error::bad_request(
            "invalid_query",
            "a parameter contains a zero character",
        ));
    }
    Ok(text.into_owned())
}

/// The body, up to the limit of the service.
pub(crate) struct Body(pub(crate) Bytes);

impl FromRequest<Arc<AppState>> for Body {
    type Rejection = Error;

    async fn from_request(request: Request, state: &Arc<AppState>) -> Result<Self> {
        let limit = state.limits.body;
        let too_large = || {
            Error::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "body_too_large",
                format!("the body is larger than {limit} bytes; send it in several imports"),
            )
        };
        let length = request
            .headers()
            .get(axum::http::header::CONTENT_LENGTH)
            .and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        axum::body::to_bytes(request.into_body(), limit)
            .await
            .map(Self)
            .map_err(|error| {
                let text = crate::error::chain(&error);
                if text.contains("length limit") {
                    too_large()
                } else {
                    tracing::debug!(error = %text, "a body was not received whole");
                    Error::new(
                        StatusCode::REQUEST_TIMEOUT,
                        "body_incomplete",
                        "the body did not arrive whole or in time; send it again",
                    )
                }
            })
    }
}

/// A JSON body.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned> FromRequest<Arc<AppState>> for JsonBody<T> {
    type Rejection = Error;

    async fn from_request(request: Request, state: &Arc<AppState>) -> Result<Self> {
        let Body(bytes) = Body::from_request(request, state).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            Error::bad_request("invalid_body", format!("the body cannot be read: {error}"))
        })
    }
}
