//! What the refusals of AWS mean.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;
use car_core::{Failure, FailureKind, Retry};

use crate::actions::Action;
use crate::client::CutShort;

/// Where a call was made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    pub(crate) account: &'a str,
    pub(crate) region: &'a str,
}

/// Stands for the account of credentials before AWS told whose they are.
pub(crate) const UNKNOWN_ACCOUNT: &str = "?";

/// What a code of AWS means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Credentials,
    Clock,
    Forbidden,
    NotSubscribed,
    Throttled,
    Unavailable,
    PageToken,
    Invalid,
    Unknown,
}

/// Returns what a code means. The services disagree on names, so this is one list for all.
fn meaning(code: &str, status: u16) -> Meaning {
    match code {
        "AuthFailure"
        | "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "InvalidAccessKeyId"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "IncompleteSignature"
        | "IncompleteSignatureException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "InvalidToken"
        | "TokenRefreshRequired" => Meaning::Credentials,
        "RequestExpired" | "RequestTimeTooSkewed" | "RequestInTheFuture" => Meaning::Clock,
        "AccessDenied"
        | "AccessDeniedException"
        | "UnauthorizedOperation"
        | "UnauthorizedAccess"
        | "AuthorizationError"
        | "AuthorizationErrorException"
        | "NotAuthorized"
        | "InsufficientPrivilegesException"
        | "OperationNotPermitted"
        | "AccountAccessDeniedException" => Meaning::Forbidden,
        "InvalidAccessException"
        | "OptInRequired"
        | "OptInRequiredException"
        | "SubscriptionRequiredException"
        | "AWSOrganizationsNotInUseException" => Meaning::NotSubscribed,
        "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "RequestThrottled"
        | "RequestThrottledException"
        | "RequestLimitExceeded"
        | "TooManyRequestsException"
        | "PriorRequestNotComplete"
        | "BandwidthLimitExceeded"
        | "LimitExceededException"
        | "SlowDown"
        | "EC2ThrottledException" => Meaning::Throttled,
        "InvalidNextToken"
        | "InvalidNextTokenException"
        | "InvalidPaginationToken"
        | "InvalidPaginationTokenException"
        | "ExpiredNextTokenException"
        | "InvalidMarker"
        | "InvalidNextTokenValue" => Meaning::PageToken,
        "InternalError"
        | "InternalErrorException"
        | "InternalFailure"
        | "InternalServerError"
        | "InternalServerException"
        | "InternalException"
        | "ServiceUnavailable"
        | "ServiceUnavailableException"
        | "ServerException"
        | "Unavailable"
        | "RequestTimeout"
        | "RequestTimeoutException" => Meaning::Unavailable,
        _ => match status {
            429 => Meaning::Throttled,
            408 | 500..=599 => Meaning::Unavailable,
            401 => Meaning::Credentials,
            403 => Meaning::Forbidden,
            400..=499 if !code.is_empty() => Meaning::Invalid,
            _ => Meaning::Unknown,
        },
    }
}

/// Tells whether a refused signature was refused for its time: most services give it the code of
/// a wrong secret, and only the text says which of the two it is.
fn is_about_time(message: &str) -> bool {
    message.contains("Signature expired") || message.contains("Signature not yet current")
}

/// Tells whether a page token is no longer good: the list has to be read from its beginning.
pub(crate) fn is_stale_token<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let about_token = |text: &str| {
        let text = text.to_ascii_lowercase();
        text.contains("token") || text.contains("marker")
    };
    match error.as_service_error().map(ProvideErrorMetadata::meta) {
        Some(meta) => match meta.code() {
            Some(
                "InvalidParameterValue"
                | "InvalidParameterException"
                | "ValidationException"
                | "InvalidInputException"
                | "ValidationError",
            ) => meta.message().is_some_and(about_token),
            Some(code) => meaning(code, 400) == Meaning::PageToken,
            None => false,
        },
        None => false,
    }
}

/// Tells whether what a call was about does not exist, or not any more.
#[cfg(feature = "eks")]
pub(crate) fn is_gone<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> bool {
    let code = error
        .as_service_error()
        .and_then(|error| error.meta().code());
    code == Some("ResourceNotFoundException")
}

/// Returns what a failed call means.
pub(crate) fn refused<E>(
    action: Action,
    place: Place<'_>,
    error: SdkError<E, HttpResponse>,
) -> Failure
where
    E: Error + ProvideErrorMetadata + Send + Sync + 'static,
{
    let status = error
        .raw_response()
        .map_or(0, |response| response.status().as_u16());
    let failure = match &error {
        SdkError::ServiceError(refusal) => {
            let meta = refusal.err().meta();
            let code = meta.code().unwrap_or_default();
            let meaning = match meaning(code, status) {
                Meaning::Credentials if meta.message().is_some_and(is_about_time) => Meaning::Clock,
                meaning => meaning,
            };
            let failure = explained(action, meaning, code, status);
            match (code, meta.message()) {
                ("", _) => failure.because(format!(
                    "the answer has status {status} and no error of AWS in it"
                )),
                (code, None | Some("")) => failure.because(code.to_owned()),
                (code, Some(message)) => failure.because(format!("{code}: {message}")),
            }
        }
        SdkError::ResponseError(_) => {
            let why = format!("the answer has status {status}: {}", text_of(&error));
            explained(action, meaning("", status), "", status).because(why)
        }
        SdkError::TimeoutError(_) => Failure::new(
            FailureKind::SourceUnavailable,
            format!("{} got no answer in time", action.name()),
        )
        .with_retry(Retry::Backoff)
        .because(text_of(&error)),
        SdkError::DispatchFailure(_) if find::<CutShort>(&error).is_some() => Failure::new(
            FailureKind::SourceUnavailable,
            format!("the answer to {} is not complete", action.name()),
        )
        .with_retry(Retry::Backoff)
        .because(text_of(&error)),
        SdkError::DispatchFailure(_) | SdkError::ConstructionFailure(_) => {
            match find::<CredentialsError>(&error) {
                Some(credentials) => no_credentials(action, credentials).because(text_of(&error)),
                None => Failure::new(
                    FailureKind::SourceUnavailable,
                    format!("{} could not be sent", action.name()),
                )
                .with_retry(Retry::Backoff)
                .because(text_of(&error))
                .hint("check the network, `--region` (`CONNECTION_REGION`) and `--endpoint-url`"),
            }
        }
        _ => Failure::new(FailureKind::Source, format!("{} failed", action.name()))
            .because(text_of(&error)),
    };
    let failure = match place.account {
        UNKNOWN_ACCOUNT => failure,
        account => failure.with("account", account),
    };
    failure.with("region", place.region)
}

/// Returns the failure for what a refusal means.
fn explained(action: Action, meaning: Meaning, code: &str, status: u16) -> Failure {
    let name = action.name();
    match meaning {
        Meaning::Credentials => Failure::new(
            FailureKind::SourceAuthentication,
            format!("AWS does not accept the credentials for {name}"),
        )
        .hint(match code {
            "ExpiredToken" | "ExpiredTokenException" => "the session token has run out; get a new one, or use a role that renews itself",
            "AuthFailure" | "UnrecognizedClientException" => "check the access key and its secret; a region that is not enabled for the account answers the same",
            _ => "check the access key and its secret (`CONFIGURATION_AUTH_AWS_ACCESS_KEY_ID`, `CONFIGURATION_AUTH_AWS_SECRET_ACCESS_KEY`)",
        }),
        Meaning::Clock => Failure::new(
            FailureKind::SourceAuthentication,
            format!("AWS does not accept the time of the signature of {name}"),
        )
        .hint("set the clock of this machine: it may differ by five minutes at most"),
        Meaning::Forbidden => Failure::new(
            FailureKind::SourceForbidden,
            format!("the credentials may not call {name}"),
        )
        .hint(format!("allow `{name}` in the policy of the user or role; the README has the whole policy")),
        Meaning::NotSubscribed => Failure::new(
            FailureKind::SourceForbidden,
            format!("the service of {name} is not in use in this account and region"),
        )
        .hint("switch the service or region on, or leave it out with `--services` or `--regions`"),
        Meaning::Throttled => Failure::new(
            FailureKind::SourceUnavailable,
            format!("AWS asks to slow down with {name}"),
        )
        .with_retry(Retry::Backoff)
        .hint("`--calls-per-second` sets how fast one account and region is asked"),
        Meaning::Unavailable => Failure::new(
            FailureKind::SourceUnavailable,
            format!("AWS cannot answer {name} now (status {status})"),
        )
        .with_retry(Retry::Backoff),
        Meaning::PageToken => Failure::new(
            FailureKind::SourceUnavailable,
            format!("the list of {name} could not be read to its end: its page token ran out"),
        )
        .hint("run it again; a smaller scope, or a higher `--calls-per-second`, is read faster"),
        Meaning::Invalid => Failure::new(
            FailureKind::SourceInvalidParameter,
            format!("AWS refuses a parameter of {name}"),
        ),
        Meaning::Unknown => Failure::new(
            FailureKind::SourceData,
            format!("the answer to {name} cannot be understood"),
        )
        .hint("check that `--endpoint-url`, if it is set, is the address of something that speaks for AWS"),
    }
}

/// Returns what missing credentials mean, or those that a role did not give.
fn no_credentials(action: Action, error: &CredentialsError) -> Failure {
    let name = action.name();
    let role = role_refusal(error);
    match role.as_deref() {
        Some("AccessDenied" | "AccessDeniedException") => Failure::new(
            FailureKind::SourceForbidden,
            format!("sts:AssumeRole is denied, so {name} cannot be called"),
        )
        .hint("allow `sts:AssumeRole` to our identity, and let the role trust it; check the external id (`CONFIGURATION_AUTH_AWS_EXTERNAL_ID`)"),
        Some(code) => {
            let meaning = meaning(code, 0);
            explained(crate::actions::ASSUME_ROLE, meaning, code, 0)
        }
        None if matches!(error, CredentialsError::ProviderTimedOut(_)) => Failure::new(
            FailureKind::SourceUnavailable,
            format!("no credentials came in time for {name}"),
        )
        .with_retry(Retry::Backoff),
        None => Failure::new(
            FailureKind::SourceAuthentication,
            format!("there are no credentials for {name}"),
        )
        .hint("set `CONFIGURATION_AUTH_AWS_ACCESS_KEY_ID` and `CONFIGURATION_AUTH_AWS_SECRET_ACCESS_KEY`, or run where the usual places have some: environment, profile, web identity, role"),
    }
}

/// Returns the code with which a role was refused.
fn role_refusal(error: &CredentialsError) -> Option<String> {
    let refusal = find::<aws_sdk_sts::operation::assume_role::AssumeRoleError>(error)?;
    refusal.meta().code().map(str::to_owned)
}

/// Finds an error of a type among an error and its causes.
fn find<'e, T: Error + 'static>(error: &'e (dyn Error + 'static)) -> Option<&'e T> {
    let mut cause: Option<&'e (dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        cause = error.source();
    }
    None
}

/// Returns an error with its causes in one line, each said once.
fn text_of(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

/// Returns what a setting that does not fit means.
pub(crate) fn bad_setting(flag: &'static str, value: &str, why: impl Into<String>) -> Failure {
    Failure::new(FailureKind::InvalidParameter, why.into()).with(flag, value)
}

/// Returns what a setting means that AWS knows better.
pub(crate) fn contradicted(flag: &'static str, value: &str, why: impl Into<String>) -> Failure {
    Failure::new(FailureKind::SourceInvalidParameter, why.into()).with(flag, value)
}

/// Returns what an answer means that lacks what it must have.
pub(crate) fn incomplete(action: Action, what: &str) -> Failure {
    Failure::new(
        FailureKind::SourceData,
        format!("the answer to {} has no {what}", action.name()),
    )
}

/// Returns what it means that a call cannot even be made.
pub(crate) fn cannot_ask(action: Action, why: impl Into<Box<dyn Error + Send + Sync>>) -> Failure {
    Failure::new(
        FailureKind::General,
        format!("{} cannot be asked", action.name()),
    )
    .because(why)
}

/// Returns what an account means that cannot be entered.
pub(crate) fn closed(number: &str, why: &Failure) -> Failure {
    let mut told = Failure::new(why.kind(), "the account cannot be entered")
        .with("account", number)
        .with_retry(why.retry())
        .because(why.chain().join(": "));
    for hint in why.hints() {
        told = told.hint(hint.to_owned());
    }
    told
}

/// Returns what a scope that the connector never listed means.
pub(crate) fn unknown_scope(scope: &str) -> Failure {
    Failure::new(
        FailureKind::General,
        "the connector does not know the scope",
    )
    .with("scope", scope)
}
