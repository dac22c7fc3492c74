//! The only place that prints. Talk goes to stderr, results go to stdout.

use std::fmt::Display;
use std::io::Write;

/// Prints one line of talk to stderr. A closed stderr is no reason to stop.
pub fn talk(line: impl Display) {
    drop(writeln!(std::io::stderr().lock(), "{line}"));
}

/// Prints one line of results to stdout. A closed stdout is no reason to stop.
pub fn result(line: impl Display) {
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}
