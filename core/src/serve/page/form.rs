//! What a browser sends: the fields of a form.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode};
use subtle::ConstantTimeEq as _;

use crate::serve::error::ApiError;

/// Fields by name, not yet trusted.
pub(super) struct Fields(Vec<(String, String)>);

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = axum::extract::rejection::BytesRejection;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        let body = Bytes::from_request(request, state).await?;
        let fields = url::form_urlencoded::parse(&body).into_owned();
        Ok(Self(fields.collect()))
    }
}

impl Fields {
    /// Returns a field; empty where there is none.
    pub(super) fn get(&self, name: &str) -> &str {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str()).unwrap_or_default()
    }

    /// Refuses a form that another site sends. Browsers say where a form comes from.
    pub(super) fn checked(self, headers: &HeaderMap) -> Result<Self, ApiError> {
        let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let foreign_site = text("sec-fetch-site").is_some_and(|site| site != "same-origin");
        let origin = text("origin").map(|origin| origin.split_once("://").map(|(_, host)| host));
        if foreign_site || origin.is_some_and(|host| host != text("host")) {
            return Err(foreign());
        }
        Ok(self)
    }

    /// Refuses a form that is not of this session.
    pub(super) fn of(self, headers: &HeaderMap, token: &str) -> Result<Self, ApiError> {
        let fields = self.checked(headers)?;
        let same: bool = fields
            .get("token")
            .as_bytes()
            .ct_eq(token.as_bytes())
            .into();
        if same { Ok(fields) } else { Err(foreign()) }
    }
}

fn foreign() -> ApiError {
    ApiError::new(
        StatusCode::FORBIDDEN,
        "foreign_form",
        "the form is not of this session; load its page again",
    )
}
