//! What people see on a terminal: progress while a run goes on, the summary after it.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use car_core::cli::{Bars, headline, render, summary};
use car_core::engine::Phase;
use car_core::progress::{Event, Reporter};
use car_core::report::{Counts, Mode, Outcome, RunReport, ScopeReport};
use car_core::secret::{Redactor, Secret};
use car_core::{Failure, FailureKind};
use indicatif::{ProgressDrawTarget, TermLike};

fn report() -> RunReport {
    let counts = |sent, rejected, withheld| Counts {
        sent,
        rejected,
        withheld,
        ..Counts::default()
    };
    RunReport {
        duration_ms: 3_140,
        mode: Some(Mode::Full),
        why: "the source has no save point".to_owned(),
        outcome: Outcome::Complete,
        collections: [
            ("asset".to_owned(), counts(1_000, 0, 0)),
            ("asset_vulnerability".to_owned(), counts(1_998, 0, 2)),
            ("vulnerability".to_owned(), counts(22_005, 1, 0)),
        ]
        .into(),
        quarantine: Some("quarantine-s1.jsonl".to_owned()),
        ..RunReport::default()
    }
}

#[test]
fn the_summary_is_a_table_of_what_happened() {
    insta::assert_snapshot!(summary(&report()), @r"
    collection              sent   rejected   withheld
    ──────────────────────────────────────────────────
    asset                  1 000          0          0
    asset_vulnerability    1 998          0          2
    vulnerability         22 005          1          0

    rejected and withheld rows, and why: quarantine-s1.jsonl
    imported 25 003 objects in 3.1 s: full, because the source has no save point
    ");
}

#[test]
fn the_summary_names_scopes_that_failed() {
    let report = RunReport {
        outcome: Outcome::Partial,
        scopes: vec![
            ScopeReport {
                name: "instances/eu".to_owned(),
                error: vec!["no answer".to_owned(), "timed\nout \u{1b}[31m".to_owned()],
                hints: vec!["check `--server`".to_owned()],
                ..ScopeReport::default()
            },
            ScopeReport {
                name: "instances/us".to_owned(),
                complete: true,
                ..ScopeReport::default()
            },
        ],
        quarantine: None,
        collections: [(
            "asset".to_owned(),
            Counts {
                sent: 1,
                ..Counts::default()
            },
        )]
        .into(),
        ..report()
    };
    insta::assert_snapshot!(summary(&report), @r"
    collection   sent
    ─────────────────
    asset           1

    not complete: instances/eu: no answer: timed out �[31m
      hint: check `--server`
    imported 1 object in 3.1 s, but not all of the source: full, because the source has no save point
    ");
}

#[test]
fn every_outcome_has_its_headline() {
    let outcomes = [
        Outcome::Complete,
        Outcome::Unchanged,
        Outcome::Partial,
        Outcome::Held,
        Outcome::Interrupted,
        Outcome::Failed,
    ];
    let lines = outcomes.map(|outcome| {
        headline(&RunReport {
            outcome,
            ..report()
        })
    });
    insta::assert_snapshot!(lines.join("\n"), @r"
    imported 25 003 objects in 3.1 s: full, because the source has no save point
    nothing changed, found in 3.1 s: full, because the source has no save point
    imported 25 003 objects in 3.1 s, but not all of the source: full, because the source has no save point
    sent 25 003 objects in 3.1 s and retired nothing: full, because the source has no save point
    sent 25 003 objects in 3.1 s until a signal came: full, because the source has no save point
    sent 25 003 objects in 3.1 s until it failed: full, because the source has no save point
    ");
    let retired = Counts {
        sent: 1,
        retired: 1_234,
        ..Counts::default()
    };
    let report = RunReport {
        mode: Some(Mode::Incremental),
        why: String::new(),
        collections: [("asset".to_owned(), retired)].into(),
        ..report()
    };
    insta::assert_snapshot!(headline(&report), @"imported 1 object and retired 1 234 in 3.1 s: incremental");
}

#[test]
fn an_error_has_causes_and_hints_and_no_secrets() {
    let failure = Failure::new(FailureKind::CarRejected, "the service rejected batch 41")
        .with("status", 400)
        .because("hush-hush is no\nvulnerability \u{1b}[31m")
        .hint("check `map.rs`")
        .hint("the next run starts from hush-hush")
        .wrap("import stopped in phase edges");
    let redactor = Redactor::new(&[Secret::from("hush-hush")]);
    insta::assert_snapshot!(render(&failure, &redactor, false), @r"
    error: import stopped in phase edges
      Caused by: the service rejected batch 41 (status 400)
      Caused by: [secret] is no vulnerability �[31m

    hint: check `map.rs`
    hint: the next run starts from [secret]
    ");
    let coloured = render(&failure, &redactor, true);
    assert!(
        coloured.starts_with("\u{1b}[1;31merror\u{1b}[0m: import"),
        "{coloured}"
    );
    assert_eq!(
        coloured.matches("[31m").count(),
        1,
        "only the colour of the word `error`: {coloured}"
    );
}

/// A terminal that remembers what was written to it.
#[derive(Debug, Clone, Default)]
struct Paper(Arc<Mutex<String>>);

impl Paper {
    fn write(&self, text: &str) -> io::Result<()> {
        self.0.lock().unwrap().push_str(text);
        Ok(())
    }
}

impl TermLike for Paper {
    fn width(&self) -> u16 {
        100
    }

    fn move_cursor_up(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_down(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_right(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn move_cursor_left(&self, _: usize) -> io::Result<()> {
        Ok(())
    }

    fn write_line(&self, line: &str) -> io::Result<()> {
        self.write(line)?;
        self.write("\n")
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.write(text)
    }

    fn clear_line(&self) -> io::Result<()> {
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn progress_shows_rows_of_each_scope() {
    let paper = Paper::default();
    let bars = Bars::on(ProgressDrawTarget::term_like(Box::new(paper.clone())));
    for event in [
        Event::Decided {
            mode: Mode::Full,
            why: "asked".to_owned(),
        },
        Event::Phase(Phase::Vertices),
        Event::Scopes(vec!["assets".to_owned(), "hosts".to_owned()]),
        Event::Page {
            scope: "assets".to_owned(),
            rows: 2_000,
        },
        Event::Page {
            scope: "assets".to_owned(),
            rows: 1_500,
        },
        Event::Acknowledged {
            collection: "asset".to_owned(),
            rows: 2_000,
        },
        Event::Rejected {
            collection: "asset".to_owned(),
            reason: "no name".to_owned(),
        },
        Event::Waiting {
            call: "post import".to_owned(),
            attempt: 1,
            wait: Duration::from_secs(1),
            error: vec!["503".to_owned()],
        },
        Event::ScopeDone {
            scope: "assets".to_owned(),
        },
    ] {
        bars.report(&event);
    }
    bars.clear();
    let shown = paper.0.lock().unwrap().clone();
    for text in [
        "full import, vertices, 0 of 2 scopes: 0 rows read, 0 imported",
        "  assets: 2 000 rows",
        "3 500 rows read, 2 000 imported",
        "1 rejected",
        "1 of 2 scopes",
        "  assets: 3 500 rows in ",
    ] {
        assert!(shown.contains(text), "`{text}` is missing:\n{shown}");
    }
}
