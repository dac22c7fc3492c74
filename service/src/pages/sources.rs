//! One source: how fresh it is, its last runs, and the report of one run.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::Value as Json;

use super::Pages;
use super::form::{Fields, Query};
use super::format::{age, count, duration, time};
use super::html::{Html, address, shorten};
use super::layout::{Page, show};
use super::session::Viewer;
use crate::error::{Error, Result};
use crate::store::layout::by_source;
use crate::store::ops::run::{self, Run};
use crate::store::{Conn, Layout, Table, quote};

/// Where counting stops, so that the page is quick at any size.
const COUNT: i64 = 10_000;

/// Runs that the page of a source shows.
const RUNS: usize = 50;

/// Scopes and collections that the page of a run shows.
const PARTS: usize = 1_000;

/// Letters of the reasons that a page shows.
const LETTERS: usize = 2_000;

/// Returns the address of a source's page.
pub(super) fn source_address(key: &str) -> String {
    address("/ui/source", &[("key", key)])
}

pub(super) async fn page(
    State(pages): State<Arc<Pages>>,
    Extension(viewer): Extension<Viewer>,
    Query(query): Query,
) -> Response {
    let page = match query {
        Ok(query) => build(&pages, &query).await,
        Err(error) => Err(error),
    };
    show(Some(&viewer), page)
}

async fn build(pages: &Pages, query: &Fields) -> Result<Page> {
    let mut conn = pages.app.store.read().await?;
    let key = query.get("key");
    let wanted = query.get("run");
    if wanted.is_empty() {
        let snapshot = pages.app.snapshot();
        return source(conn.as_mut(), &snapshot.layout, key).await;
    }
    let run = run::one(conn.as_mut(), key, wanted).await?.ok_or_else(|| {
        Error::not_found(
            "unknown_run",
            format!("source `{key}` has no report of a run `{wanted}`; the newest are kept"),
        )
    })?;
    Ok(report(key, &run))
}

async fn source(conn: &mut dyn Conn, layout: &Layout, key: &str) -> Result<Page> {
    let rows = conn
        .fetch(
            "SELECT name, description, product_link, last_seen, last_report, model_state_id, \
             session_started, pk FROM sources WHERE key = $1"
                .into(),
            vec![key.into()],
        )
        .await?;
    let row = rows
        .first()
        .ok_or_else(|| Error::not_found("unknown_source", format!("there is no source `{key}`")))?;
    let mut page = Page::new(&format!("Source {key}")).at("/ui/");
    let html = &mut page.body;
    html.raw("<dl class=\"facts\">");
    for (name, index) in [("Name", 0), ("Description", 1), ("Product", 2)] {
        if let Some(text) = row.str(index).filter(|text| !text.is_empty()) {
            fact(html, name, &shorten(text, LETTERS));
        }
    }
    let seen = row.int(3).map_or_else(
        || "never".to_owned(),
        |seen| format!("{} ({} UTC)", age(seen), time(seen)),
    );
    fact(html, "Last report", &seen);
    if let Some(report) = row.str(4) {
        fact(html, "Its key", report);
    }
    let none = "none: the next import is a full one";
    fact(html, "Save point", row.str(5).unwrap_or(none));
    let session = row.int(6).map_or_else(
        || "none in progress".to_owned(),
        |started| format!("in progress, began {}", age(started)),
    );
    fact(html, "Full import", &session);
    html.raw("</dl>");
    let has = counts(conn, layout, row.int(7).unwrap_or_default()).await?;
    entities(html, key, &has);
    html.raw("<h2>Last runs</h2>");
    let runs = run::latest(conn, key, RUNS).await?;
    if runs.is_empty() {
        html.raw(
            "<p>No run has handed in a report. Connectors do so at their end; other clients with \
             <code>POST /v3/source/{source}/runs</code>.</p>",
        );
        return Ok(page);
    }
    html.table(
        "Last runs",
        &[
            "Began (UTC)",
            "Outcome",
            "Mode",
            "Took",
            "Sent",
            "Withheld",
            "Report",
        ],
    );
    for run in &runs {
        let document = document(run);
        html.raw("<tr><th scope=\"row\">").text(&time(run.started));
        html.raw("<br><span class=\"note\">")
            .text(&age(run.started));
        html.raw("</span></th><td>");
        outcome(html, run);
        html.raw("</td><td>").text(text(&document, "mode"));
        html.raw("</td><td>")
            .text(&duration(number(&document, "duration_ms")));
        html.raw("</td><td class=\"number\">")
            .text(&count(total(&document, "sent")));
        let lost = total(&document, "rejected").saturating_add(total(&document, "withheld"));
        html.raw("</td><td class=\"number\">").text(&count(lost));
        html.raw("</td><td>")
            .link(
                &address("/ui/source", &[("key", key), ("run", &run.report)]),
                &shorten(&run.report, 60),
            )
            .raw("</td></tr>");
    }
    html.end_table();
    Ok(page)
}

/// Counts what a source has of each vertex collection, up to a limit.
async fn counts<'l>(
    conn: &mut dyn Conn,
    layout: &'l Layout,
    source: i64,
) -> Result<Vec<(&'l str, i64)>> {
    let tables: Vec<&Table> = layout.vertices().collect();
    let parts: Vec<String> = tables
        .iter()
        .enumerate()
        .map(|(index, table)| {
            format!(
                "SELECT {index} AS nr, (SELECT count(*) FROM (SELECT 1 AS one FROM {} \
                 WHERE \"_source\" = $1 AND {} LIMIT {}) c) AS many",
                quote(&table.current()),
                by_source(""),
                COUNT.saturating_add(1)
            )
        })
        .collect();
    let mut counts = Vec::new();
    // SQLite takes 500 parts to a statement.
    for parts in parts.chunks(400) {
        let rows = conn.fetch(parts.join(" UNION ALL "), vec![source.into()]);
        counts.extend(rows.await?.iter().filter_map(|row| {
            let index = usize::try_from(row.int(0)?).ok()?;
            Some((tables.get(index)?.name.as_str(), row.int(1)?))
        }));
    }
    counts.retain(|(_, count)| *count > 0);
    Ok(counts)
}

/// Lists what a source has, with links to the lists of it.
fn entities(html: &mut Html, key: &str, counts: &[(&str, i64)]) {
    html.raw("<h2>Entities</h2>");
    if counts.is_empty() {
        html.raw("<p>It has none.</p>");
        return;
    }
    html.table("Entities", &["Collection", "Count"]);
    for (collection, count) in counts {
        html.raw("<tr><th scope=\"row\">")
            .link(
                &address("/ui/browse", &[("collection", collection), ("source", key)]),
                collection,
            )
            .raw("</th><td class=\"number\">");
        if *count > COUNT {
            html.raw("more than ").number(COUNT);
        } else {
            html.number(*count);
        }
        html.raw("</td></tr>");
    }
    html.end_table();
}

/// The report of one run. Its document is the connector's: nothing in it is taken for granted.
fn report(key: &str, run: &Run) -> Page {
    let document = document(run);
    let mut page = Page::new(&format!("Run {}", run.report)).at("/ui/");
    let html = &mut page.body;
    html.raw("<dl class=\"facts\"><dt>Source</dt><dd>")
        .link(&source_address(key), key)
        .raw("</dd><dt>Outcome</dt><dd>");
    outcome(html, run);
    html.raw("</dd>");
    fact(html, "Exit code", &run.exit_code.to_string());
    fact(html, "Began", &format!("{} UTC", time(run.started)));
    fact(html, "Took", &duration(number(&document, "duration_ms")));
    let connector = [text(&document, "connector"), text(&document, "version")];
    fact(html, "Connector", &connector.join(" "));
    let mode = [text(&document, "mode"), text(&document, "why")];
    fact(html, "Mode", mode.join(": ").trim_matches([':', ' ']));
    for (name, field) in [
        ("Save point", "save_point"),
        ("File with rejected rows", "quarantine"),
    ] {
        if !text(&document, field).is_empty() {
            fact(html, name, &shorten(text(&document, field), LETTERS));
        }
    }
    for (name, field) in [
        ("Pages read", "pages"),
        ("Calls made again", "retries"),
        ("Reads made again", "source_retries"),
        ("Bytes sent", "bytes_sent"),
    ] {
        fact(html, name, &count(number(&document, field)));
    }
    html.raw("</dl>");
    let error = reasons(document.get("error"));
    if !error.is_empty() {
        html.raw("<h2>What failed</h2><p class=\"alert\">")
            .text(&error)
            .raw("</p>");
    }
    scopes(html, document.get("scopes"));
    collections(html, document.get("collections"));
    page
}

fn scopes(html: &mut Html, list: Option<&Json>) {
    let Some(list) = list
        .and_then(Json::as_array)
        .filter(|list| !list.is_empty())
    else {
        return;
    };
    html.raw("<h2>Scopes</h2>");
    html.table(
        "Scopes",
        &["Scope", "Read to its end", "Pages", "Rows", "What failed"],
    );
    // Those that failed are what one looks for.
    let complete = |scope: &&Json| scope.get("complete") == Some(&Json::Bool(true));
    let failed = list.iter().filter(|scope| !complete(scope));
    for scope in failed.chain(list.iter().filter(complete)).take(PARTS) {
        html.raw("<tr><th scope=\"row\">")
            .text(&shorten(text(scope, "name"), 200))
            .raw("</th><td>")
            .raw(if complete(&scope) { "yes" } else { "no" })
            .raw("</td><td class=\"number\">")
            .text(&count(number(scope, "pages")))
            .raw("</td><td class=\"number\">")
            .text(&count(number(scope, "rows")))
            .raw("</td><td>")
            .text(&reasons(scope.get("error")))
            .raw("</td></tr>");
    }
    html.end_table();
    more(html, list.len());
}

fn collections(html: &mut Html, counts: Option<&Json>) {
    let Some(counts) = counts
        .and_then(Json::as_object)
        .filter(|counts| !counts.is_empty())
    else {
        return;
    };
    let columns = [
        "sent",
        "duplicate",
        "merged",
        "rejected",
        "withheld",
        "retired",
    ];
    html.raw(
        "<h2>Rows</h2><div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Rows\">",
    )
    .raw("<table><thead><tr><th scope=\"col\">Collection</th>");
    for column in columns {
        html.raw("<th scope=\"col\" class=\"number\">")
            .raw(column)
            .raw("</th>");
    }
    html.raw("</tr></thead><tbody>");
    for (collection, counts) in counts.iter().take(PARTS) {
        html.raw("<tr><th scope=\"row\">")
            .text(&shorten(collection, 200));
        html.raw("</th>");
        for column in columns {
            html.raw("<td class=\"number\">");
            if let Some(number) = counts.get(column).and_then(Json::as_i64) {
                html.text(&super::format::count(number));
            }
            html.raw("</td>");
        }
        html.raw("</tr>");
    }
    html.end_table();
    more(html, counts.len());
}

fn more(html: &mut Html, all: usize) {
    if all > PARTS {
        html.raw("<p class=\"note\">The page shows ")
            .text(&PARTS.to_string())
            .raw(" of ")
            .text(&all.to_string())
            .raw("; the report has all.</p>");
    }
}

fn outcome(html: &mut Html, run: &Run) {
    let good = matches!(run.outcome.as_str(), "complete" | "unchanged");
    html.raw(if good { "" } else { "<strong class=\"bad\">" });
    html.text(&shorten(&run.outcome, 60));
    html.raw(if good { "" } else { "</strong>" });
}

fn fact(html: &mut Html, name: &'static str, value: &str) {
    html.raw("<dt>").raw(name).raw("</dt><dd>").text(value);
    html.raw("</dd>");
}

fn document(run: &Run) -> Json {
    serde_json::from_str(&run.document).unwrap_or_default()
}

fn text<'d>(document: &'d Json, name: &str) -> &'d str {
    document
        .get(name)
        .and_then(Json::as_str)
        .unwrap_or_default()
}

fn number(document: &Json, name: &str) -> i64 {
    document
        .get(name)
        .and_then(Json::as_i64)
        .unwrap_or_default()
}

/// Adds up a count over all collections.
fn total(document: &Json, name: &str) -> i64 {
    let counts = document.get("collections").and_then(Json::as_object);
    counts
        .into_iter()
        .flat_map(|counts| counts.values())
        .map(|counts| number(counts, name))
        .fold(0, i64::saturating_add)
}

/// Writes a chain of causes, outermost first.
fn reasons(chain: Option<&Json>) -> String {
    let parts: Vec<&str> = chain
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
        .collect();
    shorten(&parts.join(": "), LETTERS)
}
