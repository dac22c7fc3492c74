//! How far an exchange is and what came of it, for people.

use std::time::Duration;

use crate::cli::grid;
use crate::cli::number::{duration, grouped};
use crate::exchange::{Mode, Progress, Summary};

/// Writes progress on one line: rows, rate, share and the time that is left.
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "rates and shares for people need no more precision"
)]
pub(super) fn line(progress: &Progress, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64().max(0.001);
    let rate = (progress.read as f64 / seconds) as u64;
    let mut text = format!(
        "{} rows, {} a second",
        grouped(progress.read),
        grouped(rate)
    );
    if progress.failed > 0 {
        text.push_str(&format!(", {} failed", grouped(progress.failed)));
    }
    if let Some(share) = progress.share.filter(|share| *share > 0.0) {
        let left = Duration::from_secs_f64((seconds / share - seconds).clamp(0.0, 1e9));
        text.push_str(&format!(
            ", {:.0} %, {} left",
            share * 100.0,
            duration(left)
        ));
    }
    text
}

/// Returns what was done in one line.
pub(super) fn headline(summary: &Summary) -> String {
    let counts = &summary.counts;
    let rows = |number: u64| match number {
        1 => "1 row".to_owned(),
        number => format!("{} rows", grouped(number)),
    };
    let time = duration(summary.duration);
    match summary.mode {
        Mode::DataSource => format!("wrote {} in {time}", rows(counts.written)),
        Mode::DataService => format!(
            "read {} and wrote {} in {time}",
            rows(counts.read),
            grouped(counts.written)
        ),
        Mode::Export | Mode::ExportDelta => format!(
            "read {} and sent {} in {time}",
            rows(counts.read),
            grouped(counts.sent)
        ),
    }
}

/// Returns what was done as a table, with a line for each input, and the headline.
pub(super) fn table(summary: &Summary) -> String {
    let counts = &summary.counts;
    let mut rows: Vec<Vec<String>> = Vec::new();
    for input in &summary.inputs {
        let came = match input.supplied {
            true => grouped(input.read),
            false => "not supplied".to_owned(),
        };
        rows.push(vec![format!("{} in", input.input), came]);
    }
    let named = [
        ("written", counts.written),
        ("sent", counts.sent),
        ("failed", counts.failed),
        ("unknown", counts.unknown),
        ("feedback", counts.feedback),
    ];
    for (name, number) in named {
        if number > 0 {
            rows.push(vec![name.to_owned(), grouped(number)]);
        }
    }
    let mut text = String::new();
    if !rows.is_empty() {
        text.push_str(&grid::table(&["", "rows"], &rows));
        text.push('\n');
    }
    text.push_str(&headline(summary));
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_has_a_rate_and_an_end() {
        let progress = Progress {
            read: 30_000,
            failed: 2,
            share: Some(0.25),
            ..Progress::default()
        };
        assert_eq!(
            line(&progress, Duration::from_secs(10)),
            "30 000 rows, 3 000 a second, 2 failed, 25 %, 30.0 s left"
        );
        assert_eq!(
            line(&Progress::default(), Duration::from_secs(1)),
            "0 rows, 0 a second"
        );
    }
}
