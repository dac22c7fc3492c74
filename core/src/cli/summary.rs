//! What came of a run, for people.

use std::time::Duration;

use super::grid;
use super::number::{duration, grouped};
use crate::report::{Counts, Mode, Outcome, RunReport};
use crate::telemetry::printable;

/// Takes a number out of the counts of a collection.
type Take = fn(&Counts) -> u64;

/// Columns of the table; one is shown when a collection has something in it.
const COLUMNS: [(&str, Take); 7] = [
    ("sent", |counts| counts.sent),
    ("unchanged", |counts| counts.skipped),
    ("repeated", |counts| counts.duplicate),
    ("merged", |counts| counts.merged),
    ("rejected", |counts| counts.rejected),
    ("withheld", |counts| counts.withheld),
    ("retired", |counts| counts.retired),
];

/// Returns what came of a run in one line: `imported 25 003 objects in 3.1 s: full, because …`.
#[must_use]
pub fn headline(report: &RunReport) -> String {
    let objects = |number: u64| {
        format!(
            "{} {}",
            grouped(number),
            if number == 1 { "object" } else { "objects" }
        )
    };
    let totals = report.totals();
    let time = duration(Duration::from_millis(report.duration_ms));
    let done = match report.outcome {
        Outcome::Unchanged => format!("nothing changed, found in {time}"),
        Outcome::Complete if totals.retired > 0 => format!(
            "imported {} and retired {} in {time}",
            objects(totals.sent),
            grouped(totals.retired)
        ),
        Outcome::Complete => format!("imported {} in {time}", objects(totals.sent)),
        Outcome::Partial => format!(
            "imported {} in {time}, but not all of the source",
            objects(totals.sent)
        ),
        Outcome::Held => format!(
            "sent {} in {time} and retired nothing",
            objects(totals.sent)
        ),
        Outcome::Interrupted => format!(
            "sent {} in {time} until a signal came",
            objects(totals.sent)
        ),
        Outcome::Failed => format!("sent {} in {time} until it failed", objects(totals.sent)),
    };
    match report.mode.map(Mode::as_str) {
        Some(mode) if !report.why.is_empty() => format!("{done}: {mode}, because {}", report.why),
        Some(mode) => format!("{done}: {mode}"),
        None => done,
    }
}

/// Returns a table of counts by collection, scopes that failed, and the headline.
#[must_use]
pub fn summary(report: &RunReport) -> String {
    let mut text = String::new();
    let columns: Vec<(&str, Take)> = COLUMNS
        .into_iter()
        .filter(|(_, take)| report.collections.values().any(|counts| take(counts) > 0))
        .collect();
    if !columns.is_empty() {
        let headings: Vec<&str> = std::iter::once("collection")
            .chain(columns.iter().map(|(name, _)| *name))
            .collect();
        let row = |name: &str, counts: &Counts| {
            let numbers = columns.iter().map(|(_, take)| grouped(take(counts)));
            std::iter::once(name.to_owned()).chain(numbers).collect()
        };
        let rows: Vec<Vec<String>> = report
            .collections
            .iter()
            .map(|(name, counts)| row(name, counts))
            .collect();
        text.push_str(&grid::table(&headings, &rows));
        text.push('\n');
    }
    for scope in report
        .scopes
        .iter()
        .filter(|scope| !scope.complete && !scope.error.is_empty())
    {
        let line = format!("not complete: {}: {}", scope.name, scope.error.join(": "));
        text.push_str(&printable(&line));
        text.push('\n');
        for hint in &scope.hints {
            text.push_str(&printable(&format!("  hint: {hint}")));
            text.push('\n');
        }
    }
    let totals = report.totals();
    if totals.rejected.saturating_add(totals.withheld) > 0
        && let Some(file) = &report.quarantine
    {
        text.push_str(&format!("rejected and withheld rows, and why: {file}\n"));
    }
    text.push_str(&headline(report));
    text.push('\n');
    text
}
