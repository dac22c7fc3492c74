//! One collection as a list: filtered on a field, sorted, paged by key.
//!
//! A list is read along an index. A filter that no index helps with looks at a part of the
//! collection per page and says where it stopped, so that no page reads the whole collection.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use car_schema::FieldType;

use super::Pages;
use super::cursor::{Holds, Order, Place};
use super::filter::{COMPARISONS, Filter};
use super::form::{Fields, Query};
use super::format::{age, value};
use super::html::{Html, address, shorten};
use super::layout::{Page, show};
use super::session::Viewer;
use crate::error::{Error, Result};
use crate::store::layout::FieldColumn;
use crate::store::lookup::field_json;
use crate::store::{Conn, Dialect, Row, Table, quote};

/// Rows per page.
const ROWS: usize = 50;

/// Rows that a filter without an index looks at per page.
const WINDOW: usize = 20_000;

/// Fields that a list shows.
const COLUMNS: usize = 6;

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

/// Returns the address of an entity's page.
pub(super) fn entity_address(collection: &str, source: &str, id: &str) -> String {
    address(
        "/ui/entity",
        &[("collection", collection), ("source", source), ("id", id)],
    )
}

/// The error of a collection that is not in the model.
pub(super) fn unknown_collection(name: &str) -> Error {
    Error::not_found(
        "unknown_collection",
        format!("there is no collection `{name}`"),
    )
}

async fn build(pages: &Pages, query: &Fields) -> Result<Page> {
    let snapshot = pages.app.ready().await?;
    let name = query.get("collection");
    let table = snapshot
        .layout
        .get(name)
        .ok_or_else(|| unknown_collection(name))?;
    let mut conn = pages.app.store.read().await?;
    let orders = orders(table, conn.dialect());
    let chosen = match query.get("sort") {
        "" => orders.first(),
        sort => orders.iter().find(|order| order.name == sort),
    };
    let chosen = chosen.ok_or_else(|| {
        Error::bad_request(
            "invalid_sort",
            format!("`{name}` cannot be sorted by `{}`", query.get("sort")),
        )
    })?;
    let filter = Filter::new(conn.as_mut(), table, query).await?;
    let place = chosen.order.place(query.get("after"))?;
    let list = read(conn.as_mut(), table, &chosen.order, &filter, place.as_ref()).await?;

    let mut page = Page::new(name);
    form(&mut page.body, table, &orders, query);
    if let (true, Some((field, _))) = (chosen.order.optional, chosen.order.columns.first()) {
        page.body
            .raw("<p class=\"note\">Those without <code>")
            .text(field)
            .raw("</code> are left out of this order.</p>");
    }
    let shown = list.rows.len();
    if shown == 0 {
        page.body.raw("<p>Nothing was found");
        page.body.raw(if list.next.is_some() {
            " in this part of the collection.</p>"
        } else if place.is_some() {
            " after this place.</p>"
        } else {
            ".</p>"
        });
    } else {
        rows(&mut page.body, table, &chosen.order, &list.rows);
    }
    page.body
        .raw("<nav class=\"actions\" aria-label=\"Pages of the list\">");
    let with = |after: &str| {
        let mut parameters: Vec<(&str, &str)> =
            ["collection", "field", "op", "value", "source", "sort"]
                .iter()
                .map(|name| (*name, query.get(name)))
                .collect();
        parameters.push(("after", after));
        address("/ui/browse", &parameters)
    };
    if place.is_some() {
        page.body.link(&with(""), "First page");
    }
    if let Some(next) = &list.next {
        let text = if list.stopped {
            "Search on: only a part was looked at"
        } else {
            "Next page"
        };
        page.body.link(&with(&next.to_text()), text);
    }
    page.body.raw("</nav>");
    Ok(page)
}

/// An order that a list can have.
struct Named {
    name: String,
    shown: String,
    order: Order,
}

/// Returns the orders that an index has.
fn orders(table: &Table, dialect: Dialect) -> Vec<Named> {
    let named =
        |name: &str, shown: String, columns: &[(&str, Holds)], descending, optional| Named {
            name: name.to_owned(),
            shown,
            order: Order {
                columns: columns
                    .iter()
                    .map(|(name, holds)| ((*name).to_owned(), *holds))
                    .collect(),
                descending,
                optional,
            },
        };
    let key = ("_pk", Holds::Int);
    let mut list = vec![
        named("newest", "last changed first".into(), &[key], true, false),
        named("oldest", "last changed last".into(), &[key], false, false),
    ];
    list.push(if table.is_edge() {
        let columns = [
            ("_from", Holds::Text),
            ("_to", Holds::Text),
            ("_source", Holds::Int),
        ];
        named("_key", "by where they begin".into(), &columns, false, false)
    } else {
        let columns = [("_id", Holds::Text), ("_source", Holds::Int)];
        named("_key", "by id".into(), &columns, false, false)
    });
    for field in table.fields.iter().filter(|field| field.indexed) {
        let holds = match field.ty {
            FieldType::Number => Holds::Float,
            FieldType::Integer => Holds::Int,
            // PostgreSQL's indexes of text have no order.
            FieldType::Text if dialect == Dialect::Sqlite => Holds::Text,
            FieldType::Text
            | FieldType::Boolean
            | FieldType::Object
            | FieldType::Texts
            | FieldType::Any => continue,
        };
        let field = field.name.as_str();
        for (sign, way, descending) in [("", "lowest", false), ("-", "highest", true)] {
            list.push(named(
                &format!("{sign}{field}"),
                format!("{field}, {way} first"),
                &[(field, holds), key],
                descending,
                true,
            ));
        }
    }
    list
}

/// A page of a list.
struct List {
    rows: Vec<Row>,
    /// Where the next page begins.
    next: Option<Place>,
    /// Whether the filter stopped looking before the end.
    stopped: bool,
}

async fn read(
    conn: &mut dyn Conn,
    table: &Table,
    order: &Order,
    filter: &Filter,
    place: Option<&Place>,
) -> Result<List> {
    let mut args = filter.args.clone();
    let after = order.after(place, &mut args);
    let by = order.by();
    let current = quote(&table.current());
    let mut condition = filter.conditions.join(" AND ");
    if condition.is_empty() {
        condition.push_str("true");
    }
    let by_key = order.columns.len() == 1;
    let source = filter.source.as_deref().filter(|_| by_key);
    let only_source = source.is_some() && filter.conditions.len() == 1;
    let direct = filter.conditions.is_empty() || (by_key && (filter.indexed || only_source));
    // What is looked at, a part at a time, where no index leads to what is wanted.
    let looked_at = |after: &str| {
        let source = source.unwrap_or("true");
        format!("{current} e WHERE {after} AND {source}")
    };
    let from = if direct {
        format!("{current} e WHERE {after} AND {condition}")
    } else {
        let looked_at = looked_at(&after);
        format!("(SELECT * FROM {looked_at} ORDER BY {by} LIMIT {WINDOW}) e WHERE {condition}")
    };
    let mut columns = vec![
        order.selection(),
        "(SELECT key FROM sources WHERE pk = e.\"_source\")".to_owned(),
        if table.is_edge() {
            "e.\"_from\", e.\"_to\"".to_owned()
        } else {
            "e.\"_id\", e.\"_cid\"".to_owned()
        },
        "e.\"_seen\"".to_owned(),
    ];
    columns.extend(shown(table).map(|field| format!("e.{}", quote(&field.name))));
    let sql = format!(
        "SELECT {} FROM {from} ORDER BY {by} LIMIT {}",
        columns.join(", "),
        ROWS.saturating_add(1)
    );
    let mut rows = conn.fetch(sql, args).await?;
    let width = order.columns.len();
    if rows.len() > ROWS {
        rows.truncate(ROWS);
        let next = rows.last().map(|row| place_of(row, width));
        return Ok(List {
            rows,
            next,
            stopped: false,
        });
    }
    let mut next = None;
    if !direct {
        let mut args = Vec::new();
        let after = order.after(place, &mut args);
        let looked_at = looked_at(&after);
        let sql = format!(
            "SELECT {} FROM {looked_at} ORDER BY {by} LIMIT 1 OFFSET {}",
            order.selection(),
            WINDOW.saturating_sub(1)
        );
        let last = conn.fetch(sql, args).await?;
        next = last.first().map(|row| place_of(row, width));
    }
    Ok(List {
        rows,
        stopped: next.is_some(),
        next,
    })
}

fn place_of(row: &Row, width: usize) -> Place {
    Place((0..width).map(|index| row.get(index).clone()).collect())
}

/// Returns the fields that a list shows.
fn shown(table: &Table) -> impl Iterator<Item = &FieldColumn> {
    table.fields.iter().take(COLUMNS)
}

fn form(html: &mut Html, table: &Table, orders: &[Named], query: &Fields) {
    html.raw("<form method=\"get\" action=\"/ui/browse\" class=\"actions\">");
    html.hidden("collection", &table.name);
    html.raw("<p><label for=\"field\">Field</label><select id=\"field\" name=\"field\">");
    html.option("", "any", query.get("field"));
    let keys: &[&str] = if table.is_edge() {
        &["_from", "_to"]
    } else {
        &["_key"]
    };
    let fields = table.fields.iter().map(|field| field.name.as_str());
    for field in keys.iter().copied().chain(fields) {
        let shown = match field {
            "_key" => "id",
            field => field.trim_start_matches('_'),
        };
        html.option(field, shown, query.get("field"));
    }
    html.raw("</select></p><p><label for=\"op\">Comparison</label><select id=\"op\" name=\"op\">");
    for (op, shown) in COMPARISONS {
        html.option(op, shown, query.get("op"));
    }
    html.raw("</select></p><p><label for=\"value\">Value</label><input id=\"value\" name=\"value\" value=\"")
        .text(query.get("value"))
        .raw("\"></p><p><label for=\"source\">Source</label><input id=\"source\" name=\"source\" value=\"")
        .text(query.get("source"))
        .raw("\"></p><p><label for=\"sort\">Order</label><select id=\"sort\" name=\"sort\">");
    for order in orders {
        html.option(&order.name, &order.shown, query.get("sort"));
    }
    html.raw("</select></p><p><button>Show</button></p></form>");
}

fn rows(html: &mut Html, table: &Table, order: &Order, rows: &[Row]) {
    let mut columns = match &table.ends {
        Some(_) => vec!["from", "to"],
        None => vec!["id"],
    };
    columns.push("source");
    columns.extend(shown(table).map(|field| field.name.as_str()));
    columns.push("reported");
    html.table(&table.name, &columns);
    let first = order.columns.len();
    for row in rows {
        let text = |index: usize| row.str(first.saturating_add(index)).unwrap_or_default();
        html.raw("<tr><th scope=\"row\">");
        match &table.ends {
            Some((from, to)) => {
                html.link(&entity_address(from, text(0), text(1)), text(1))
                    .raw("</th><td>")
                    .link(&entity_address(to, text(0), text(2)), text(2))
                    .raw("</td>");
            }
            None => {
                html.link(&entity_address(&table.name, text(0), text(1)), text(1))
                    .raw("</th>");
            }
        }
        html.raw("<td>").text(text(0)).raw("</td>");
        for (index, field) in shown(table).enumerate() {
            let stored = row.get(first.saturating_add(4).saturating_add(index));
            let text = value(&field_json(field, stored));
            html.raw("<td>").text(&shorten(&text, 80)).raw("</td>");
        }
        html.raw("<td>");
        if let Some(seen) = row.int(first.saturating_add(3)) {
            html.text(&age(seen));
        }
        html.raw("</td></tr>");
    }
    html.end_table();
}
