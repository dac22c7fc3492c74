//! The figures and their table.

use std::io::Write as _;
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};

/// What a service may hold when it does nothing, in bytes.
const IDLE: u64 = 64 << 20;

/// One figure.
pub(super) struct Line {
    what: String,
    measured: String,
    beside: String,
    goal: String,
    met: Option<bool>,
}

impl Line {
    fn new(what: &str, measured: String) -> Self {
        Self {
            what: what.to_owned(),
            measured,
            beside: String::new(),
            goal: String::new(),
            met: None,
        }
    }

    /// How long something took, and the most that it may take.
    pub(super) fn time(what: &str, took: Duration, limit: Duration) -> Self {
        Self {
            goal: format!("< {} ms", limit.as_millis()),
            met: Some(took < limit),
            ..Self::new(what, milliseconds(took))
        }
    }

    /// How much memory a service has.
    pub(super) fn memory(what: &str, bytes: u64) -> Self {
        Self {
            goal: format!("< {} MiB", IDLE >> 20),
            met: Some(bytes < IDLE),
            ..Self::new(what, format!("{} MiB", bytes >> 20))
        }
    }

    /// Rows that were taken in, and how long the database alone takes for them.
    pub(super) fn ingestion(rows: u64, took: Duration, bare: Duration) -> Self {
        let ratio = bare.as_secs_f64() / took.as_secs_f64();
        Self {
            beside: format!(
                "{:.0} rows/s bare, ratio {ratio:.2}",
                per_second(rows, bare)
            ),
            goal: "ratio >= 0.50".to_owned(),
            met: Some(ratio >= 0.5),
            ..Self::rate("ingestion over HTTP", rows, took)
        }
    }

    /// Rows in a time.
    pub(super) fn rate(what: &str, rows: u64, took: Duration) -> Self {
        let what = format!("{what}, {rows} rows");
        Self::new(&what, format!("{:.0} rows/s", per_second(rows, took)))
    }

    /// The same on the large and on the small graph.
    pub(super) fn beside(what: &str, large: Duration, small: Duration) -> Self {
        let ratio = large.as_secs_f64() / small.as_secs_f64();
        Self {
            beside: format!("{} small, ratio {ratio:.2}", milliseconds(small)),
            goal: "ratio < 2".to_owned(),
            met: Some(ratio < 2.0),
            ..Self::new(what, milliseconds(large))
        }
    }
}

/// All figures of a run.
#[derive(Default)]
pub(super) struct Report {
    lines: Vec<(&'static str, Line)>,
    notes: Vec<&'static str>,
}

impl Report {
    pub(super) fn line(&mut self, store: &'static str, line: Line) {
        self.lines.push((store, line));
    }

    pub(super) fn note(&mut self, note: &'static str) {
        self.notes.push(note);
    }

    pub(super) fn print(self) -> anyhow::Result<()> {
        let mut table = Table::new();
        table.load_style(presets::ASCII_MARKDOWN);
        table.set_header(["store", "what", "measured", "beside", "goal", "met"]);
        for (store, line) in self.lines {
            let met = match line.met {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "",
            };
            table.add_row([
                store,
                &line.what,
                &line.measured,
                &line.beside,
                &line.goal,
                met,
            ]);
        }
        if let Some(column) = table.column_mut(2) {
            column.set_cell_alignment(CellAlignment::Right);
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "{table}")?;
        for note in self.notes {
            writeln!(out, "{note}")?;
        }
        Ok(())
    }
}

fn milliseconds(took: Duration) -> String {
    format!("{:.2} ms", took.as_secs_f64() * 1e3)
}

#[expect(clippy::cast_precision_loss, reason = "figures of a few digits")]
fn per_second(rows: u64, took: Duration) -> f64 {
    rows as f64 / took.as_secs_f64()
}
