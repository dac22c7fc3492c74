//! Who may call: HTTP basic authentication, and no writes that another site's page started.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HOST, ORIGIN, WWW_AUTHENTICATE};
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
    if let Err(refused) = same_site(&request) {
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
/// another site makes; so it must say where a write comes from. Programs send neither header; they
/// need no proof, because a page of another site cannot send JSON unasked. The forms of the page
/// do.
fn same_site(request: &Request) -> Result<(), ApiError> {
    let (method, headers) = (request.method(), request.headers());
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let text = |name| {
        let value: Option<&HeaderValue> = headers.get(name);
        value.map(|v| v.to_str().unwrap_or(""))
    };
    let site = headers
        .get("sec-fetch-site")
        .map(|v| matches!(v.as_bytes(), b"same-origin" | b"none"));
    let origin = text(ORIGIN).map(|origin| {
        let host = origin.split_once("://").map(|(_, host)| host);
        host.is_some() && host == text(HOST)
    });
    let form = request.uri().path().starts_with("/ui/");
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
        let host = ("host", "127.0.0.1:8000");
        let own = ("origin", "http://127.0.0.1:8000");
        for (path, pairs, allowed) in [
            ("/assets/", vec![host], true),
            ("/ui/assets/", vec![host], false),
            ("/ui/assets/", vec![host, own], true),
            (
                "/ui/assets/",
                vec![host, ("sec-fetch-site", "same-origin")],
                true,
            ),
            (
                "/ui/assets/",
                vec![host, own, ("sec-fetch-site", "cross-site")],
                false,
            ),
            (
                "/assets/",
                vec![host, ("origin", "http://evil.example")],
                false,
            ),
            ("/assets/", vec![host, ("origin", "null")], false),
            (
                "/assets/",
                vec![host, ("sec-fetch-site", "cross-site")],
                false,
            ),
            (
                "/assets/",
                vec![host, ("sec-fetch-site", "same-site")],
                false,
            ),
        ] {
            let request = |method: Method| {
                let mut request = Request::new(axum::body::Body::empty());
                *request.method_mut() = method;
                *request.uri_mut() = path.parse().unwrap();
                *request.headers_mut() = headers(&pairs);
                request
            };
            let outcome = same_site(&request(Method::POST));
            assert_eq!(outcome.is_ok(), allowed, "{path} {pairs:?}");
            assert!(same_site(&request(Method::GET)).is_ok());
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
