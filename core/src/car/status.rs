//! The one place that says what a status of the CAR service means.

use std::time::Duration;

use car_schema::WireError;

use crate::failure::{Effect, Failure, FailureKind, Retry};

/// Longest piece of an unknown body that is shown.
const EXCERPT: usize = 300;

/// Returns what a status that a call does not accept means.
pub(super) fn failure(status: u16, body: &[u8], retry_after: Option<Duration>) -> Failure {
    let kind = kind(status);
    let mut failure = Failure::new(kind, format!("the CAR service answered {status}"))
        .with_retry(retry(status, retry_after))
        .with_effect(effect(status));
    if let Some(text) = reason(body) {
        failure = failure.because(text);
    }
    match status {
        302 | 401 => failure.hint(
            "check the key and password (`CAR_SERVICE_KEY`, `CAR_SERVICE_PASSWORD`) or the token (`CAR_SERVICE_AUTHTOKEN`)",
        ),
        403 => failure.hint("the credentials are known but may not do this; ask for an API key with the connector role"),
        404 | 405 => failure.hint("check the CAR service's address (`--car-service-url`); it ends in `/api/car/v2`"),
        413 => failure.hint("a row is larger than the service takes; see `--export-data-page-size`"),
        301 | 307 | 308 => failure.hint("redirects are not followed; give the final address in `--car-service-url`"),
        _ => failure,
    }
}

/// Returns the kind of failure that a status means.
pub(super) const fn kind(status: u16) -> FailureKind {
    match status {
        302 | 401 | 403 => FailureKind::CarAuthentication,
        400 => FailureKind::CarRejected,
        429 => FailureKind::CarThrottled,
        408 | 500 | 502 | 503 | 504 => FailureKind::CarUnavailable,
        _ => FailureKind::CarUnexpected,
    }
}

const fn retry(status: u16, retry_after: Option<Duration>) -> Retry {
    match (status, retry_after) {
        (408 | 429 | 500 | 502 | 503 | 504, Some(wait)) => Retry::After(wait),
        (408 | 429 | 500 | 502 | 503 | 504, None) => Retry::Backoff,
        _ => Retry::Never,
    }
}

const fn effect(status: u16) -> Effect {
    match status {
        // A proxy may give up on a request that the service goes on to carry out.
        408 | 500 | 502 | 503 | 504 => Effect::Unknown,
        _ => Effect::NotApplied,
    }
}

/// Returns the service's own words, or the beginning of what it sent.
fn reason(body: &[u8]) -> Option<String> {
    if let Ok(error) = serde_json::from_slice::<WireError>(body) {
        return Some(format!("{} ({})", error.message, error.code));
    }
    let text = String::from_utf8_lossy(body);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        return None;
    }
    let excerpt: String = text.chars().take(EXCERPT).collect();
    Some(if excerpt.len() < text.len() {
        format!("{excerpt} …")
    } else {
        excerpt
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::exit_code;

    #[test]
    fn statuses_have_the_exit_codes_of_the_table() {
        for status in [302, 400, 401, 403, 408, 429, 500, 502, 503, 504] {
            assert_eq!(exit_code(failure(status, b"", None).kind()), 10, "{status}");
        }
        for status in [301, 404, 405, 409, 413, 422, 501] {
            assert_eq!(exit_code(failure(status, b"", None).kind()), 20, "{status}");
        }
    }

    #[test]
    fn credentials_are_never_tried_again() {
        for status in [302, 400, 401, 403, 404] {
            let failure = failure(status, b"", Some(Duration::from_secs(1)));
            assert_eq!(failure.retry(), Retry::Never, "{status}");
        }
        let wait = Duration::from_secs(7);
        assert_eq!(failure(429, b"", Some(wait)).retry(), Retry::After(wait));
        assert_eq!(failure(503, b"", None).retry(), Retry::Backoff);
    }

    #[test]
    fn the_service_s_words_are_the_cause() {
        let body = br#"{"code":"row_invalid","message":"asset 3: `name` is missing"}"#;
        let chain = failure(400, body, None).chain();
        assert_eq!(
            chain,
            [
                "the CAR service answered 400",
                "asset 3: `name` is missing (row_invalid)"
            ]
        );
        let html = failure(502, b"<html>\n <h1>Bad gateway</h1>", None).chain();
        assert_eq!(
            html,
            [
                "the CAR service answered 502",
                "<html> <h1>Bad gateway</h1>"
            ]
        );
    }
}
