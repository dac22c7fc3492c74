//! What was imported, and which jobs failed.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::Pages;
use super::cursor::{Holds, Order};
use super::form::{Fields, Query};
use super::format::{age, count, time};
use super::html::{Html, address};
use super::layout::{Page, show};
use super::session::Viewer;
use super::sources::source_address;
use crate::error::Result;
use crate::store::{Conn, Row};

/// Imports per page.
const IMPORTS: usize = 50;

/// Latest jobs among which the page looks for failed ones.
const JOBS: usize = 10_000;

/// Failed jobs that the page shows.
const FAILED: usize = 50;

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
    let mut page = Page::new("Imports").at("/ui/imports");
    let refused = query.get("only") == "refused";
    if query.get("after").is_empty() && !refused {
        failed(&mut page.body, conn.as_mut()).await?;
    }
    imports(&mut page.body, conn.as_mut(), query.get("after"), refused).await?;
    Ok(page)
}

async fn failed(html: &mut Html, conn: &mut dyn Conn) -> Result<()> {
    // Ids begin with the time, so the newest have the highest.
    let sql = format!(
        "SELECT id, kind, error, at FROM (SELECT * FROM jobs ORDER BY id DESC LIMIT {JOBS}) j \
         WHERE status = 'ERROR' ORDER BY id DESC LIMIT {FAILED}"
    );
    let rows = conn.fetch(sql, Vec::new()).await?;
    html.raw("<h2>Failed jobs</h2>");
    if rows.is_empty() {
        html.raw("<p>none</p>");
        return Ok(());
    }
    html.table("Failed jobs", &["When (UTC)", "Job", "Error", "Id"]);
    for row in &rows {
        let text = |index| row.str(index).unwrap_or_default();
        html.raw("<tr><th scope=\"row\">")
            .text(&time(row.int(3).unwrap_or_default()))
            .raw("</th><td>")
            .text(&text(1).replace('_', " "))
            .raw("</td><td>")
            .text(text(2))
            .raw("</td><td><code>")
            .text(text(0))
            .raw("</code></td></tr>");
    }
    html.end_table();
    Ok(())
}

async fn imports(html: &mut Html, conn: &mut dyn Conn, after: &str, refused: bool) -> Result<()> {
    let order = Order {
        columns: vec![("at".into(), Holds::Int), ("id".into(), Holds::Text)],
        descending: true,
        optional: false,
    };
    let place = order.place(after)?;
    let mut args = Vec::new();
    let condition = order.after(place.as_ref(), &mut args);
    let only = if refused {
        "e.code IS NOT NULL AND "
    } else {
        ""
    };
    let sql = format!(
        "SELECT e.at, e.id, (SELECT key FROM sources WHERE pk = e.source), e.row_count, e.code, \
         e.error FROM imports e WHERE {only}{condition} ORDER BY {} LIMIT {}",
        order.by(),
        IMPORTS.saturating_add(1)
    );
    let rows = conn.fetch(sql, args).await?;
    html.raw(if refused {
        "<h2>Refused imports</h2>"
    } else {
        "<h2>Imports</h2>"
    });
    html.raw(
        "<p class=\"note\">An import is applied whole or not at all. The newest refused ones of \
         each source are kept, so that one can see what was wrong with them.</p><p>",
    );
    if refused {
        html.link("/ui/imports", "All imports");
    } else {
        html.link("/ui/imports?only=refused", "Only refused ones");
    }
    html.raw("</p>");
    if rows.is_empty() {
        html.raw("<p>none</p>");
        return Ok(());
    }
    html.table(
        "Imports",
        &["When (UTC)", "Source", "Rows", "Outcome", "Id"],
    );
    for row in rows.iter().take(IMPORTS) {
        import(html, row);
    }
    html.end_table();
    if rows.len() > IMPORTS
        && let Some(last) = rows.get(IMPORTS - 1)
    {
        let place = super::cursor::Place(vec![last.get(0).clone(), last.get(1).clone()]);
        let only = if refused { "refused" } else { "" };
        html.raw("<p>")
            .link(
                &address(
                    "/ui/imports",
                    &[("only", only), ("after", &place.to_text())],
                ),
                "Older imports",
            )
            .raw("</p>");
    }
    Ok(())
}

fn import(html: &mut Html, row: &Row) {
    let at = row.int(0).unwrap_or_default();
    html.raw("<tr><th scope=\"row\">")
        .text(&time(at))
        .raw("<br><span class=\"note\">")
        .text(&age(at))
        .raw("</span></th><td>");
    match row.str(2) {
        Some(source) => html.link(&source_address(source), source),
        None => html.raw("<span class=\"note\">not known</span>"),
    };
    html.raw("</td><td class=\"number\">");
    match row.str(4) {
        None => {
            html.text(&count(row.int(3).unwrap_or_default()))
                .raw("</td><td>applied");
        }
        Some(code) => {
            html.raw("</td><td><strong class=\"bad\">refused</strong> <code>")
                .text(code)
                .raw("</code><br>")
                .text(row.str(5).unwrap_or_default());
        }
    }
    html.raw("</td><td><code>")
        .text(row.str(1).unwrap_or_default())
        .raw("</code></td></tr>");
}
