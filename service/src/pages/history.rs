//! The versions of an entity, and what changed from one to the next.

use serde_json::{Map, Value as Json};

use super::entity::Subject;
use super::format::{time, value};
use super::html::{Html, shorten};
use crate::error::Result;
use crate::store::lookup::field_json;
use crate::store::{Conn, Row, Table, quote};

/// Closed versions that a page shows.
const VERSIONS: usize = 20;

/// What was known of an entity for a time.
pub(super) struct Version {
    /// When it began, in milliseconds since 1970.
    pub(super) since: i64,
    /// When it ended; `None` for what holds now.
    pub(super) until: Option<i64>,
    /// Time of the last report of it.
    pub(super) seen: i64,
    /// Key of that report.
    pub(super) report: Option<String>,
    /// Identity across sources.
    pub(super) connecting: Option<String>,
    /// Fields in the order of the model, custom properties last.
    pub(super) fields: Vec<(String, Json)>,
}

impl Version {
    /// Returns the name as people know it.
    pub(super) fn name(&self) -> Option<&str> {
        self.fields
            .iter()
            .find(|(name, _)| name == "name")
            .and_then(|(_, value)| value.as_str())
            .filter(|name| !name.trim().is_empty())
    }

    fn get(&self, name: &str) -> &Json {
        const NULL: &Json = &Json::Null;
        self.fields
            .iter()
            .find(|(known, _)| known == name)
            .map_or(NULL, |(_, value)| value)
    }
}

/// Reads the versions, newest first, and whether these are all.
pub(super) async fn read(
    conn: &mut dyn Conn,
    subject: &Subject<'_>,
) -> Result<(Vec<Version>, bool)> {
    let table = subject.table;
    let mut columns = String::from("\"_t1\", \"_seen\", \"_report\", \"_cid\", \"_props\"");
    for field in &table.fields {
        columns.push_str(", ");
        columns.push_str(&quote(&field.name));
    }
    let mut versions = Vec::new();
    for (from, until, limit) in [
        (table.current(), "NULL", 1),
        (table.old(), "\"_t2\"", VERSIONS.saturating_add(1)),
    ] {
        let sql = format!(
            "SELECT {columns}, {until} AS ended FROM {} WHERE \"_id\" = $1 AND \"_source\" = $2 \
             ORDER BY \"_pk\" DESC LIMIT {limit}",
            quote(&from)
        );
        let args = vec![subject.id.into(), subject.source.into()];
        let rows = conn.fetch(sql, args).await?;
        versions.extend(rows.iter().map(|row| version(table, row)));
    }
    let most = VERSIONS.saturating_add(1);
    let complete = versions.len() <= most;
    versions.truncate(most);
    Ok((versions, complete))
}

fn version(table: &Table, row: &Row) -> Version {
    let mut fields: Vec<(String, Json)> = table
        .fields
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let value = field_json(field, row.get(index.saturating_add(5)));
            (field.name.clone(), value)
        })
        .collect();
    let custom: Map<String, Json> = row
        .str(4)
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    fields.extend(
        custom
            .into_iter()
            .map(|(name, value)| (format!("properties.{name}"), value)),
    );
    Version {
        since: row.int(0).unwrap_or_default(),
        seen: row.int(1).unwrap_or_default(),
        report: row.str(2).map(str::to_owned),
        connecting: row.str(3).map(str::to_owned),
        until: row.int(table.fields.len().saturating_add(5)),
        fields,
    }
}

/// Writes the versions as a table.
pub(super) fn write(html: &mut Html, versions: &[Version], complete: bool) {
    html.raw("<h2>History</h2>");
    html.table(
        "History",
        &["From (UTC)", "Until (UTC)", "Report", "Changes"],
    );
    let shown = if complete {
        versions.len()
    } else {
        versions.len().saturating_sub(1)
    };
    for (index, version) in versions.iter().enumerate().take(shown) {
        html.raw("<tr><th scope=\"row\">")
            .text(&time(version.since))
            .raw("</th><td>");
        match version.until {
            Some(until) => html.text(&time(until)),
            None => html.raw("now"),
        };
        html.raw("</td><td>")
            .text(version.report.as_deref().unwrap_or_default())
            .raw("</td><td>");
        match versions.get(index.saturating_add(1)) {
            None => {
                html.raw("first known");
            }
            Some(before) => changes(html, before, version),
        }
        html.raw("</td></tr>");
    }
    html.end_table();
    if !complete {
        html.raw("<p class=\"note\">Older versions are not shown.</p>");
    }
}

fn changes(html: &mut Html, before: &Version, version: &Version) {
    if before.until.is_some_and(|until| until < version.since) {
        html.raw("came back; ");
    }
    let mut names: Vec<&str> = before
        .fields
        .iter()
        .chain(&version.fields)
        .map(|(name, _)| name.as_str())
        .collect();
    let mut known = std::collections::HashSet::new();
    names.retain(|name| known.insert(*name) && before.get(name) != version.get(name));
    if names.is_empty() {
        html.raw("the same fields");
        return;
    }
    html.raw("<ul>");
    for name in names {
        let text = |version: &Version| match version.get(name) {
            Json::Null => "nothing".to_owned(),
            field => shorten(&value(field), 60),
        };
        html.raw("<li>")
            .text(name)
            .raw(": ")
            .text(&text(before))
            .raw(" → ")
            .text(&text(version))
            .raw("</li>");
    }
    html.raw("</ul>");
}
