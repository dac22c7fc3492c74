//! What the refusals of the platform and of the vendor mean.

use std::time::Duration;

use car_core::{Effect, Failure, FailureKind, Retry};
use serde::Deserialize;

/// Who was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Platform,
    Vendor,
}

impl Side {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Platform => "the platform",
            Self::Vendor => "the vendor",
        }
    }

    const fn address(self) -> &'static str {
        match self {
            Self::Platform => "check `--platform` (`CONFIGURATION_AUTH_URL`), and that it is up",
            Self::Vendor => {
                "check `--vendor` (`CONFIGURATION_PARAMETER_VENDOR_URL`), and that it is up"
            }
        }
    }

    const fn credentials(self) -> &'static str {
        match self {
            Self::Platform => "check `--platform-key` (`CONFIGURATION_AUTH_KEY`)",
            Self::Vendor => "check `--vendor-token` (`CONFIGURATION_AUTH_VENDOR_TOKEN`)",
        }
    }
}

/// The body of refusals.
#[derive(Debug, Default, Deserialize)]
struct Refusal {
    #[serde(default)]
    errors: Vec<String>,
}

/// Returns what a status other than success means. `writes` tells whether the call may have
/// changed something.
pub(crate) fn refused(
    side: Side,
    status: u16,
    retry_after: Option<Duration>,
    writes: bool,
    body: &[u8],
) -> Failure {
    let (kind, hint) = match status {
        401 => (FailureKind::SourceAuthentication, side.credentials()),
        403 => (
            FailureKind::SourceForbidden,
            "the credentials are known but may not do this",
        ),
        300..=399 => (FailureKind::SourceInvalidParameter, side.address()),
        408 | 429 | 500..=599 => (FailureKind::SourceUnavailable, "try again later"),
        400..=499 => (
            FailureKind::SourceInvalidParameter,
            "the request cannot be fulfilled like this; `saga show` tells what was done",
        ),
        _ => (FailureKind::Source, side.address()),
    };
    let retry = match (kind, retry_after) {
        (FailureKind::SourceUnavailable, Some(wait)) => Retry::After(wait),
        (FailureKind::SourceUnavailable, None) => Retry::Backoff,
        _ => Retry::Never,
    };
    // What says that it broke may have broken after the write.
    let effect = match status {
        408 | 500..=599 if writes => Effect::Unknown,
        _ => Effect::NotApplied,
    };
    let failure = Failure::new(kind, format!("{} answered {status}", side.name()))
        .with_retry(retry)
        .with_effect(effect)
        .hint(hint);
    let refusal: Refusal = serde_json::from_slice(body).unwrap_or_default();
    match refusal.errors.is_empty() {
        true => failure,
        false => failure.because(refusal.errors.join("; ")),
    }
}

/// Returns what it means that no whole answer came.
pub(crate) fn unreachable(side: Side, writes: bool, error: reqwest::Error) -> Failure {
    let (message, sent) = if error.is_connect() {
        ("cannot be reached", false)
    } else if error.is_timeout() {
        ("did not answer in time", true)
    } else {
        ("broke the connection", true)
    };
    let effect = match writes && sent {
        true => Effect::Unknown,
        false => Effect::NotApplied,
    };
    Failure::new(
        FailureKind::SourceUnavailable,
        format!("{} {message}", side.name()),
    )
    .with_retry(Retry::Backoff)
    .with_effect(effect)
    .because(error.without_url())
    .hint(side.address())
}

/// Returns what it means that an answer cannot be read.
pub(crate) fn unreadable(side: Side, error: serde_json::Error) -> Failure {
    Failure::new(
        FailureKind::SourceData,
        format!("the answer of {} cannot be read", side.name()),
    )
    .because(error)
    .hint(side.address())
}

/// Returns what it means that an answer is larger than any should be.
pub(crate) fn too_large(side: Side, limit: usize) -> Failure {
    Failure::new(
        FailureKind::SourceData,
        format!("the answer of {} is too large", side.name()),
    )
    .with("limit in MiB", limit >> 20)
    .hint("`--page-size` sets how much is asked for at a time")
}

/// Returns what a wrong address means.
pub(crate) fn bad_address(
    setting: &'static str,
    reason: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Failure {
    Failure::new(
        FailureKind::InvalidParameter,
        format!("the address in `{setting}` is not valid"),
    )
    .because(reason)
    .hint("it looks like `http://127.0.0.1:8020/vendor/v1`, without credentials")
}

/// Returns what a scope that the connector never listed means.
pub(crate) fn unknown_scope(scope: &str) -> Failure {
    Failure::new(
        FailureKind::General,
        "the connector does not know the scope",
    )
    .with("scope", scope)
}

/// Returns what it means that a request has something that it must not have, or has not what it
/// must.
pub(crate) fn bad_request(id: &str, what: &str) -> Failure {
    Failure::new(FailureKind::SourceData, format!("the request {what}")).with("id", id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whether_something_was_written() {
        let cases = [
            (
                401,
                FailureKind::SourceAuthentication,
                Retry::Never,
                Effect::NotApplied,
            ),
            (
                403,
                FailureKind::SourceForbidden,
                Retry::Never,
                Effect::NotApplied,
            ),
            (
                409,
                FailureKind::SourceInvalidParameter,
                Retry::Never,
                Effect::NotApplied,
            ),
            (
                422,
                FailureKind::SourceInvalidParameter,
                Retry::Never,
                Effect::NotApplied,
            ),
            (
                429,
                FailureKind::SourceUnavailable,
                Retry::Backoff,
                Effect::NotApplied,
            ),
            (
                502,
                FailureKind::SourceUnavailable,
                Retry::Backoff,
                Effect::Unknown,
            ),
        ];
        for (status, kind, retry, effect) in cases {
            let body = br#"{"errors": ["no"]}"#;
            let failure = refused(Side::Vendor, status, None, true, body);
            let found = (failure.kind(), failure.retry(), failure.effect());
            assert_eq!(found, (kind, retry, effect), "{status}");
            assert_eq!(failure.chain().last().unwrap(), "no");
        }
        let read = refused(Side::Vendor, 502, None, false, b"");
        assert_eq!(read.effect(), Effect::NotApplied);
    }
}
