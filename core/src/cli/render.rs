//! Failures as people read them.

use crate::failure::Failure;
use crate::secret::Redactor;
use crate::telemetry::printable;

/// Writes a failure, its causes and hints, without secrets; ends with a line end.
///
/// ```
/// # use car_core::{Failure, FailureKind, cli, secret::Redactor};
/// let failure = Failure::new(FailureKind::CarRejected, "import stopped in phase edges")
///     .because("the service rejected batch 41")
///     .hint("nothing was committed");
/// assert_eq!(
///     cli::render(&failure, &Redactor::default(), false),
///     "error: import stopped in phase edges\n  \
///        Caused by: the service rejected batch 41\n\n\
///      hint: nothing was committed\n",
/// );
/// ```
#[must_use]
pub fn render(failure: &Failure, redactor: &Redactor, colour: bool) -> String {
    let (error, hint, off) = if colour {
        ("\u{1b}[1;31m", "\u{1b}[36m", "\u{1b}[0m")
    } else {
        ("", "", "")
    };
    let clean = |text: &str| printable(&redactor.redact(text)).into_owned();
    let mut text = String::new();
    for (position, message) in failure.chain().iter().enumerate() {
        let message = clean(message);
        text += &match position {
            0 => format!("{error}error{off}: {message}\n"),
            _ => format!("  Caused by: {message}\n"),
        };
    }
    for (position, message) in failure.hints().enumerate() {
        let before = if position == 0 { "\n" } else { "" };
        text += &format!("{before}{hint}hint{off}: {}\n", clean(message));
    }
    text
}
