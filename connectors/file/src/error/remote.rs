//! What it means that a server does not give what it was asked for.

use std::error::Error;

use car_core::{Failure, FailureKind, Retry};

use crate::client::Refused;
use crate::location::Location;

/// Returns what a failed call to a server means.
pub(crate) fn remote(place: &str, error: &(dyn Error + 'static)) -> Failure {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(refused) = error.downcast_ref::<Refused>() {
            return self::refused(refused).with("at", place);
        }
        if let Some(error) = error.downcast_ref::<reqwest::Error>() {
            return unreachable(error).with("at", place);
        }
        cause = error.source();
    }
    // What the library says of an answer has parts of the answer in it.
    Failure::new(
        FailureKind::SourceData,
        "the server's answer is not what it should be",
    )
    .with("at", place)
    .hint("check that `--directory` (`CONFIGURATION_PARAMETER_DIRECTORY`) is a folder that the server lists (WebDAV), or a bucket")
}

/// Returns what a status other than success means: by the code in the body, else by the status.
fn refused(refused: &Refused) -> Failure {
    let (kind, hint) = match (refused.code.as_deref(), refused.status) {
        (
            Some("InvalidAccessKeyId" | "SignatureDoesNotMatch" | "ExpiredToken" | "InvalidToken"),
            _,
        )
        | (_, 401) => (
            FailureKind::SourceAuthentication,
            "check `--username`, `--password` and `--token` (`CONFIGURATION_AUTH_…`)",
        ),
        (_, 403) => (
            FailureKind::SourceForbidden,
            "whoever asks is not allowed to list or read it",
        ),
        (_, 404) => (
            FailureKind::SourceUnavailable,
            "check `--directory` (`CONFIGURATION_PARAMETER_DIRECTORY`): it is not there",
        ),
        (_, 405 | 501) => (
            FailureKind::SourceInvalidParameter,
            "a web server has to list folders (WebDAV, method PROPFIND)",
        ),
        (_, 300..=399) => (
            FailureKind::SourceInvalidParameter,
            "redirects are not followed; give the final address in `--directory`, or the region of the bucket in `--region`",
        ),
        (_, 408 | 429 | 500..=599) => (FailureKind::SourceUnavailable, "try again later"),
        (_, 400..=499) => (
            FailureKind::SourceInvalidParameter,
            "check `--directory`, `--endpoint` and `--region`",
        ),
        _ => (FailureKind::Source, "check `--directory` and `--endpoint`"),
    };
    let retry = match (refused.status, refused.retry_after) {
        (408 | 429 | 500 | 502..=599, Some(wait)) => Retry::After(wait),
        (408 | 429 | 500 | 502..=599, None) => Retry::Backoff,
        _ => Retry::Never,
    };
    let failure = Failure::new(kind, refused.to_string())
        .with_retry(retry)
        .hint(hint);
    match &refused.code {
        Some(code) => failure.with("code", code),
        None => failure,
    }
}

/// Returns what it means that no whole answer came.
fn unreachable(error: &reqwest::Error) -> Failure {
    let message = if error.is_timeout() {
        "the server did not answer in time"
    } else if error.is_connect() {
        "the server cannot be reached"
    } else {
        "the connection to the server broke"
    };
    let mut causes = Vec::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    Failure::new(FailureKind::SourceUnavailable, message)
        .with_retry(Retry::Backoff)
        .because(causes.join(": "))
        .hint("check `--directory` (`CONFIGURATION_PARAMETER_DIRECTORY`) and `--endpoint`, and that the server runs")
}

/// Returns what it means that a transfer ended too early.
pub(crate) fn cut_short(file: &str, left: u64) -> Failure {
    Failure::new(
        FailureKind::SourceUnavailable,
        "the transfer ended too early",
    )
    .with("file", file)
    .with("missing bytes", left)
    .with_retry(Retry::Backoff)
}

/// Returns what it means that there is no way to make requests.
pub(crate) fn no_client(error: impl Error + Send + Sync + 'static) -> Failure {
    Failure::new(FailureKind::General, "no HTTP client can be set up").because(error)
}

/// Returns what it means that a place cannot be used.
pub(crate) fn bad_place(
    place: &Location,
    reason: impl Into<Box<dyn Error + Send + Sync>>,
) -> Failure {
    Failure::new(FailureKind::InvalidParameter, "the place of the files is not valid")
        .with("--directory", place)
        .because(reason)
        .hint("it is a folder, `https://HOST/FOLDER` or `s3://BUCKET/PREFIX`; the environment variable is `CONFIGURATION_PARAMETER_DIRECTORY`")
}

/// Returns what it means that credentials cannot be sent.
pub(crate) fn bad_credentials() -> Failure {
    Failure::new(
        FailureKind::InvalidParameter,
        "the credentials have characters that cannot be sent",
    )
    .hint("check `--username`, `--password` and `--token` (`CONFIGURATION_AUTH_…`) for line ends")
}

/// Returns what it means that credentials do not fit together.
pub(crate) fn odd_credentials() -> Failure {
    Failure::new(
        FailureKind::InvalidParameter,
        "the credentials do not fit together",
    )
    .hint("a web server takes `--username` with `--password`, or `--token`; S3 takes both of the former, and `--token` where they are temporary")
}
