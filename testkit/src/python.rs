//! A Python interpreter with what stands in for services of others.

use std::process::Command;

use crate::setting::in_ci;

/// Environment variable with the interpreter.
const PYTHON: &str = "CAR_TEST_PYTHON";

/// Returns the interpreter that `CAR_TEST_PYTHON` names if it has these modules; `None`, said
/// aloud, on machines where it has not.
///
/// # Panics
///
/// In CI, where none may be missing.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "settings of tests are not settings of a program"
)]
#[expect(clippy::print_stderr, reason = "a test that is skipped says so")]
pub fn python(modules: &[&str]) -> Option<String> {
    let modules = modules.join(", ");
    let found = std::env::var(PYTHON).ok().filter(|path| {
        let probe = Command::new(path)
            .args(["-c", &format!("import {modules}")])
            .output();
        probe.is_ok_and(|output| output.status.success())
    });
    assert!(
        found.is_some() || !in_ci(),
        "CI needs {PYTHON}: a Python with {modules}"
    );
    if found.is_none() {
        eprintln!("SKIPPED: set {PYTHON} to a Python that has {modules}");
    }
    found
}
