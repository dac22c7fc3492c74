//! Asking the graph with GraphQL, in a form.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::Pages;
use super::form::{Fields, Form};
use super::html::shorten;
use super::layout::{Page, alert, show};
use super::session::Viewer;
use crate::error::{Error, Result};
use crate::{graphql, time};

/// Letters of an answer that the page shows.
const LETTERS: usize = 200_000;

const EXAMPLE: &str = "{
  asset(limit: 10, order_by: {name: asc}) {
    id
    name
    risk
    vulnerabilities(limit: 5) {
      vulnerability { name base_score }
    }
  }
}
";

pub(super) async fn ask(Extension(viewer): Extension<Viewer>) -> Response {
    show(Some(&viewer), Ok(form(&viewer, EXAMPLE, "")))
}

fn form(viewer: &Viewer, query: &str, at: &str) -> Page {
    let mut page = Page::new("Query").at("/ui/query");
    page.body
        .raw("<form method=\"post\" action=\"/ui/query\" class=\"wide\">")
        .hidden("token", &viewer.session.form_token)
        .raw("<p><label for=\"query\">GraphQL</label>")
        // The first line end after the tag is not content.
        .raw("<textarea id=\"query\" name=\"query\" rows=\"14\" spellcheck=\"false\" required>\n")
        .text(query)
        .raw("</textarea></p><p><label for=\"at\">As of, in UTC (empty for now)</label>")
        .raw("<input id=\"at\" name=\"at\" placeholder=\"2026-01-31T12:00:00Z\" value=\"")
        .text(at)
        .raw("\"></p><p><button>Ask</button></p></form>");
    page
}

pub(super) async fn answer(
    State(pages): State<Arc<Pages>>,
    Extension(viewer): Extension<Viewer>,
    Form(fields): Form,
) -> Response {
    let fields = match fields {
        Ok(fields) => fields,
        Err(error) => return show(Some(&viewer), Err(error)),
    };
    if let Err(error) = super::check_token(&viewer, &fields) {
        return show(Some(&viewer), Err(error));
    }
    let (query, at) = (fields.get("query"), fields.get("at"));
    let mut page = form(&viewer, query, at);
    match execute(&pages, &viewer, &fields).await {
        Err(error) => {
            page = page.status(error.status());
            alert(&mut page.body, &error);
        }
        Ok(text) => {
            page.body
                .raw("<h2>Answer</h2><pre tabindex=\"0\" aria-label=\"Answer\">")
                .text(&shorten(&text, LETTERS))
                .raw("</pre>");
            if text.len() > LETTERS {
                page.body.raw("<p class=\"note\">The answer is longer than the page shows; narrow it with <code>where</code> or <code>limit</code>.</p>");
            }
        }
    }
    show(Some(&viewer), Ok(page))
}

async fn execute(pages: &Pages, viewer: &Viewer, fields: &Fields) -> Result<String> {
    let at = match fields.get("at").trim() {
        "" => None,
        text => Some(time::parse(text).ok_or_else(|| {
            Error::bad_request(
                "invalid_timepoint",
                "`As of` must be a time in UTC such as 2026-01-31T12:00:00Z",
            )
        })?),
    };
    let request = async_graphql::Request::new(fields.get("query")).data(viewer.role.clone());
    let answer = graphql::execute(&pages.app, request, at).await?;
    serde_json::to_string_pretty(&answer)
        .map_err(|error| Error::internal("write the answer", error))
}
