//! The failure taxonomy: what went wrong, whether to try again, and whether anything was written.
//!
//! There is one error type from the connector's client to the process's exit code. Its
//! [kind](FailureKind) says what the caller does, [`Retry`] says whether the same call may
//! succeed later, [`Effect`] says whether the call changed the other side. The three are
//! independent: a timeout is worth a retry and its effect is unknown, whatever its kind.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// What a failure means to the caller.
///
/// Each kind has one exit code; [`crate::exit::exit_code`] is the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// Not classified: a defect, or this machine's own trouble such as a full disk.
    General,
    /// An argument, environment variable or configuration value is wrong. Nothing was started.
    InvalidParameter,
    /// The CAR service could not be reached, or the connection broke.
    CarUnreachable,
    /// The CAR service does not accept the credentials (302, 401, 403). Never tried again.
    CarAuthentication,
    /// The CAR service refused what was sent (400).
    CarRejected,
    /// The CAR service asks to slow down (429), and went on asking.
    CarThrottled,
    /// The CAR service is not able to answer now (408, 500, 502, 503, 504).
    CarUnavailable,
    /// The CAR service answered something that the protocol does not know.
    CarUnexpected,
    /// The run was asked to stop by a signal; what was acknowledged stays.
    Interrupted,
    /// Some scopes failed; the rest is imported and nothing of a failed scope was retired.
    Partial,
    /// The deletion guard stopped the run before anything was retired.
    Held,
    /// The graph may have a gap. The saved state is cleared, the next run is full.
    Unrecoverable,
    /// The data source failed in a way that is not classified.
    Source,
    /// The data source could not be reached, or cannot answer now.
    SourceUnavailable,
    /// The data source does not accept the credentials.
    SourceAuthentication,
    /// The data source knows who asks and does not allow it.
    SourceForbidden,
    /// The data source refuses a parameter of the request: a setting is wrong.
    SourceInvalidParameter,
    /// What the data source sent cannot be processed.
    SourceData,
    /// The platform that rows are exchanged with could not be reached, or cannot answer now.
    PlatformUnavailable,
    /// The platform that rows are exchanged with refused what was sent.
    PlatformRejected,
    /// The platform that rows are exchanged with answered something that the protocol does not
    /// know.
    PlatformUnexpected,
    /// Rows were lost, or may be there twice, on their way from or to the platform.
    RowsLost,
}

/// Whether the same call may succeed later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Retry {
    /// It would fail again.
    #[default]
    Never,
    /// It may succeed after a wait that the caller chooses.
    Backoff,
    /// It may succeed after this time, as the other side said.
    After(Duration),
}

/// Whether a failed call changed the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Effect {
    /// Nothing was written.
    #[default]
    NotApplied,
    /// It was written, though the call failed.
    Applied,
    /// Nobody knows: the answer was lost.
    Unknown,
}

/// What failed, in which call, with which values, and what to do about it.
///
/// `Display` prints this failure's own message; its causes are in [`Error::source`], and the
/// command line prints the whole chain with the hints.
pub struct Failure(Box<Inner>);

struct Inner {
    kind: FailureKind,
    message: Cow<'static, str>,
    retry: Retry,
    effect: Effect,
    context: Vec<(&'static str, String)>,
    hints: Vec<Cow<'static, str>>,
    source: Option<Box<dyn Error + Send + Sync>>,
}

impl Failure {
    /// Makes a failure that is not worth a retry and wrote nothing.
    ///
    /// `message` is a lowercase fragment without a full stop that fits after "error: ".
    #[must_use]
    pub fn new(kind: FailureKind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            message: message.into(),
            retry: Retry::Never,
            effect: Effect::NotApplied,
            context: Vec::new(),
            hints: Vec::new(),
            source: None,
        }))
    }

    /// Says whether the call may be tried again.
    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.0.retry = retry;
        self
    }

    /// Says whether the call changed the other side.
    #[must_use]
    pub fn with_effect(mut self, effect: Effect) -> Self {
        self.0.effect = effect;
        self
    }

    /// Adds a value that tells this failure from its like: a call, an address, a row. No secrets.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((name, value.to_string()));
        self
    }

    /// Adds what the reader can do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// Sets the cause. The message should not repeat it.
    #[must_use]
    pub fn because(mut self, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        self.0.source = Some(cause.into());
        self
    }

    /// Puts a message of its own around this failure; kind, retry, effect and hints stay.
    #[must_use]
    pub fn wrap(mut self, message: impl Into<Cow<'static, str>>) -> Self {
        let hints = std::mem::take(&mut self.0.hints);
        let mut outer = Self::new(self.0.kind, message);
        outer.0.retry = self.0.retry;
        outer.0.effect = self.0.effect;
        outer.0.hints = hints;
        outer.0.source = Some(Box::new(self));
        outer
    }

    /// Gives the failure another kind, for callers that know better what it means.
    #[must_use]
    pub fn into_kind(mut self, kind: FailureKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// Returns what the failure means to the caller.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        self.0.kind
    }

    /// Returns whether the call may be tried again.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.0.retry
    }

    /// Returns whether the call changed the other side.
    #[must_use]
    pub fn effect(&self) -> Effect {
        self.0.effect
    }

    /// Returns what the reader can do, the most helpful first.
    pub fn hints(&self) -> impl Iterator<Item = &str> {
        self.0.hints.iter().map(AsRef::as_ref)
    }

    /// Returns this failure's message and those of its causes, outermost first.
    #[must_use]
    pub fn chain(&self) -> Vec<String> {
        let mut chain = vec![self.to_string()];
        let mut cause = self.source();
        while let Some(error) = cause {
            let text = error.to_string();
            // Libraries often print their cause as part of themselves.
            if chain.last().is_none_or(|last| !last.ends_with(&text)) {
                chain.push(text);
            }
            cause = error.source();
        }
        chain
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (position, (name, value)) in self.0.context.iter().enumerate() {
            write!(
                f,
                "{}{name} {value}",
                if position == 0 { " (" } else { ", " }
            )?;
        }
        f.write_str(if self.0.context.is_empty() { "" } else { ")" })
    }
}

impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Failure")
            .field("kind", &self.0.kind)
            .field("retry", &self.0.retry)
            .field("effect", &self.0.effect)
            .field("chain", &self.chain())
            .finish_non_exhaustive()
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0
            .source
            .as_deref()
            .map(|error| error as &(dyn Error + 'static))
    }
}
