//! Waiting with a limit.

use std::time::Duration;

/// Longest that a test waits for something that has to happen, on machines that may be busy. Only
/// a test that fails meets it.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits for something, for at most 120 s.
///
/// # Panics
///
/// When it takes longer; the message says what was waited for.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    within_time(what, PATIENCE, future).await
}

pub(crate) async fn within_time<F: Future>(what: &str, limit: Duration, future: F) -> F::Output {
    match tokio::time::timeout(limit, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} took longer than {} s", limit.as_secs()),
    }
}
