//! `cargo xtask test`: the one list of checks that people and CI share.
//!
//! A failing step does not stop the others; what is skipped is said at the end.

mod api;
mod charts;
mod count;
mod images;
mod steps;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

pub(crate) use charts::helm;
pub use count::TestCount;
pub use images::{Images, command as images};
pub use steps::STEPS;

use crate::place::Place;
use crate::say::{result, talk};
use crate::tools::Tool;

/// What to do about what is missing.
const SETUP: &str = "which `cargo xtask setup` installs";

/// One named check.
#[derive(Debug)]
pub struct Step {
    /// What `--only` calls it.
    pub name: &'static str,
    /// What it checks.
    pub about: &'static str,
    /// Tools without which it is skipped, and fails in CI.
    pub needs: &'static [&'static str],
    /// Tools without which a part of it skips itself; the summary says so, and CI fails.
    pub wants: &'static [&'static str],
    /// Runs it.
    pub run: fn(&Place) -> Result<Outcome>,
}

/// How a step that did not fail ended.
#[derive(Debug)]
pub enum Outcome {
    /// All is well.
    Passed,
    /// All is well with so many tests.
    Tested(TestCount),
    /// It could not be done here for a reason outside of our hands, which is no failure.
    Skipped(String),
}

/// What to run.
#[derive(Debug, Default)]
pub struct Choice {
    /// Names of the steps; empty for all.
    pub only: Vec<String>,
    /// Whether the first failure ends the run.
    pub fail_fast: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Passed,
    Failed,
    Skipped,
}

/// One line of the summary.
struct Row {
    step: &'static str,
    verdict: Verdict,
    took: Duration,
    note: String,
}

/// Runs the chosen steps of `steps` and prints the summary.
///
/// # Errors
///
/// When a step failed.
pub fn test(place: &Place, steps: &[Step], choice: &Choice) -> Result<()> {
    let mut rows = Vec::new();
    let mut tests = None;
    for step in steps.iter().filter(|step| choice.includes(step)) {
        let (row, count) = run_step(place, step);
        if let Some(count) = count {
            tests.get_or_insert_with(TestCount::default).add(count);
        }
        let failed = row.verdict == Verdict::Failed;
        rows.push(row);
        if failed && choice.fail_fast {
            break;
        }
    }
    conclude(&rows, tests)
}

/// Prints the names of the steps and what each checks.
pub fn list() {
    for step in STEPS {
        result(format!("{:<12} {}", step.name, step.about));
    }
}

impl Choice {
    fn includes(&self, step: &Step) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == step.name)
    }
}

/// Tells whether no step needs a tool, but only what builds what is shipped.
pub fn only_for_dist(tool: &str) -> bool {
    ["musl", "musl-tools"].contains(&tool)
}

fn run_step(place: &Place, step: &Step) -> (Row, Option<TestCount>) {
    talk(format!("\n=== {}: {}", step.name, step.about));
    let start = Instant::now();
    let missing_is = if place.ci {
        Verdict::Failed
    } else {
        Verdict::Skipped
    };
    let needs = missing(step.needs, place);
    let (mut verdict, mut note, tests) = if needs.is_empty() {
        judge((step.run)(place))
    } else {
        (
            missing_is,
            format!("without {}, {SETUP}", needs.join(", ")),
            None,
        )
    };
    let wants = missing(step.wants, place);
    if !wants.is_empty() {
        let partly = format!("without what needs {}, {SETUP}", wants.join(", "));
        note = [note, partly]
            .into_iter()
            .filter(|note| !note.is_empty())
            .collect::<Vec<_>>()
            .join("; ");
        if place.ci {
            verdict = Verdict::Failed;
        }
    }
    let row = Row {
        step: step.name,
        verdict,
        took: start.elapsed(),
        note,
    };
    let (word, took) = (row.verdict.word(), seconds(row.took));
    talk(format!("--- {}: {word} in {took}", row.step));
    talk(&row.note);
    (row, tests)
}

/// What the end of a step means, with a note for the summary.
fn judge(end: Result<Outcome>) -> (Verdict, String, Option<TestCount>) {
    match end {
        Ok(Outcome::Passed) => (Verdict::Passed, String::new(), None),
        Ok(Outcome::Tested(count)) if count.failed == 0 => {
            (Verdict::Passed, count.to_string(), Some(count))
        }
        Ok(Outcome::Tested(count)) => (Verdict::Failed, count.to_string(), Some(count)),
        Ok(Outcome::Skipped(why)) => (Verdict::Skipped, why, None),
        Err(error) => (Verdict::Failed, format!("{error:#}"), None),
    }
}

fn missing(tools: &[&'static str], place: &Place) -> Vec<&'static str> {
    let mut missing = tools.to_vec();
    missing.retain(|name| {
        Tool::named(name)
            .and_then(|tool| tool.found(place))
            .is_none()
    });
    missing
}

fn conclude(rows: &[Row], tests: Option<TestCount>) -> Result<()> {
    result("\nstep         result       time");
    for row in rows {
        let (word, took) = (row.verdict.word(), seconds(row.took));
        let note = row.note.lines().next().unwrap_or_default();
        let line = format!("{:<12} {word:<8} {took:>8}  {note}", row.step);
        result(line.trim_end());
    }
    let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
    let failed = count(Verdict::Failed);
    result(format!(
        "steps: {} passed, {failed} failed, {} skipped",
        count(Verdict::Passed),
        count(Verdict::Skipped)
    ));
    if let Some(tests) = tests {
        result(format!("tests: {tests}"));
    }
    if failed > 0 {
        let names = rows
            .iter()
            .filter(|row| row.verdict == Verdict::Failed)
            .map(|row| row.step);
        bail!("failed: {}", names.collect::<Vec<_>>().join(", "));
    }
    Ok(())
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "FAILED",
            Self::Skipped => "skipped",
        }
    }
}

fn seconds(took: Duration) -> String {
    format!("{:.1} s", took.as_secs_f64())
}
