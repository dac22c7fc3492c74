//! Who may call: HTTP basic authentication, and no writes that another site's page started.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, ORIGIN, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::App;
use crate::error::ApiError;

/// The accepted name and password, kept as one hash: comparing takes the same time whatever is
/// wrong, and nothing here can print the password.
pub(crate) struct Credentials([u8; 32]);

impl Credentials {
    pub(crate) fn new(username: &str, password: &str) -> Self {
        Self(digest(format!("{username}:{password}").as_bytes()))
    }

    fn accepts(&self, headers: &HeaderMap) -> bool {
        let given = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
            .and_then(|(_, coded)| {
                base64::engine::general_purpose::STANDARD
                    .decode(coded.trim())
                    .ok()
            });
        given.is_some_and(|given| bool::from(digest(&given).ct_eq(&self.0)))
    }
}

fn digest(bytes: &[u8]) -> [u8; 32] {
    Sha256::digest(bytes).into()
}

/// Longest wait for the head of an answer; a body has its own limits.
const ANSWER: Duration = Duration::from_secs(60);

/// Lets a request through when it carries the credentials and, if it writes, did not start on
/// another site.
pub(super) async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    if !app.credentials.accepts(request.headers()) {
        let mut response = ApiError::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "send the server's user name and password by HTTP basic authentication",
        )
        .into_response();
        response.headers_mut().insert(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Basic realm=\"reference-server\", charset=\"UTF-8\""),
        );
        return response;
    }
    if let Err(refused) = same_site(request.method(), request.headers()) {
        return refused.into_response();
    }
    let path = percent_encoding::percent_decode_str(request.uri().path());
    if path.decode_utf8().is_err() {
        return ApiError::bad("bad_address", "the address is not UTF-8").into_response();
    }
    match tokio::time::timeout(ANSWER, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::busy().into_response(),
    }
}

/// A browser sends the stored credentials with every request, also with those that a page of
/// another site makes; so it must say where a write comes from. Programs send neither header, and
/// no form, so they need no proof.
fn same_site(method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let text = |name| {
        headers
            .get(name)
            .map(|v: &HeaderValue| v.to_str().unwrap_or(""))
    };
    let site = headers
        .get("sec-fetch-site")
        .map(|v| matches!(v.as_bytes(), b"same-origin" | b"none"));
    let origin = text(ORIGIN).map(|origin| {
        let host = origin.split_once("://").map(|(_, host)| host);
        host.is_some() && host == text(HOST)
    });
    let form = text(CONTENT_TYPE).is_some_and(|t| t.starts_with("application/x-www-form"));
    if site == Some(false) || origin == Some(false) || (form && site.or(origin).is_none()) {
        return Err(ApiError::new(
            StatusCode::FORBIDDEN,
            "foreign_origin",
            "this write was started by a page of another site, or by a form that does not say \
             where it comes from",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(n, v)| (n.parse().unwrap(), v.parse().unwrap()))
            .collect()
    }

    #[test]
    fn writes_from_other_sites_are_refused() {
        let form = ("content-type", "application/x-www-form-urlencoded");
        let host = ("host", "127.0.0.1:8000");
        for (pairs, allowed) in [
            (vec![host], true),
            (vec![host, form], false),
            (vec![host, form, ("origin", "http://127.0.0.1:8000")], true),
            (vec![host, form, ("sec-fetch-site", "same-origin")], true),
            (vec![host, ("origin", "http://evil.example")], false),
            (vec![host, ("origin", "null")], false),
            (vec![host, ("sec-fetch-site", "cross-site")], false),
            (vec![host, ("sec-fetch-site", "same-site")], false),
        ] {
            let outcome = same_site(&Method::POST, &headers(&pairs));
            assert_eq!(outcome.is_ok(), allowed, "{pairs:?}");
            assert!(same_site(&Method::GET, &headers(&pairs)).is_ok());
        }
    }

    #[test]
    fn only_the_exact_credentials_are_accepted() {
        let credentials = Credentials::new("user", "pass:word");
        let basic = |text: &str| {
            let coded = base64::engine::general_purpose::STANDARD.encode(text);
            headers(&[("authorization", &format!("Basic {coded}"))])
        };
        assert!(credentials.accepts(&basic("user:pass:word")));
        for wrong in ["user:pass", "user:", ":pass:word", "", "user:pass:word "] {
            assert!(!credentials.accepts(&basic(wrong)), "{wrong}");
        }
        assert!(!credentials.accepts(&HeaderMap::new()));
        assert!(!credentials.accepts(&headers(&[("authorization", "Basic %%%")])));
        assert!(!credentials.accepts(&headers(&[("authorization", "Bearer x")])));
    }
}
