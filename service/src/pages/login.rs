//! Logging in and out.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::Pages;
use super::form::{Fields, Form, Query};
use super::layout::{Page, alert, see, show};
use super::session::{Viewer, cookie, no_cookie};
use crate::api::Peer;
use crate::error::{Error, Result};

/// Shows the form.
pub(super) async fn ask(Query(query): Query) -> Response {
    show(None, query.map(|query| form(query.get("next"), "", None)))
}

fn form(next: &str, key: &str, problem: Option<&Error>) -> Page {
    let mut page = Page::new("Log in");
    if let Some(error) = problem {
        page = page.status(error.status());
        alert(&mut page.body, error);
    }
    page.body
        .raw("<form method=\"post\" action=\"/ui/login\" class=\"fields\">")
        .hidden("next", next)
        .raw("<p><label for=\"key\">API key</label>")
        .raw("<input id=\"key\" name=\"key\" autocomplete=\"username\" required value=\"")
        .text(key)
        .raw("\"></p><p><label for=\"password\">Password of the key</label>")
        .raw("<input id=\"password\" name=\"password\" type=\"password\" ")
        .raw("autocomplete=\"current-password\" required></p><p><button>Log in</button></p>")
        .raw("<p class=\"note\">The session lasts 8 hours, or until the service restarts.</p></form>");
    page
}

/// Takes the form and begins a session.
pub(super) async fn log_in(
    State(pages): State<Arc<Pages>>,
    peer: Option<Extension<Peer>>,
    headers: HeaderMap,
    Form(fields): Form,
) -> Response {
    let fields = match fields {
        Ok(fields) => fields,
        Err(error) => return show(None, Err(error)),
    };
    let key = fields.get("key");
    match check(&pages, peer, &fields).await {
        Err(error) => show(None, Ok(form(fields.get("next"), key, Some(&error)))),
        Ok(credentials) => {
            // The session that the browser may have had is over.
            pages.sessions.end(&headers);
            let secret = pages.sessions.begin(key, credentials);
            let mut response = see(next(fields.get("next")));
            if let Some(cookie) = cookie(&secret, &headers) {
                response.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            response
        }
    }
}

/// Checks key and password as those of a call are checked, and returns the header they make.
async fn check(
    pages: &Pages,
    peer: Option<Extension<Peer>>,
    fields: &Fields,
) -> Result<HeaderValue> {
    let text = format!("{}:{}", fields.get("key"), fields.get("password"));
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(text)))
        .map_err(|error| Error::internal("read the form", error))?;
    value.set_sensitive(true);
    let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.clone())]);
    let from = peer.map(|Extension(peer)| peer.0);
    pages
        .app
        .access
        .check(&pages.app.store, &headers, from)
        .await
        .map_err(|error| {
            if error.status() == StatusCode::UNAUTHORIZED {
                Error::new(
                    StatusCode::UNAUTHORIZED,
                    "unauthorized",
                    "key or password is wrong",
                )
            } else {
                error
            }
        })?;
    Ok(value)
}

/// Returns where to go after the log-in: only a page of ours.
fn next(wanted: &str) -> &str {
    let ours = wanted.starts_with("/ui/")
        && !wanted.starts_with("/ui/log")
        && wanted
            .bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if ours { wanted } else { "/ui/" }
}

/// Ends the session.
pub(super) async fn log_out(
    State(pages): State<Arc<Pages>>,
    Extension(viewer): Extension<Viewer>,
    headers: HeaderMap,
    Form(fields): Form,
) -> Response {
    match fields.and_then(|fields| super::check_token(&viewer, &fields)) {
        Err(error) => show(Some(&viewer), Err(error)),
        Ok(()) => {
            pages.sessions.end(&headers);
            let mut response = see("/ui/login");
            if let Some(cookie) = no_cookie(&headers) {
                response.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            response
        }
    }
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn a_log_in_leads_only_to_pages_of_ours() {
        for (wanted, to) in [
            ("/ui/query?a=b", "/ui/query?a=b"),
            ("", "/ui/"),
            ("//evil.example/ui/", "/ui/"),
            ("https://evil.example", "/ui/"),
            ("/ui/\r\nX: y", "/ui/"),
            ("/ui/\\evil", "/ui/"),
            ("/ui/logout", "/ui/"),
        ] {
            assert_eq!(next(wanted), to, "{wanted}");
        }
    }
}
