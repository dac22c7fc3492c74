//! The first page: sources with their freshness, and how much each collection has.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::Pages;
use super::form::{Fields, Query};
use super::format::{age, time};
use super::html::{Html, address, shorten};
use super::layout::{Page, show};
use super::session::Viewer;
use super::sources::source_address;
use crate::error::Result;
use crate::store::{Conn, Layout, Row, Value, quote};

/// Sources per page.
const SOURCES: usize = 100;

/// Where counting stops, so that the page is quick at any size.
const COUNT: i64 = 10_000;

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
    let snapshot = pages.app.ready().await?;
    let mut conn = pages.app.store.read().await?;
    let mut page = Page::new("Overview").at("/ui/");
    sources(&mut page.body, conn.as_mut(), query.get("after")).await?;
    collections(&mut page.body, conn.as_mut(), &snapshot.layout).await?;
    Ok(page)
}

async fn sources(html: &mut Html, conn: &mut dyn Conn, after: &str) -> Result<()> {
    let sql = format!(
        "SELECT key, name, last_seen, last_report, model_state_id, session_started, description \
         FROM sources WHERE key > $1 ORDER BY key LIMIT {}",
        SOURCES.saturating_add(1)
    );
    let rows = conn.fetch(sql, vec![after.into()]).await?;
    html.raw("<h2>Sources</h2>");
    if rows.is_empty() {
        html.raw("<p>No source has reported anything yet. A source appears here with its first import.</p>");
        return Ok(());
    }
    html.table(
        "Sources",
        &[
            "Source",
            "Name",
            "Last report",
            "Save point",
            "Full import",
            "Entities",
        ],
    );
    for row in rows.iter().take(SOURCES) {
        source(html, row);
    }
    html.end_table();
    if rows.len() > SOURCES
        && let Some(last) = rows.get(SOURCES - 1).and_then(|row| row.str(0))
    {
        html.raw("<p>")
            .link(&address("/ui/", &[("after", last)]), "More sources")
            .raw("</p>");
    }
    Ok(())
}

fn source(html: &mut Html, row: &Row) {
    let text = |index| row.str(index).unwrap_or_default();
    html.raw("<tr><th scope=\"row\">")
        .link(&source_address(text(0)), text(0))
        .raw("</th><td>")
        .text(&shorten(text(1), 80))
        .raw("</td><td>");
    match row.int(2) {
        Some(seen) => {
            html.text(&age(seen)).raw("<br><span class=\"note\">");
            html.text(&time(seen)).raw(" UTC");
            if !text(3).is_empty() {
                html.raw(", report ").text(&shorten(text(3), 60));
            }
            html.raw("</span>");
        }
        None => {
            html.raw("never");
        }
    }
    html.raw("</td><td>");
    match row.str(4) {
        Some(state) => html.raw("<code>").text(&shorten(state, 60)).raw("</code>"),
        None => html.raw("none: the next import is a full one"),
    };
    html.raw("</td><td>");
    match row.int(5) {
        Some(started) => html.raw("in progress, began ").text(&age(started)),
        None => html.raw("none in progress"),
    };
    html.raw("</td><td>").link(
        &address(
            "/ui/browse",
            &[("collection", "asset"), ("source", text(0))],
        ),
        "assets",
    );
    html.raw("</td></tr>");
}

async fn collections(html: &mut Html, conn: &mut dyn Conn, layout: &Layout) -> Result<()> {
    // One statement for all: each part stops counting early.
    let parts: Vec<String> = layout
        .tables()
        .iter()
        .enumerate()
        .map(|(index, table)| {
            format!(
                "SELECT {index} AS nr, (SELECT count(*) FROM (SELECT 1 AS one FROM {} LIMIT {}) c) AS many",
                quote(&table.current()),
                COUNT.saturating_add(1)
            )
        })
        .collect();
    let mut counts = vec![0; parts.len()];
    // SQLite takes 500 parts to a statement.
    for parts in parts.chunks(400) {
        for row in conn
            .fetch(parts.join(" UNION ALL "), Vec::<Value>::new())
            .await?
        {
            let index = row.int(0).and_then(|index| usize::try_from(index).ok());
            if let Some(count) = index.and_then(|index| counts.get_mut(index)) {
                *count = row.int(1).unwrap_or_default();
            }
        }
    }
    html.raw("<div class=\"pair\">");
    for (title, edges) in [("Entities", false), ("Links", true)] {
        html.raw("<section><h2>").raw(title).raw("</h2>");
        let (full, empty): (Vec<_>, Vec<_>) = layout
            .tables()
            .iter()
            .zip(&counts)
            .filter(|(table, _)| table.is_edge() == edges)
            .partition(|(_, count)| **count > 0);
        html.table(title, &["Collection", "Count"]);
        for (table, count) in full {
            html.raw("<tr><th scope=\"row\">")
                .link(
                    &address("/ui/browse", &[("collection", &table.name)]),
                    &table.name,
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
        if !empty.is_empty() {
            html.raw("<p class=\"note empty\">Without any: ");
            for (index, (table, _)) in empty.into_iter().enumerate() {
                html.raw(if index == 0 { "" } else { ", " });
                html.link(
                    &address("/ui/browse", &[("collection", &table.name)]),
                    &table.name,
                );
            }
            html.raw("</p>");
        }
        html.raw("</section>");
    }
    html.raw("</div>");
    Ok(())
}
