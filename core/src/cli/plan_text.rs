//! A plan as people read it.

use serde_json::Value;

use super::grid;
use super::number::grouped;
use crate::engine::{Plan, PlannedRows};
use crate::report::Mode;
use crate::telemetry::printable;

/// Longest name or value that is shown.
const LONGEST: usize = 60;

/// Takes a number out of the counts of a collection.
type Take = fn(&PlannedRows) -> u64;

const COMPARED: [(&str, Take); 4] = [
    ("create", |rows| rows.created),
    ("update", |rows| rows.updated),
    ("retire", |rows| rows.retired),
    ("unchanged", |rows| rows.unchanged),
];

const COUNTED: [(&str, Take); 1] = [("send", |rows| rows.sent)];

/// Returns the whole plan: a table, samples, notes and the costs.
pub(super) fn text(plan: &Plan) -> String {
    let mut text = String::new();
    let columns: &[(&str, Take)] = match plan.compared {
        true => &COMPARED,
        false => &COUNTED,
    };
    let headings: Vec<&str> = std::iter::once("collection")
        .chain(columns.iter().map(|(name, _)| *name))
        .collect();
    let rows: Vec<Vec<String>> = plan
        .collections
        .iter()
        .map(|(name, rows)| {
            let numbers = columns.iter().map(|(_, take)| grouped(take(rows)));
            std::iter::once(name.clone()).chain(numbers).collect()
        })
        .collect();
    if !rows.is_empty() {
        text.push_str(&grid::table(&headings, &rows));
        text.push('\n');
    }
    for (name, rows) in &plan.collections {
        samples(name, rows, &mut text);
    }
    for note in &plan.notes {
        line(&mut text, &format!("note: {note}"));
    }
    if !plan.compared {
        line(
            &mut text,
            "note: this CAR service cannot compare rows with the graph: which are new, changed or gone is not known",
        );
    } else if !plan.complete {
        line(
            &mut text,
            "note: not all of the source could be told from the graph, so rows to retire are missing here, and there is no plan to import",
        );
    }
    for held in &plan.held {
        line(&mut text, &format!("held: {held}"));
    }
    let (import, totals) = (plan.import, plan.totals());
    line(
        &mut text,
        &format!(
            "an import would make {} calls and send {}",
            grouped(import.calls),
            bytes(import.bytes)
        ),
    );
    if let Some(apply) = plan.apply {
        line(
            &mut text,
            &format!(
                "this plan takes {} calls and {}",
                grouped(apply.calls),
                bytes(apply.bytes)
            ),
        );
    }
    let mode = plan.mode.map_or("no", Mode::as_str);
    let done = match plan.compared {
        true => format!(
            "{} to create, {} to update, {} to retire",
            grouped(totals.created),
            grouped(totals.updated),
            grouped(totals.retired)
        ),
        false => format!("{} to send", grouped(totals.sent)),
    };
    line(
        &mut text,
        &format!("plan of a {mode} import: {done}, because {}", plan.why),
    );
    text
}

fn samples(collection: &str, rows: &PlannedRows, text: &mut String) {
    let more = |text: &mut String, all: u64, shown: usize| {
        let more = all.saturating_sub(shown as u64);
        if more > 0 && shown > 0 {
            line(text, &format!("    and {} more", grouped(more)));
        }
    };
    let changed = &rows.samples;
    if changed.created.is_empty() && changed.updated.is_empty() && changed.retired.is_empty() {
        return;
    }
    line(text, &format!("{collection}:"));
    for name in &changed.created {
        line(text, &format!("  + {}", short(name)));
    }
    more(text, rows.created, changed.created.len());
    for row in &changed.updated {
        line(text, &format!("  ~ {}", short(&row.row)));
        for (field, (old, new)) in &row.fields {
            line(
                text,
                &format!("      {field}: {} → {}", value(old), value(new)),
            );
        }
    }
    more(text, rows.updated, changed.updated.len());
    if !rows.fields.is_empty() {
        let fields: Vec<String> = rows
            .fields
            .iter()
            .map(|(field, count)| format!("{field} ({})", grouped(*count)))
            .collect();
        line(text, &format!("    changed fields: {}", fields.join(", ")));
    }
    for name in &changed.retired {
        line(text, &format!("  - {}", short(name)));
    }
    more(text, rows.retired, changed.retired.len());
    text.push('\n');
}

fn line(text: &mut String, line: &str) {
    text.push_str(&printable(line));
    text.push('\n');
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        other => short(&other.to_string()),
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(LONGEST) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
    }
}

/// Writes a number of bytes: `512 bytes`, `3.1 MB`.
fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{} bytes", grouped(bytes)),
        10_000..1_000_000 => format!("{} kB", bytes / 1000),
        _ => format!("{}.{} MB", bytes / 1_000_000, bytes / 100_000 % 10),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_values_are_cut_between_letters() {
        assert_eq!(short("short"), "short");
        let cut = short(&"ä".repeat(61));
        assert_eq!(cut, format!("{}…", "ä".repeat(60)));
        assert_eq!(value(&Value::Null), "nothing");
    }

    #[test]
    fn bytes_have_a_fitting_unit() {
        for (number, text) in [
            (0, "0 bytes"),
            (9_999, "9 999 bytes"),
            (10_000, "10 kB"),
            (3_190_000, "3.1 MB"),
        ] {
            assert_eq!(bytes(number), text);
        }
    }
}
