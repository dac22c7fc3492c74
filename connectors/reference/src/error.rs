//! What the server's refusals mean.

use std::time::Duration;

use car_core::{Effect, Failure, FailureKind, Retry};
use serde::Deserialize;

/// The body of the server's refusals.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Refusal {
    /// Stable name of the reason.
    #[serde(default)]
    pub(crate) code: String,
    /// The reason, for people.
    #[serde(default)]
    pub(crate) message: String,
}

impl Refusal {
    /// Reads a body; one that is something else is an empty refusal.
    pub(crate) fn parse(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }
}

/// Returns what a status other than success means.
pub(crate) fn refused(status: u16, retry_after: Option<Duration>, body: &[u8]) -> Failure {
    let (kind, hint) = match status {
        401 => (
            FailureKind::SourceAuthentication,
            "check `--username` and `--password` (`CONFIGURATION_AUTH_USERNAME`, `CONFIGURATION_AUTH_PASSWORD`)",
        ),
        403 => (
            FailureKind::SourceForbidden,
            "the user is known but may not read this",
        ),
        300..=399 => (
            FailureKind::SourceInvalidParameter,
            "redirects are not followed; give the final address in `--server` (`CONFIGURATION_AUTH_URL`)",
        ),
        408 | 429 | 500..=599 => (FailureKind::SourceUnavailable, "try again later"),
        400..=499 => (
            FailureKind::SourceInvalidParameter,
            "check that `--server` (`CONFIGURATION_AUTH_URL`) is the address of a reference server",
        ),
        _ => (
            FailureKind::Source,
            "check that `--server` is the address of a reference server",
        ),
    };
    let retry = match (kind, retry_after) {
        (FailureKind::SourceUnavailable, Some(wait)) => Retry::After(wait),
        (FailureKind::SourceUnavailable, None) => Retry::Backoff,
        _ => Retry::Never,
    };
    let failure = Failure::new(kind, format!("the reference server answered {status}"))
        .with_retry(retry)
        .hint(hint);
    let refusal = Refusal::parse(body);
    if refusal.message.is_empty() {
        failure
    } else {
        failure.because(refusal.message)
    }
}

/// Returns what it means that no whole answer came.
pub(crate) fn unreachable(error: reqwest::Error) -> Failure {
    let message = if error.is_timeout() {
        "the reference server did not answer in time"
    } else if error.is_connect() {
        "the reference server cannot be reached"
    } else {
        "the connection to the reference server broke"
    };
    let failure = Failure::new(FailureKind::SourceUnavailable, message);
    let failure = match error.url() {
        Some(url) => failure.with("at", url.origin().ascii_serialization()),
        None => failure,
    };
    failure
        .with_retry(Retry::Backoff)
        .with_effect(Effect::NotApplied)
        .because(error.without_url())
        .hint("check `--server` (`CONFIGURATION_AUTH_URL`), and that the server runs")
}

/// Returns what it means that an answer cannot be read. One that ends too early may have been cut
/// short on its way, so it is worth another try.
pub(crate) fn unreadable(error: serde_json::Error) -> Failure {
    let retry = if error.is_eof() {
        Retry::Backoff
    } else {
        Retry::Never
    };
    Failure::new(
        FailureKind::SourceData,
        "the reference server's answer cannot be read",
    )
    .with_retry(retry)
    .because(error)
    .hint("check that `--server` (`CONFIGURATION_AUTH_URL`) is the address of a reference server")
}

/// Returns what it means that an answer is larger than any should be.
pub(crate) fn too_large(limit: usize) -> Failure {
    Failure::new(
        FailureKind::SourceData,
        "the reference server's answer is too large",
    )
    .with("limit in MiB", limit >> 20)
    .hint("`--page-size` sets how many objects are asked for at a time")
}

/// Returns what a wrong address means.
pub(crate) fn bad_address(
    address: &str,
    reason: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Failure {
    Failure::new(FailureKind::InvalidParameter, "the address of the reference server is not valid")
        .with("--server", address)
        .because(reason)
        .hint("it looks like `http://127.0.0.1:8000`; the environment variable is `CONFIGURATION_AUTH_URL`")
}

/// Returns what a scope that the connector never listed means.
pub(crate) fn unknown_scope(scope: &str) -> Failure {
    Failure::new(
        FailureKind::General,
        "the connector does not know the scope",
    )
    .with("scope", scope)
}
