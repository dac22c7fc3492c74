//! `cargo xtask test`: the one list of checks that people and CI share.
//!
//! A failing step does not stop the others; what is skipped is said at the end.

mod count;
mod steps;

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

pub use count::TestCount;
pub use steps::STEPS;

use crate::place::Place;
use crate::say::{result, talk};
use crate::tools::Tool;

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
    notes: Vec<String>,
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

/// Prints the steps and what each needs.
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

fn run_step(place: &Place, step: &Step) -> (Row, Option<TestCount>) {
    talk(format!("\n=== {}: {}", step.name, step.about));
    let start = Instant::now();
    let mut notes = Vec::new();
    let mut tests = None;

    let needs = missing(step.needs, place);
    let mut verdict = if needs.is_empty() {
        match (step.run)(place) {
            Ok(Outcome::Passed) => Verdict::Passed,
            Ok(Outcome::Tested(count)) => {
                tests = Some(count);
                notes.push(count.to_string());
                // Cargo and nextest end with 0 for some ways of running nothing.
                if count.failed == 0 {
                    Verdict::Passed
                } else {
                    Verdict::Failed
                }
            }
            Ok(Outcome::Skipped(why)) => {
                notes.push(why);
                Verdict::Skipped
            }
            Err(error) => {
                notes.push(format!("{error:#}"));
                Verdict::Failed
            }
        }
    } else {
        notes.push(format!(
            "without {}: `cargo xtask setup` installs it",
            needs.join(", ")
        ));
        if place.ci {
            Verdict::Failed
        } else {
            Verdict::Skipped
        }
    };
    let wants = missing(step.wants, place);
    if !wants.is_empty() {
        let wants = wants.join(", ");
        notes.push(format!(
            "tests that need {wants} skip themselves: `cargo xtask setup` installs it"
        ));
        if place.ci {
            verdict = Verdict::Failed;
        }
    }
    let row = Row {
        step: step.name,
        verdict,
        took: start.elapsed(),
        notes,
    };
    talk(format!(
        "--- {}: {} in {}",
        row.step,
        row.verdict.word(),
        seconds(row.took)
    ));
    for note in &row.notes {
        talk(format!("    {note}"));
    }
    (row, tests)
}

fn missing(tools: &[&'static str], place: &Place) -> Vec<&'static str> {
    let there = |name: &&&str| Tool::named(name).is_some_and(|tool| tool.found(place).is_some());
    tools.iter().filter(|name| !there(name)).copied().collect()
}

fn conclude(rows: &[Row], tests: Option<TestCount>) -> Result<()> {
    result("\nstep         result       time");
    for row in rows {
        let (word, took) = (row.verdict.word(), seconds(row.took));
        result(format!(
            "{:<12} {word:<8} {took:>8}  {}",
            row.step,
            row.notes.join("; ")
        ));
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
