//! `quarantine show`: the rows that a run did not send, and why.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::builder::RangedU64ValueParser;
use clap::{Arg, ArgMatches, Command, ValueHint};

use super::console::Console;
use super::number::grouped;
use super::{grid, plan};
use crate::exit::SUCCESS;
use crate::failure::{Failure, FailureKind};
use crate::handler::{RejectedRow, RejectedRows};
use crate::telemetry::printable;

/// Makes the verb.
pub(super) fn command() -> Command {
    let filter = |name: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name("TEXT").help(help)
    };
    Command::new("quarantine")
        .about("Show the rows that a run rejected or withheld, and why")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(
            Command::new("show")
                .about("Show the rows of a quarantine file")
                .arg(
                    Arg::new("file")
                        .value_name("FILE")
                        .required(true)
                        .value_hint(ValueHint::FilePath)
                        .value_parser(clap::value_parser!(PathBuf))
                        .help("The file, as the summary of the run names it"),
                )
                .arg(filter(
                    "reason",
                    "Show only rows whose reason has this text",
                ))
                .arg(filter(
                    "in-scope",
                    "Show only rows of the scope of this name",
                ))
                .arg(filter("collection", "Show only rows of this collection"))
                .arg(
                    Arg::new("limit")
                        .long("limit")
                        .value_name("NUMBER")
                        .default_value("50")
                        .value_parser(RangedU64ValueParser::<u64>::new())
                        .help("Rows to show as text; JSON has them all"),
                )
                .arg(plan::output()),
        )
}

/// Which rows to show.
struct Filter<'a> {
    reason: Option<&'a String>,
    scope: Option<&'a String>,
    collection: Option<&'a String>,
}

impl Filter<'_> {
    fn takes(&self, row: &RejectedRow) -> bool {
        self.reason
            .is_none_or(|text| row.reason.contains(text.as_str()))
            && self.scope.is_none_or(|name| row.scope == *name)
            && self.collection.is_none_or(|name| row.collection == *name)
    }
}

/// Shows a file and returns the exit code.
pub(super) fn run(console: &Console, verb: &ArgMatches) -> u8 {
    let Some(("show", verb)) = verb.subcommand() else {
        return SUCCESS;
    };
    let Some(file) = verb.get_one::<PathBuf>("file") else {
        return SUCCESS;
    };
    let filter = Filter {
        reason: verb.get_one("reason"),
        scope: verb.get_one("in-scope"),
        collection: verb.get_one("collection"),
    };
    let shown = if plan::wants_json(verb) {
        json(console, file, &filter)
    } else {
        let limit = verb.get_one::<u64>("limit").copied().unwrap_or_default();
        text(file, &filter, limit).map(|text| console.print(&text))
    };
    shown.unwrap_or_else(|failure| console.fail(&failure))
}

/// Prints the rows one a line, as they are in the file.
fn json(console: &Console, file: &Path, filter: &Filter<'_>) -> Result<u8, Failure> {
    for row in RejectedRows::open(file)? {
        let row = row?;
        if !filter.takes(&row) {
            continue;
        }
        let line = serde_json::to_string(&row).map_err(|error| {
            Failure::new(FailureKind::General, "a row cannot be written as JSON").because(error)
        })?;
        let code = console.print(&format!("{line}\n"));
        if code != SUCCESS {
            return Ok(code);
        }
    }
    Ok(SUCCESS)
}

fn text(file: &Path, filter: &Filter<'_>, limit: u64) -> Result<String, Failure> {
    let mut rows = Vec::new();
    let mut reasons: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut total = 0_u64;
    for row in RejectedRows::open(file)? {
        let row = row?;
        if !filter.takes(&row) {
            continue;
        }
        total = total.saturating_add(1);
        if total <= limit {
            rows.push(vec![
                printable(&row.scope).into_owned(),
                printable(&row.collection).into_owned(),
                printable(&row.name().unwrap_or_else(|| "?".to_owned())).into_owned(),
                printable(&row.reason).into_owned(),
            ]);
        }
        let known = reasons.entry((row.collection, row.reason)).or_default();
        *known = known.saturating_add(1);
    }
    if total == 0 {
        return Ok("no row\n".to_owned());
    }
    let mut text = String::new();
    if !rows.is_empty() {
        text.push_str(&grid::texts(
            &["scope", "collection", "row", "reason"],
            &rows,
        ));
        text.push('\n');
    }
    let mut reasons: Vec<((String, String), u64)> = reasons.into_iter().collect();
    reasons.sort_by(|(_, one), (_, other)| other.cmp(one));
    let most: Vec<Vec<String>> = reasons
        .iter()
        .take(20)
        .map(|((collection, reason), count)| {
            vec![
                printable(&format!("{collection}: {reason}")).into_owned(),
                grouped(*count),
            ]
        })
        .collect();
    text.push_str(&grid::table(&["reason", "rows"], &most));
    let rest = reasons.len().saturating_sub(most.len());
    if rest > 0 {
        text.push_str(&format!("and {} other reasons\n", grouped(rest as u64)));
    }
    if total > limit {
        text.push_str(&format!(
            "\n{} of {} rows shown; `--limit` shows more, `--output json` all\n",
            grouped(limit),
            grouped(total)
        ));
    }
    Ok(text)
}
