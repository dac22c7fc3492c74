//! Defects: a panic becomes a failure with an exit code that platforms know.

use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook};
use std::process::ExitCode;

/// Exit code of a run that a defect ended.
const GENERAL_FAILURE: u8 = 1;

/// Runs the program. A panic, in whatever thread, is written as a log line; one in this thread
/// ends the run with the code of a general failure.
pub(super) fn report_as_failure(program: impl FnOnce() -> u8) -> ExitCode {
    set_hook(Box::new(report));
    let code = catch_unwind(AssertUnwindSafe(program)).unwrap_or(GENERAL_FAILURE);
    ExitCode::from(code)
}

fn report(panic: &PanicHookInfo<'_>) {
    let message = panic.payload_as_str().unwrap_or("no message");
    let place = panic
        .location()
        .map_or_else(String::new, ToString::to_string);
    if tracing::enabled!(tracing::Level::ERROR) {
        tracing::error!(place, "the program has a defect: {message}");
    } else {
        // Before the settings are read there are no log lines, and no secrets yet.
        super::console::write_stderr(&format!(
            "error: the program has a defect: {message} ({place})\n"
        ));
    }
}
