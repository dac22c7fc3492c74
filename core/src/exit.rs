//! The exit codes of every connector: a contract with the platforms that start them.

use crate::failure::FailureKind;

/// The run did all that it was asked to do.
pub const SUCCESS: u8 = 0;

/// Returns the exit code that tells a failure of this kind.
#[must_use]
#[deny(clippy::wildcard_enum_match_arm)]
pub const fn exit_code(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::General => 1,
        FailureKind::InvalidParameter => 2,
        FailureKind::CarUnreachable
        | FailureKind::CarAuthentication
        | FailureKind::CarRejected
        | FailureKind::CarThrottled
        | FailureKind::CarUnavailable
        | FailureKind::Interrupted => 10,
        FailureKind::Partial => 11,
        FailureKind::Held => 12,
        FailureKind::CarUnexpected | FailureKind::Unrecoverable => 20,
        FailureKind::Source => 50,
        FailureKind::SourceUnavailable => 51,
        FailureKind::SourceAuthentication => 52,
        FailureKind::SourceForbidden => 53,
        FailureKind::SourceInvalidParameter => 54,
        FailureKind::SourceData => 55,
        FailureKind::PlatformUnavailable => 60,
        FailureKind::PlatformRejected => 61,
        FailureKind::PlatformUnexpected => 62,
        FailureKind::RowsLost => 63,
    }
}

/// Returns whether the state that was saved in the service must not be used after such a failure.
#[must_use]
#[deny(clippy::wildcard_enum_match_arm)]
pub const fn clears_saved_state(kind: FailureKind) -> bool {
    match kind {
        FailureKind::CarUnexpected | FailureKind::Unrecoverable => true,
        FailureKind::General
        | FailureKind::InvalidParameter
        | FailureKind::CarUnreachable
        | FailureKind::CarAuthentication
        | FailureKind::CarRejected
        | FailureKind::CarThrottled
        | FailureKind::CarUnavailable
        | FailureKind::Interrupted
        | FailureKind::Partial
        | FailureKind::Held
        | FailureKind::Source
        | FailureKind::SourceUnavailable
        | FailureKind::SourceAuthentication
        | FailureKind::SourceForbidden
        | FailureKind::SourceInvalidParameter
        | FailureKind::SourceData
        | FailureKind::PlatformUnavailable
        | FailureKind::PlatformRejected
        | FailureKind::PlatformUnexpected
        | FailureKind::RowsLost => false,
    }
}
