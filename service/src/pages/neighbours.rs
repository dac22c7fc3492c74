//! What an entity is linked with, as lists and drawn.

use super::browse::entity_address;
use super::entity::Subject;
use super::html::{Html, shorten};
use crate::error::Result;
use crate::store::{Conn, Layout, Table, quote};

/// Neighbours per edge collection and direction.
const EACH: usize = 15;

/// Neighbours on either side of the drawing.
const SIDE: usize = 10;

/// Letters of a name in the drawing.
const LETTERS: usize = 30;

/// The neighbours over one edge collection in one direction.
pub(super) struct Group {
    edge: String,
    /// Whether the edges lead away from the entity.
    out: bool,
    collection: String,
    source: String,
    /// Identity and name.
    list: Vec<(String, String)>,
    more: bool,
}

/// Reads the first neighbours over each edge collection.
pub(super) async fn read(
    conn: &mut dyn Conn,
    layout: &Layout,
    subject: &Subject<'_>,
) -> Result<Vec<Group>> {
    let mut groups = Vec::new();
    for edge in layout.edges() {
        let Some((from, to)) = &edge.ends else {
            continue;
        };
        for (here, there, out) in [(from, to, true), (to, from, false)] {
            if *here != subject.table.name {
                continue;
            }
            let Some(far) = layout.get(there) else {
                continue;
            };
            let group = group(conn, subject, edge, far, out).await?;
            groups.extend(group);
        }
    }
    Ok(groups)
}

async fn group(
    conn: &mut dyn Conn,
    subject: &Subject<'_>,
    edge: &Table,
    far: &Table,
    out: bool,
) -> Result<Option<Group>> {
    // The index from this end gives the edges one by one, so a vertex with a million is quick.
    let (near_end, far_end, order) = if out {
        ("_from", "_to", " ORDER BY e.\"_to\"")
    } else {
        ("_to", "_from", "")
    };
    let name = if far.fields.iter().any(|field| field.name == "name") {
        "v.\"name\""
    } else {
        "v.\"_id\""
    };
    // The order of the join is what makes it fast; `CROSS JOIN` keeps it.
    let sql = format!(
        "SELECT e.\"{far_end}\", {name} FROM {} e CROSS JOIN {} v \
         WHERE e.\"{near_end}\" = $1 AND e.\"_source\" = $2 \
         AND v.\"_id\" = e.\"{far_end}\" AND v.\"_source\" = e.\"_source\"{order} LIMIT {}",
        quote(&edge.current()),
        quote(&far.current()),
        EACH.saturating_add(1)
    );
    let args = vec![subject.id.into(), subject.source.into()];
    let rows = conn.fetch(sql, args).await?;
    if rows.is_empty() {
        return Ok(None);
    }
    let more = rows.len() > EACH;
    let list = rows
        .iter()
        .take(EACH)
        .map(|row| {
            let id = row.str(0).unwrap_or_default();
            let name = row.str(1).filter(|name| !name.trim().is_empty());
            (id.to_owned(), name.unwrap_or(id).to_owned())
        })
        .collect();
    Ok(Some(Group {
        edge: edge.name.clone(),
        out,
        collection: far.name.clone(),
        source: subject.source_key.to_owned(),
        list,
        more,
    }))
}

impl Group {
    fn address(&self, id: &str) -> String {
        entity_address(&self.collection, &self.source, id)
    }
}

/// Writes the neighbours.
pub(super) fn write(html: &mut Html, title: &str, groups: &[Group]) {
    html.raw("<h2>Neighbours</h2>");
    if groups.is_empty() {
        html.raw("<p>none</p>");
        return;
    }
    draw(html, title, groups);
    for group in groups {
        html.raw("<h3>")
            .text(&group.edge)
            .raw(if group.out { " to " } else { " from " })
            .text(&group.collection)
            .raw("</h3><ul>");
        for (id, name) in &group.list {
            html.raw("<li>").link(&group.address(id), name);
            if id != name {
                html.raw(" <code>").text(id).raw("</code>");
            }
            html.raw("</li>");
        }
        if group.more {
            html.raw("<li class=\"note\">and more</li>");
        }
        html.raw("</ul>");
    }
}

/// Chooses neighbours for the drawing: of each group in turn, then back in order.
fn chosen(groups: &[Group]) -> Vec<(&Group, &(String, String))> {
    let mut places: Vec<(usize, usize)> = Vec::new();
    for nth in 0..EACH {
        for (number, group) in groups.iter().enumerate() {
            if nth < group.list.len() && places.len() < SIDE.saturating_mul(2) {
                places.push((number, nth));
            }
        }
    }
    places.sort_unstable();
    places
        .into_iter()
        .filter_map(|(number, nth)| {
            let group = groups.get(number)?;
            Some((group, group.list.get(nth)?))
        })
        .collect()
}

/// Distance of two neighbours in the drawing.
const STEP: usize = 44;

/// Draws the entity in the middle and its neighbours in two columns beside it.
fn draw(html: &mut Html, title: &str, groups: &[Group]) {
    let nodes = chosen(groups);
    let left = nodes.len() / 2;
    let right = nodes.len().saturating_sub(left);
    let height = right
        .max(left)
        .max(2)
        .saturating_mul(STEP)
        .saturating_add(STEP);
    let middle = height / 2;
    let begin = |count: usize| {
        let used = count.saturating_sub(1).saturating_mul(STEP);
        height.saturating_sub(used) / 2
    };
    let (mut y_left, mut y_right) = (begin(left), begin(right));
    let mut lines = Html::default();
    let mut marks = Html::default();
    for (index, (group, (id, name))) in nodes.iter().enumerate() {
        let (x, y) = if index < left {
            (240, &mut y_left)
        } else {
            (560, &mut y_right)
        };
        number(lines.raw("<line x1=\"400\" y1=\""), middle);
        number(lines.raw("\" x2=\""), x);
        number(lines.raw("\" y2=\""), *y);
        lines.raw("\"/>");
        marks
            .raw("<a href=\"")
            .text(&group.address(id))
            .raw("\"><circle r=\"7\" cx=\"");
        number(&mut marks, x);
        number(marks.raw("\" cy=\""), *y);
        let (text_x, anchor) = if index < left {
            (x.saturating_sub(14), "\" text-anchor=\"end")
        } else {
            (x.saturating_add(14), "")
        };
        number(marks.raw("\"/><text x=\""), text_x);
        number(marks.raw("\" y=\""), y.saturating_add(1));
        marks
            .raw(anchor)
            .raw("\">")
            .text(&shorten(name, LETTERS))
            .raw("</text></a><text class=\"kind\" x=\"");
        number(&mut marks, text_x);
        number(marks.raw("\" y=\""), y.saturating_add(14));
        marks
            .raw(anchor)
            .raw("\">")
            .text(&group.edge)
            .raw("</text>");
        *y = y.saturating_add(STEP);
    }
    html.raw("<figure class=\"scroll\"><svg role=\"group\" aria-label=\"Neighbours of ")
        .text(title)
        .raw(", as listed below\" viewBox=\"56 0 688 ");
    number(html, height);
    html.raw("\">").add(&lines);
    number(
        html.raw("<circle class=\"here\" r=\"11\" cx=\"400\" cy=\""),
        middle,
    );
    number(
        html.raw("\"/><text class=\"here\" text-anchor=\"middle\" x=\"400\" y=\""),
        middle.saturating_sub(20),
    );
    html.raw("\">")
        .text(&shorten(title, LETTERS))
        .raw("</text>")
        .add(&marks)
        .raw("</svg></figure>");
}

fn number(html: &mut Html, number: usize) {
    html.text(&number.to_string());
}
