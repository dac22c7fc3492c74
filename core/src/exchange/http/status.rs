//! The one place that says what a status of the container API means.

use std::time::Duration;

use serde_json::Value;

use crate::failure::{Effect, Failure, FailureKind, Retry};

/// Longest piece of an unknown body that is shown.
const EXCERPT: usize = 300;

/// Returns what a status that a call does not expect means.
pub(super) fn failure(status: u16, body: &[u8], retry_after: Option<Duration>) -> Failure {
    let retry = match (passes(status), retry_after) {
        (true, Some(wait)) => Retry::After(wait),
        (true, None) => Retry::Backoff,
        (false, _) => Retry::Never,
    };
    let mut failure = Failure::new(kind(status), format!("the container API answered {status}"))
        .with_retry(retry)
        .with_effect(effect(status));
    if let Some(reason) = reason(body) {
        failure = failure.because(reason);
    }
    match status {
        300..=399 => {
            failure.hint("redirects are not followed; give the final address by `--container-api`")
        }
        401 | 403 => failure.hint(
            "a container API asks for no credentials: something else answers at this address",
        ),
        404 | 405 => {
            failure.hint("check the address (`--container-api`): the path is no part of it")
        }
        413 => failure
            .hint("the rows are larger than the container API takes at once; see `--batch-rows`"),
        500.. => failure.hint("the log of the platform says more about its own failures"),
        _ => failure,
    }
}

/// Returns the kind of failure that a status means.
const fn kind(status: u16) -> FailureKind {
    match status {
        400 | 413 | 422 => FailureKind::PlatformRejected,
        408 | 429 | 500 | 502 | 503 | 504 => FailureKind::PlatformUnavailable,
        _ => FailureKind::PlatformUnexpected,
    }
}

/// Tells whether the same call may succeed later.
const fn passes(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

/// Tells whether the call may have been carried out all the same.
const fn effect(status: u16) -> Effect {
    match status {
        // Neither refusals nor a limit of requests come after the work.
        100..=299 | 408 | 500.. => Effect::Unknown,
        _ => Effect::NotApplied,
    }
}

/// Returns the other side's own words: `{message, errors}`, where `errors` is an object of texts,
/// or a list with nothing in it.
fn reason(body: &[u8]) -> Option<String> {
    if let Ok(Value::Object(error)) = serde_json::from_slice(body) {
        let message = error.get("message").and_then(Value::as_str);
        let fields: Vec<String> = match error.get("errors") {
            Some(Value::Object(fields)) => fields
                .iter()
                .map(|(name, text)| match text {
                    Value::String(text) => format!("{name}: {text}"),
                    other => format!("{name}: {other}"),
                })
                .collect(),
            Some(Value::Array(texts)) => texts.iter().map(ToString::to_string).collect(),
            _ => Vec::new(),
        };
        let texts = message.map(str::to_owned).into_iter();
        let text = texts.chain(fields).collect::<Vec<_>>().join("; ");
        return (!text.is_empty()).then_some(text);
    }
    let text = String::from_utf8_lossy(body);
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    (!text.is_empty()).then(|| text.chars().take(EXCERPT).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_have_a_meaning() {
        use Effect::{NotApplied, Unknown};
        use FailureKind::{PlatformRejected, PlatformUnavailable, PlatformUnexpected};
        for (status, kind, effect, retry) in [
            (400, PlatformRejected, NotApplied, Retry::Never),
            (401, PlatformUnexpected, NotApplied, Retry::Never),
            (404, PlatformUnexpected, NotApplied, Retry::Never),
            (408, PlatformUnavailable, Unknown, Retry::Backoff),
            (429, PlatformUnavailable, NotApplied, Retry::Backoff),
            (500, PlatformUnavailable, Unknown, Retry::Backoff),
            (503, PlatformUnavailable, Unknown, Retry::Backoff),
            (302, PlatformUnexpected, NotApplied, Retry::Never),
            (599, PlatformUnexpected, Unknown, Retry::Never),
        ] {
            let failure = failure(status, b"", None);
            assert_eq!(failure.kind(), kind, "{status}");
            assert_eq!(failure.effect(), effect, "{status}");
            assert_eq!(failure.retry(), retry, "{status}");
        }
        let wait = Duration::from_secs(3);
        assert_eq!(failure(429, b"", Some(wait)).retry(), Retry::After(wait));
    }

    #[test]
    fn errors_are_read_in_every_shape() {
        for (body, expected) in [
            (
                r#"{"message":"no","errors":{"data":"empty"}}"#,
                Some("no; data: empty"),
            ),
            (r#"{"message":"no","errors":[]}"#, Some("no")),
            (r#"{"message":"no"}"#, Some("no")),
            (r#"{"errors":{"a":["b"]}}"#, Some(r#"a: ["b"]"#)),
            ("<html>\n gone</html>", Some("<html> gone</html>")),
            ("[]", Some("[]")),
            ("", None),
        ] {
            assert_eq!(reason(body.as_bytes()).as_deref(), expected, "{body}");
        }
    }
}
