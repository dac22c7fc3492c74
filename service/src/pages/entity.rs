//! One entity: its fields, tags, neighbours, history, and the sources that know it.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::Pages;
use super::browse::{entity_address, unknown_collection};
use super::form::{Fields, Query};
use super::format::{age, time, value};
use super::history::{self, Version};
use super::html::{Html, address};
use super::layout::{Page, show};
use super::neighbours;
use super::session::Viewer;
use crate::error::{Error, Result};
use crate::store::layout::Connecting;
use crate::store::ops::source;
use crate::store::{Conn, Table, Value, quote};

/// Tags, and sources, that a page shows.
const MOST: usize = 100;

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

/// Which entity a page is about.
pub(super) struct Subject<'a> {
    pub(super) table: &'a Table,
    pub(super) source_key: &'a str,
    /// Number of the source.
    pub(super) source: i64,
    pub(super) id: &'a str,
}

async fn build(pages: &Pages, query: &Fields) -> Result<Page> {
    let snapshot = pages.app.ready().await?;
    let collection = query.get("collection");
    let table = snapshot
        .layout
        .get(collection)
        .filter(|table| !table.is_edge())
        .ok_or_else(|| unknown_collection(collection))?;
    let (source_key, id) = (query.get("source"), query.get("id"));
    let mut conn = pages.app.store.read().await?;
    let conn = conn.as_mut();
    let source = source::find(conn, source_key)
        .await?
        .ok_or_else(|| source::unknown(source_key))?;
    let subject = Subject {
        table,
        source_key,
        source: source.pk,
        id,
    };
    let (versions, complete) = history::read(conn, &subject).await?;
    let newest = versions.first().ok_or_else(|| {
        Error::not_found(
            "unknown_entity",
            format!("source `{source_key}` has no `{collection}` with the id `{id}`"),
        )
    })?;
    let tags = tags(conn, &subject).await?;
    let same = same(conn, table, newest.connecting.as_deref()).await?;
    let groups = neighbours::read(conn, &snapshot.layout, &subject).await?;

    let title = newest.name().unwrap_or(id).to_owned();
    let mut page = Page::new(&title);
    let html = &mut page.body;
    html.raw("<p>")
        .link(
            &address("/ui/browse", &[("collection", collection)]),
            collection,
        )
        .raw(" <code>")
        .text(id)
        .raw("</code> of source ")
        .text(source_key)
        .raw("</p>");
    if let Some(gone) = newest.until {
        html.raw("<p class=\"alert\">It left the graph ")
            .text(&age(gone))
            .raw("; below is what was known of it.</p>");
    }
    fields(html, newest);
    html.raw("<h2>Tags</h2>");
    if tags.is_empty() {
        html.raw("<p>none</p>");
    } else {
        html.raw("<ul class=\"tags\">");
        for tag in &tags {
            html.raw("<li>").text(tag).raw("</li>");
        }
        html.raw("</ul>");
    }
    neighbours::write(html, &title, &groups);
    known_by(html, &subject, newest, &same);
    history::write(html, &versions, complete);
    Ok(page)
}

fn fields(html: &mut Html, version: &Version) {
    html.raw("<h2>Fields</h2>");
    html.table("Fields", &["Field", "Value"]);
    let mut row = |name: &str, text: &str| {
        html.raw("<tr><th scope=\"row\">").text(name);
        html.raw("</th><td>").text(text).raw("</td></tr>");
    };
    for (name, field) in &version.fields {
        if !field.is_null() {
            row(name, &value(field));
        }
    }
    if let Some(connecting) = &version.connecting {
        row("connecting_id", connecting);
    }
    row(
        "reported_at",
        &format!("{} UTC, {}", time(version.seen), age(version.seen)),
    );
    if let Some(report) = &version.report {
        row("report", report);
    }
    html.end_table();
}

async fn tags(conn: &mut dyn Conn, subject: &Subject<'_>) -> Result<Vec<String>> {
    let sql = format!(
        "SELECT name FROM tags WHERE source = $1 AND collection = $2 AND id = $3 ORDER BY name LIMIT {MOST}"
    );
    let args = vec![
        subject.source.into(),
        subject.table.name.as_str().into(),
        subject.id.into(),
    ];
    let rows = conn.fetch(sql, args).await?;
    Ok(rows
        .iter()
        .filter_map(|row| row.str(0).map(str::to_owned))
        .collect())
}

/// The same thing as another source calls it.
struct Same {
    source: String,
    id: String,
    seen: i64,
}

async fn same(conn: &mut dyn Conn, table: &Table, connecting: Option<&str>) -> Result<Vec<Same>> {
    let Some(connecting) = connecting.filter(|_| table.connecting != Connecting::None) else {
        return Ok(Vec::new());
    };
    let sql = format!(
        "SELECT s.key, e.\"_id\", e.\"_seen\" FROM {} e JOIN sources s ON s.pk = e.\"_source\" \
         WHERE e.\"_cid\" = $1 LIMIT {MOST}",
        quote(&table.current())
    );
    let rows = conn.fetch(sql, vec![Value::text(connecting)]).await?;
    let mut same: Vec<Same> = rows
        .iter()
        .map(|row| Same {
            source: row.str(0).unwrap_or_default().to_owned(),
            id: row.str(1).unwrap_or_default().to_owned(),
            seen: row.int(2).unwrap_or_default(),
        })
        .collect();
    same.sort_by(|a, b| (&a.source, &a.id).cmp(&(&b.source, &b.id)));
    Ok(same)
}

fn known_by(html: &mut Html, subject: &Subject<'_>, newest: &Version, same: &[Same]) {
    html.raw("<h2>Sources that know it</h2>");
    if same.is_empty() {
        html.raw("<p>").text(subject.source_key);
        html.raw(if newest.until.is_some() {
            " knew it until it left the graph.</p>"
        } else {
            ". This collection has no identity across sources.</p>"
        });
        return;
    }
    html.table(
        "Sources that know it",
        &["Source", "Id there", "Last report"],
    );
    for one in same {
        html.raw("<tr><th scope=\"row\">")
            .text(&one.source)
            .raw("</th><td>");
        if one.source == subject.source_key && one.id == subject.id {
            html.text(&one.id).raw(" (this page)");
        } else {
            let address = entity_address(&subject.table.name, &one.source, &one.id);
            html.link(&address, &one.id);
        }
        html.raw("</td><td>").text(&age(one.seen)).raw("</td></tr>");
    }
    html.end_table();
    if same.len() >= MOST {
        html.raw("<p class=\"note\">Only the first ones are shown.</p>");
    }
}
