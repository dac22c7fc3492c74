//! What all pages share: head, navigation, errors, and the headers that keep a browser safe.

use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, REFERRER_POLICY, RETRY_AFTER,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;

use super::html::Html;
use super::session::Viewer;
use crate::auth::Role;
use crate::error::{Error, Result, chain};

const POLICY: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// The pages that the navigation leads to.
const PLACES: [(&str, &str); 5] = [
    ("/ui/", "Overview"),
    ("/ui/risk", "Riskiest assets"),
    ("/ui/imports", "Imports"),
    ("/ui/query", "Query"),
    (KEYS, "Keys"),
];

/// The page that only admins have.
const KEYS: &str = "/ui/keys";

/// A page without its frame.
#[derive(Debug)]
pub(super) struct Page {
    title: String,
    status: StatusCode,
    place: &'static str,
    pub(super) body: Html,
}

impl Page {
    /// Begins a page with its heading.
    pub(super) fn new(title: &str) -> Self {
        let mut body = Html::default();
        body.raw("<h1>").text(title).raw("</h1>");
        Self {
            title: title.to_owned(),
            status: StatusCode::OK,
            place: "",
            body,
        }
    }

    /// Says which link of the navigation leads here.
    pub(super) fn at(mut self, place: &'static str) -> Self {
        self.place = place;
        self
    }

    /// Sets the status of the answer.
    pub(super) fn status(mut self, status: StatusCode) -> Self {
        self.status = status;
        self
    }

    /// Puts the frame around.
    pub(super) fn answer(self, viewer: Option<&Viewer>) -> Response {
        let mut html = Html::default();
        html.raw(
            "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta \
             name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>",
        )
        .text(&self.title)
        .raw(
            " - car-service</title><link rel=\"stylesheet\" href=\"/ui/style.css\"></head><body>\
             <a class=\"skip\" href=\"#main\">Skip to content</a><header>",
        );
        if let Some(viewer) = viewer {
            html.raw("<nav aria-label=\"Main\"><ul>");
            let admin = matches!(viewer.role, Role::Admin);
            for (address, name) in PLACES.into_iter().filter(|place| admin || place.0 != KEYS) {
                html.raw("<li><a href=\"").raw(address);
                html.raw(if address == self.place {
                    "\" aria-current=\"page\">"
                } else {
                    "\">"
                });
                html.raw(name).raw("</a></li>");
            }
            html.raw("</ul></nav><form method=\"post\" action=\"/ui/logout\" class=\"who\">")
                .hidden("token", &viewer.session.form_token)
                .raw("<span>")
                .text(&viewer.session.key)
                .raw(" (")
                .raw(viewer.role.name())
                .raw(")</span> <button>Log out</button></form>");
        } else {
            html.raw("<p class=\"brand\">car-service</p>");
        }
        html.raw("</header><main id=\"main\">")
            .add(&self.body)
            .raw("</main></body></html>\n");
        let mut response = plain(self.status, html.into_string(), "text/html; charset=utf-8");
        response
            .headers_mut()
            .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// Answers with a page, or with its error as a page.
pub(super) fn show(viewer: Option<&Viewer>, page: Result<Page>) -> Response {
    match page {
        Ok(page) => page.answer(viewer),
        Err(error) => {
            let waits = matches!(
                error.status(),
                StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS
            );
            let mut response = refusal(&error).answer(viewer);
            if waits {
                response
                    .headers_mut()
                    .insert(RETRY_AFTER, HeaderValue::from_static("5"));
            }
            response
        }
    }
}

fn refusal(error: &Error) -> Page {
    let mut page = Page::new("That did not work").status(error.status());
    alert(&mut page.body, error);
    page.body
        .raw("<p><a href=\"/ui/\">Go to the overview</a></p>");
    page
}

/// Shows an error inside a page; causes that are not for the viewer go to the log.
pub(super) fn alert(html: &mut Html, error: &Error) {
    if let Some(source) = std::error::Error::source(error) {
        tracing::error!(code = error.code(), error = %chain(source), "{}", error.message());
    }
    html.raw("<p role=\"alert\" class=\"alert\">")
        .text(error.message())
        .raw(" <code>")
        .raw(error.code())
        .raw("</code></p>");
}

/// Answers with an address to look at next.
pub(super) fn see(address: &str) -> Response {
    let mut response = plain(StatusCode::SEE_OTHER, String::new(), "text/plain");
    // Addresses are made by `html::address` or checked by `login`, so this one fits a header.
    let address =
        HeaderValue::from_str(address).unwrap_or_else(|_| HeaderValue::from_static("/ui/"));
    response.headers_mut().insert(LOCATION, address);
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Answers with text and the headers that all answers have.
pub(super) fn plain(status: StatusCode, body: impl Into<Body>, kind: &'static str) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers: [(HeaderName, &'static str); 4] = [
        (CONTENT_TYPE, kind),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // With "no-referrer" browsers would hide where a form comes from.
        (REFERRER_POLICY, "same-origin"),
        (CONTENT_SECURITY_POLICY, POLICY),
    ];
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}
