//! The pages about sagas: a list, and each with its steps.

use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;

use super::form::Fields;
use super::html::{Html, Page, see};
use super::views::time;
use super::{Shared, Viewer, refusal, show, unknown};
use crate::saga::{SagaReport, Status, StepReport, StepStatus, Summary};
use crate::serve::App;
use crate::serve::api::invalid_query;
use crate::serve::error::ApiError;
use crate::serve::sagas;

/// Sagas on a page.
const MOST: u32 = 200;

/// Returns the routes, which are for viewers who are logged in.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/ui/sagas", get(list))
        .route("/ui/sagas/{id}", get(one))
        .route("/ui/sagas/{id}/sure/abandon", get(ask_again))
        .route("/ui/sagas/{id}/do/{action}", post(change))
}

#[derive(Deserialize)]
struct Choice {
    status: Option<String>,
}

async fn list(
    State(app): Shared,
    viewer: axum::Extension<Viewer>,
    query: Result<Query<Choice>, QueryRejection>,
) -> Response {
    let page = async {
        let Query(choice) = query.map_err(|error| invalid_query(&error))?;
        let status = choice.status.as_deref().map(sagas::status).transpose()?;
        let list = app.its_sagas()?.list(status, Some(MOST)).await?;
        Ok(list_page(&app.program.0, status, &list))
    }
    .await;
    show(&app, &viewer, page)
}

async fn one(app: Shared, viewer: axum::Extension<Viewer>, id: Path<String>) -> Response {
    of_one(&app, &viewer, &id, one_page).await
}

async fn ask_again(app: Shared, viewer: axum::Extension<Viewer>, id: Path<String>) -> Response {
    of_one(&app, &viewer, &id, sure_page).await
}

/// Answers with a page about one saga.
async fn of_one(
    app: &App,
    viewer: &Viewer,
    id: &str,
    page: fn(&str, &SagaReport, &str) -> Page,
) -> Response {
    let page = async {
        let saga = app.its_sagas()?.report(id).await?;
        Ok(page(&app.program.0, &saga, &viewer.token))
    }
    .await;
    show(app, viewer, page)
}

async fn change(
    State(app): Shared,
    viewer: axum::Extension<Viewer>,
    headers: HeaderMap,
    Path((id, action)): Path<(String, String)>,
    fields: Fields,
) -> Response {
    let done: Result<SagaReport, ApiError> = async {
        fields.of(&headers, &viewer.token)?;
        let sagas = app.its_sagas()?;
        match action.as_str() {
            "resume" => sagas.resume(&id).await,
            "abandon" => sagas.abandon(&id, None).await,
            _ => Err(unknown()),
        }
    }
    .await;
    match done {
        Ok(_) => see(&address(&id)),
        Err(error) => refusal(&app, Some(&viewer), &error),
    }
}

/// What is written in another way in the address of a page.
const NOT_IN_PATHS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// Returns the address of a saga's page. Ids come from outside.
fn address(id: &str) -> String {
    format!("/ui/sagas/{}", utf8_percent_encode(id, NOT_IN_PATHS))
}

fn list_page(program: &str, chosen: Option<Status>, list: &[Summary]) -> Page {
    let mut page = Page::new("Sagas", program);
    let html = &mut page.body;
    html.raw("<nav aria-label=\"Status\">");
    choice(html, "/ui/sagas", "all", chosen.is_none());
    for status in Status::ALL {
        let word = status.as_str();
        let address = format!("/ui/sagas?status={word}");
        choice(html, &address, word, chosen == Some(status));
    }
    html.raw("</nav>");
    if list.is_empty() {
        html.raw("<p>There are none.</p>");
        return page;
    }
    html.table("Sagas", &["Id", "Saga", "Status", "Step", "Changed"]);
    for saga in list {
        html.raw("<tr><th scope=\"row\" class=\"whole\">");
        html.link(&address(&saga.id), &saga.id);
        html.raw("</th>").cell(&saga.saga);
        html.cell(saga.status.as_str())
            .whole(saga.step.as_deref().unwrap_or(""))
            .whole(&at(saga.updated))
            .raw("</tr>");
    }
    html.end_table();
    if list.len() >= MOST as usize {
        html.raw("<p class=\"note\">The latest are shown; the API lists more.</p>");
    }
    page
}

/// Adds a link to a part of the list, and says whether it is the one that is shown.
fn choice(html: &mut Html, address: &str, text: &str, shown: bool) {
    html.raw("<a href=\"").text(address).raw("\"");
    if shown {
        html.raw(" aria-current=\"page\"");
    }
    html.raw(">").text(text).raw("</a>");
}

fn one_page(program: &str, saga: &SagaReport, token: &str) -> Page {
    let mut page = Page::new(&saga.id, program);
    let html = &mut page.body;
    html.raw("<p>Saga ").text(&saga.saga).raw(" is <strong>");
    html.text(saga.status.as_str()).raw("</strong>: ");
    html.text(meaning(saga.status)).raw("</p>");
    if let Some(error) = &saga.error {
        html.alert(error);
    }
    if !saga.status.is_over() {
        html.raw("<div class=\"actions\">");
        let resume = format!("{}/do/resume", address(&saga.id));
        html.button(&resume, token, "Go on now", &saga.id);
        html.raw("<a class=\"button\" href=\"")
            .text(&address(&saga.id))
            .raw("/sure/abandon\">Abandon</a></div>");
    }
    html.raw("<h2>Steps</h2><ol class=\"steps\">");
    for step in &saga.steps {
        draw(html, step);
    }
    html.raw("</ol><dl>");
    let answered = saga.response.as_ref();
    for (key, value) in [
        ("Answered", answered.map(|response| response.to_text())),
        ("Began", Some(at(saga.created_at))),
        ("Changed", Some(at(saga.updated_at))),
    ] {
        let value = value.unwrap_or_else(|| "nothing yet".to_owned());
        html.raw("<dt>").text(key).raw("</dt><dd>");
        html.text(&value).raw("</dd>");
    }
    html.raw("</dl><h2>Records</h2>");
    if saga.earlier_records > 0 {
        html.raw("<p class=\"note\">")
            .text(&saga.earlier_records.to_string());
        html.raw(" earlier ones are not shown.</p>");
    }
    html.table("Records", &["Record", "Step", "At", "Says"]);
    for record in &saga.records {
        html.raw("<tr>");
        html.whole(&record.record.replace('_', " "))
            .whole(record.step.as_deref().unwrap_or(""))
            .whole(&at(record.at))
            .cell(record.note.as_deref().unwrap_or(""))
            .raw("</tr>");
    }
    html.end_table();
    page
}

/// Draws one step.
fn draw(html: &mut Html, step: &StepReport) {
    html.raw("<li class=\"")
        .raw(look(step.status))
        .raw("\"><p class=\"name\">")
        .text(&step.name);
    html.raw("</p><p class=\"state\">")
        .text(word(step.status))
        .raw("</p>");
    let counts = match (step.attempts, step.undo_attempts) {
        (0, 0) => String::new(),
        (attempts, 0) => format!("attempts: {attempts}"),
        (attempts, undos) => format!("attempts: {attempts}, to undo it: {undos}"),
    };
    if !counts.is_empty() {
        html.raw("<p class=\"note\">").text(&counts).raw("</p>");
    }
    if let Some(error) = &step.error {
        html.raw("<p>").text(error).raw("</p>");
    }
    if let Some(updated_at) = step.updated_at {
        html.raw("<p class=\"note\">")
            .text(&at(updated_at))
            .raw("</p>");
    }
    html.raw("</li>");
}

fn sure_page(program: &str, saga: &SagaReport, token: &str) -> Page {
    let mut page = Page::new(&format!("Abandon {}?", saga.id), program);
    let html = &mut page.body;
    html.raw("<p>It ends as it is: nothing more is done, and nothing is undone. What its steps ")
        .raw("made stays until somebody removes it.</p><div class=\"actions\">");
    let abandon = format!("{}/do/abandon", address(&saga.id));
    html.button(&abandon, token, "Abandon it", "")
        .link(&address(&saga.id), "Keep it as it is")
        .raw("</div>");
    page
}

/// Says what a status means to whoever looks.
const fn meaning(status: Status) -> &'static str {
    match status {
        Status::Running => "its steps are being done, or it goes on with the next delivery.",
        Status::Waiting => "a step asked to be done again later.",
        Status::Undoing => "a step failed, and what was done is being undone.",
        Status::Stuck => "what was done could not be undone, and somebody has to look.",
        Status::Done => "every step that applies is done.",
        Status::Undone => "nothing of it is left.",
        Status::Abandoned => "somebody ended it as it was.",
    }
}

/// Says where a step stands.
const fn word(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Pending => "not begun",
        StepStatus::Started => "being done",
        StepStatus::Passed => "passed over",
        StepStatus::Done => "done",
        StepStatus::Waiting => "waits to be done again",
        StepStatus::Failed => "failed, wrote nothing",
        StepStatus::Unknown => "failed, may have written",
        StepStatus::Undoing => "being undone",
        StepStatus::Undone => "undone",
        StepStatus::Stuck => "could not be undone",
    }
}

/// Returns the class of the box of a step.
const fn look(status: StepStatus) -> &'static str {
    match status {
        StepStatus::Pending | StepStatus::Passed => "to-come",
        StepStatus::Done => "good",
        StepStatus::Failed | StepStatus::Unknown | StepStatus::Stuck => "bad",
        StepStatus::Undoing | StepStatus::Undone => "taken-back",
        StepStatus::Started | StepStatus::Waiting => "at-work",
    }
}

fn at(millis: u64) -> String {
    time(i64::try_from(millis).unwrap_or(i64::MAX))
}
