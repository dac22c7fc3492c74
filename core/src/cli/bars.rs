//! Progress on a terminal: one line for the run, one for each scope that is being read.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::number::{duration, grouped};
use crate::progress::{Event, Reporter};
use crate::telemetry::{printable, tell_trouble};

/// How often the lines move.
const TICK: Duration = Duration::from_millis(120);

/// Scopes beyond this number leave no line of their own when they are done.
const LISTED_SCOPES: usize = 24;

/// Rejected rows that are told one by one; the rest is counted.
const TOLD_REJECTS: u64 = 5;

/// Shows what the engine tells as lines that move.
pub struct Bars {
    multi: MultiProgress,
    state: Mutex<State>,
}

struct State {
    run: ProgressBar,
    scopes: BTreeMap<String, Scope>,
    listed: usize,
    total: usize,
    done: usize,
    phase: &'static str,
    mode: String,
    read: u64,
    acknowledged: u64,
    rejected: u64,
    began: Instant,
}

struct Scope {
    bar: ProgressBar,
    rows: u64,
    began: Instant,
}

impl Bars {
    /// Shows them on standard error, if that is a terminal.
    #[must_use]
    pub fn on_terminal() -> Self {
        let bars = Self::on(ProgressDrawTarget::stderr());
        if let Ok(state) = bars.state.lock() {
            state.run.enable_steady_tick(TICK);
        }
        bars
    }

    /// Shows them elsewhere; they move with events only.
    #[must_use]
    pub fn on(target: ProgressDrawTarget) -> Self {
        let multi = MultiProgress::with_draw_target(target);
        let run = multi.add(ProgressBar::new_spinner().with_style(style()));
        let state = State {
            run,
            scopes: BTreeMap::new(),
            listed: 0,
            total: 0,
            done: 0,
            phase: "opening",
            mode: String::new(),
            read: 0,
            acknowledged: 0,
            rejected: 0,
            began: Instant::now(),
        };
        state.show();
        Self {
            multi,
            state: Mutex::new(state),
        }
    }

    /// Returns the handle with which lines can be written above.
    #[must_use]
    pub fn multi(&self) -> MultiProgress {
        self.multi.clone()
    }

    /// Takes the lines away.
    pub fn clear(&self) {
        if let Ok(state) = self.state.lock() {
            state.run.finish_and_clear();
            state
                .scopes
                .values()
                .for_each(|scope| scope.bar.finish_and_clear());
        }
    }

    fn leave(&self, state: &mut State, line: &str) {
        if state.listed < LISTED_SCOPES {
            state.listed = state.listed.saturating_add(1);
            drop(self.multi.println(line));
        }
    }
}

impl State {
    fn show(&self) {
        let scopes = match self.total {
            0 => String::new(),
            total => format!(", {} of {total} scopes", self.done),
        };
        let rejected = match self.rejected {
            0 => String::new(),
            rejected => format!(", {} rejected", grouped(rejected)),
        };
        self.run.set_message(format!(
            "{}{}{scopes}: {} rows read, {} imported{rejected}{}",
            self.mode,
            self.phase,
            grouped(self.read),
            grouped(self.acknowledged),
            rate(self.acknowledged, self.began.elapsed()),
        ));
    }

    fn end_scope(&mut self, name: &str) -> (u64, Duration) {
        self.done = self.done.saturating_add(1);
        match self.scopes.remove(name) {
            Some(scope) => {
                scope.bar.finish_and_clear();
                (scope.rows, scope.began.elapsed())
            }
            None => (0, Duration::ZERO),
        }
    }
}

impl Reporter for Bars {
    fn report(&self, event: &Event) {
        let Ok(mut state) = self.state.lock() else {
            return;
        };
        match event {
            Event::Decided { mode, .. } => state.mode = format!("{} import, ", mode.as_str()),
            Event::Phase(phase) => state.phase = phase.as_str(),
            Event::Scopes(scopes) => state.total = scopes.len(),
            Event::Page { scope, rows } => {
                state.read = state.read.saturating_add(*rows);
                let multi = &self.multi;
                let shown = state.scopes.entry(scope.clone()).or_insert_with(|| Scope {
                    bar: multi.add(ProgressBar::new_spinner().with_style(style())),
                    rows: 0,
                    began: Instant::now(),
                });
                shown.rows = shown.rows.saturating_add(*rows);
                shown.bar.set_message(format!(
                    "  {}: {} rows{}",
                    printable(scope),
                    grouped(shown.rows),
                    rate(shown.rows, shown.began.elapsed())
                ));
                shown.bar.tick();
            }
            Event::ScopeDone { scope } => {
                let (rows, time) = state.end_scope(scope);
                let rows = grouped(rows);
                let line = format!("  {}: {rows} rows in {}", printable(scope), duration(time));
                self.leave(&mut state, &line);
            }
            Event::ScopeFailed { scope, .. } => {
                state.end_scope(scope);
            }
            Event::Acknowledged { rows, .. } => {
                state.acknowledged = state.acknowledged.saturating_add(*rows);
            }
            Event::Rejected { .. } => state.rejected = state.rejected.saturating_add(1),
            Event::Waiting { .. } | Event::Throttled { .. } => {}
        }
        state.show();
        state.run.tick();
        let quiet = matches!(event, Event::Rejected { .. }) && state.rejected > TOLD_REJECTS;
        // The log writes above the lines, which needs them to be free.
        drop(state);
        if !quiet {
            tell_trouble(event);
        }
    }
}

fn style() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn rate(rows: u64, time: Duration) -> String {
    let millis = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    match rows.saturating_mul(1000) / millis {
        // Too early to tell, or nothing to tell.
        _ if millis < 100 => String::new(),
        0 => String::new(),
        rate => format!(", {} a second", grouped(rate)),
    }
}
