//! The assets most at risk: those that the worst vulnerabilities reach, and how.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;

use super::Pages;
use super::browse::entity_address;
use super::html::Html;
use super::layout::{Page, show};
use super::session::Viewer;
use crate::error::Result;
use crate::store::{Conn, Dialect, Row, Value, quote};

/// Vulnerabilities that are followed, the worst first.
const VULNERABILITIES: usize = 50;

/// Assets that each vulnerability is followed to, each way.
const REACHED: usize = 20;

/// Assets that the page shows.
const ASSETS: usize = 50;

/// Vulnerabilities that are named per asset.
const NAMED: usize = 5;

/// The ways from a vulnerability to assets: the edges to go back along, and how to say it.
const WAYS: [(&str, &[&str]); 6] = [
    ("directly", &["asset_vulnerability"]),
    (
        "through an application",
        &["application_vulnerability", "asset_application"],
    ),
    (
        "through a database",
        &["database_vulnerability", "asset_database"],
    ),
    (
        "through an IP address",
        &["ipaddress_vulnerability", "asset_ipaddress"],
    ),
    (
        "through a port of an application",
        &[
            "port_vulnerability",
            "application_port",
            "asset_application",
        ],
    ),
    (
        "through a port of an IP address",
        &["port_vulnerability", "ipaddress_port", "asset_ipaddress"],
    ),
];

pub(super) async fn page(
    State(pages): State<Arc<Pages>>,
    Extension(viewer): Extension<Viewer>,
) -> Response {
    show(Some(&viewer), build(&pages).await)
}

/// A vulnerability.
struct Vulnerability {
    source: i64,
    source_key: String,
    id: String,
    name: String,
    score: f64,
}

/// An asset that vulnerabilities reach.
struct Asset {
    source_key: String,
    id: String,
    name: String,
    risk: Option<f64>,
    /// Place of the vulnerability in the list, worst first, and the ways from it.
    reached: Vec<(usize, Vec<&'static str>)>,
}

async fn build(pages: &Pages) -> Result<Page> {
    // The tables are there; the core model has all that is named here.
    pages.app.ready().await?;
    let mut conn = pages.app.store.read().await?;
    let worst = worst(conn.as_mut()).await?;
    let mut assets: HashMap<(i64, String), Asset> = HashMap::new();
    if !worst.is_empty() {
        for (way, edges) in WAYS {
            let rows = follow(conn.as_mut(), &worst, edges).await?;
            for row in &rows {
                note(&mut assets, &worst, way, row);
            }
        }
    }
    let mut assets: Vec<Asset> = assets.into_values().collect();
    for asset in &mut assets {
        asset.reached.sort_by_key(|(place, _)| *place);
    }
    let score = |asset: &Asset| {
        let place = asset.reached.first().map(|(place, _)| *place);
        place
            .and_then(|place| worst.get(place))
            .map_or(0.0, |vulnerability| vulnerability.score)
    };
    assets.sort_by(|a, b| {
        score(b)
            .total_cmp(&score(a))
            .then_with(|| b.reached.len().cmp(&a.reached.len()))
            .then_with(|| b.risk.unwrap_or(0.0).total_cmp(&a.risk.unwrap_or(0.0)))
            .then_with(|| (&a.source_key, &a.id).cmp(&(&b.source_key, &b.id)))
    });
    assets.truncate(ASSETS);

    let mut page = Page::new("Riskiest assets").at("/ui/risk");
    let html = &mut page.body;
    html.raw("<p>Assets that the ");
    html.text(&VULNERABILITIES.to_string());
    html.raw(" vulnerabilities with the highest score reach, up to ");
    html.text(&REACHED.to_string());
    html.raw(" assets from each of them each way. Worst score first, then the number of these vulnerabilities.</p>");
    if assets.is_empty() {
        html.raw("<p>No asset is reached by a vulnerability that has a score.</p>");
        return Ok(page);
    }
    html.table(
        "Riskiest assets",
        &[
            "Asset",
            "Source",
            "Worst score",
            "Own risk",
            "Vulnerabilities",
        ],
    );
    for asset in &assets {
        html.raw("<tr><th scope=\"row\">")
            .link(
                &entity_address("asset", &asset.source_key, &asset.id),
                &asset.name,
            )
            .raw("</th><td>")
            .text(&asset.source_key)
            .raw("</td><td class=\"number\">")
            .text(&score(asset).to_string())
            .raw("</td><td class=\"number\">")
            .text(&asset.risk.map_or_else(String::new, |risk| risk.to_string()))
            .raw("</td><td>");
        reached(html, &worst, asset);
        html.raw("</td></tr>");
    }
    html.end_table();
    Ok(page)
}

fn reached(html: &mut Html, worst: &[Vulnerability], asset: &Asset) {
    html.raw("<ul>");
    for (place, ways) in asset.reached.iter().take(NAMED) {
        let Some(vulnerability) = worst.get(*place) else {
            continue;
        };
        html.raw("<li>")
            .link(
                &entity_address(
                    "vulnerability",
                    &vulnerability.source_key,
                    &vulnerability.id,
                ),
                &vulnerability.name,
            )
            .raw(" (")
            .text(&vulnerability.score.to_string())
            .raw("), ")
            .text(&ways.join(", "))
            .raw("</li>");
    }
    let more = asset.reached.len().saturating_sub(NAMED);
    if more > 0 {
        html.raw("<li>and ")
            .text(&more.to_string())
            .raw(" more</li>");
    }
    html.raw("</ul>");
}

/// Reads the vulnerabilities with the highest score.
async fn worst(conn: &mut dyn Conn) -> Result<Vec<Vulnerability>> {
    let sql = format!(
        "SELECT e.\"_source\", (SELECT key FROM sources WHERE pk = e.\"_source\"), e.\"_id\", \
         e.\"name\", e.\"base_score\" FROM \"cur_vulnerability\" e \
         WHERE e.\"base_score\" IS NOT NULL ORDER BY e.\"base_score\" DESC, e.\"_pk\" DESC \
         LIMIT {VULNERABILITIES}"
    );
    let rows = conn.fetch(sql, Vec::new()).await?;
    let text = |row: &Row, index| row.str(index).unwrap_or_default().to_owned();
    Ok(rows
        .iter()
        .map(|row| Vulnerability {
            source: row.int(0).unwrap_or_default(),
            source_key: text(row, 1),
            id: text(row, 2),
            name: text(row, 3),
            score: row.get(4).as_float().unwrap_or_default(),
        })
        .collect())
}

/// Follows one way from all vulnerabilities, in one statement that stops by itself at each.
async fn follow(conn: &mut dyn Conn, worst: &[Vulnerability], edges: &[&str]) -> Result<Vec<Row>> {
    let dialect = conn.dialect();
    if dialect == Dialect::Postgres {
        let list: Vec<serde_json::Value> = worst
            .iter()
            .enumerate()
            .map(|(place, from)| serde_json::json!([place, from.source, from.id]))
            .collect();
        let sql = format!(
            "SELECT p.ord, x.* FROM {} p CROSS JOIN LATERAL ({}) x",
            dialect.parents("$1"),
            assets_of(edges, "p.id", "p.src")
        );
        let list = serde_json::Value::from(list).to_string();
        return conn.fetch(sql, vec![Value::Text(list)]).await;
    }
    // SQLite has no lateral joins; a part for each does the same.
    let mut args: Vec<Value> = Vec::new();
    let mut parts = Vec::new();
    for (place, vulnerability) in worst.iter().enumerate() {
        args.push(vulnerability.id.as_str().into());
        let id = format!("${}", args.len());
        args.push(vulnerability.source.into());
        let source = format!("${}", args.len());
        parts.push(format!(
            "SELECT {place} AS place, x.* FROM ({}) x",
            assets_of(edges, &id, &source)
        ));
    }
    conn.fetch(parts.join(" UNION ALL "), args).await
}

/// Writes the statement of the first assets that one vulnerability reaches on one way.
fn assets_of(edges: &[&str], id: &str, source: &str) -> String {
    // The order of the joins is what makes it fast; `CROSS JOIN` keeps it.
    let mut from = Vec::new();
    let mut conditions = vec![format!("e0.\"_source\" = {source}")];
    let mut near = id.to_owned();
    for (step, edge) in edges.iter().enumerate() {
        from.push(format!("{} e{step}", quote(&format!("cur_{edge}"))));
        conditions.push(format!("e{step}.\"_to\" = {near}"));
        if step > 0 {
            conditions.push(format!("e{step}.\"_source\" = e0.\"_source\""));
        }
        near = format!("e{step}.\"_from\"");
    }
    format!(
        "SELECT a.\"_source\" AS src, a.\"_id\" AS id, a.\"name\" AS name, a.\"risk\" AS risk, \
         (SELECT key FROM sources WHERE pk = a.\"_source\") AS key \
         FROM {} CROSS JOIN \"cur_asset\" a WHERE {} AND a.\"_id\" = {near} \
         AND a.\"_source\" = e0.\"_source\" LIMIT {REACHED}",
        from.join(" CROSS JOIN "),
        conditions.join(" AND ")
    )
}

fn note(
    assets: &mut HashMap<(i64, String), Asset>,
    worst: &[Vulnerability],
    way: &'static str,
    row: &Row,
) {
    let place = row.int(0).and_then(|place| usize::try_from(place).ok());
    let Some(place) = place.filter(|place| *place < worst.len()) else {
        return;
    };
    let id = row.str(2).unwrap_or_default();
    let asset = assets
        .entry((row.int(1).unwrap_or_default(), id.to_owned()))
        .or_insert_with(|| Asset {
            source_key: row.str(5).unwrap_or_default().to_owned(),
            id: id.to_owned(),
            name: row.str(3).unwrap_or(id).to_owned(),
            risk: row.get(4).as_float(),
            reached: Vec::new(),
        });
    let known = asset.reached.iter_mut().find(|(known, _)| *known == place);
    match known {
        Some((_, ways)) if ways.contains(&way) => {}
        Some((_, ways)) => ways.push(way),
        None => asset.reached.push((place, vec![way])),
    }
}
