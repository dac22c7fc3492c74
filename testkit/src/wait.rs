//! Waiting with a limit.

use std::time::Duration;

/// Waits for something, for at most 60 s.
///
/// # Panics
///
/// When it takes longer; the message says what was waited for.
pub async fn within<F: Future>(what: &str, future: F) -> F::Output {
    within_time(what, Duration::from_secs(60), future).await
}

pub(crate) async fn within_time<F: Future>(what: &str, limit: Duration, future: F) -> F::Output {
    match tokio::time::timeout(limit, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} took longer than {} s", limit.as_secs()),
    }
}
