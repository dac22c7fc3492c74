//! What a transaction answers, and what the platform is told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Shortest wait before a delivery is made again.
pub const SHORTEST_WAIT: Duration = Duration::from_secs(30);
/// Shortest wait for something that is known to be slow.
pub const SHORTEST_SLOW_WAIT: Duration = Duration::from_secs(300);

/// The answer to one delivery of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum Response {
    /// It is done.
    Done,
    /// There is nothing to do.
    Skip {
        /// Why, for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// It cannot be done, now or later.
    Fail {
        /// Why, for people.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// It goes on after a wait.
    Reschedule(Wait),
    /// It could not be tried; the platform delivers it again when it likes.
    Retry {
        /// Why, for people.
        message: String,
    },
}

/// A wait, and the one that was asked for if that was too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wait {
    /// Seconds to wait.
    pub seconds: u64,
    /// Seconds that were asked for, if they were below the floor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<u64>,
    /// Whether it is a wait for something slow.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub slow: bool,
}

impl Wait {
    fn at_least(floor: Duration, asked: Duration, slow: bool) -> Self {
        // A part of a second is a whole one: the wait is never shorter than was asked for.
        let whole = asked
            .as_secs()
            .saturating_add(u64::from(asked.subsec_nanos() > 0));
        let seconds = whole.max(floor.as_secs());
        Self {
            seconds,
            asked: (seconds != whole).then_some(whole),
            slow,
        }
    }

    /// Returns the wait.
    #[must_use]
    pub const fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds)
    }
}

impl Response {
    /// It is done.
    #[must_use]
    pub const fn done() -> Self {
        Self::Done
    }

    /// There is nothing to do.
    #[must_use]
    pub const fn skip() -> Self {
        Self::Skip { message: None }
    }

    /// There is nothing to do, for this reason.
    pub fn skip_because(message: impl Into<String>) -> Self {
        Self::Skip {
            message: Some(message.into()),
        }
    }

    /// It cannot be done, for this reason.
    pub fn fail(message: impl Into<String>) -> Self {
        Self::Fail {
            message: Some(message.into()),
        }
    }

    /// It goes on after the shortest wait.
    #[must_use]
    pub fn reschedule() -> Self {
        Self::reschedule_after(SHORTEST_WAIT)
    }

    /// It goes on after a wait of at least 30 seconds; a shorter one becomes that, and the saga
    /// reports it.
    #[must_use]
    pub fn reschedule_after(wait: Duration) -> Self {
        Self::Reschedule(Wait::at_least(SHORTEST_WAIT, wait, false))
    }

    /// It goes on after the shortest wait for what is slow.
    #[must_use]
    pub fn slow_reschedule() -> Self {
        Self::slow_reschedule_after(SHORTEST_SLOW_WAIT)
    }

    /// It goes on after a wait of at least 300 seconds; a shorter one becomes that, and the saga
    /// reports it.
    #[must_use]
    pub fn slow_reschedule_after(wait: Duration) -> Self {
        Self::Reschedule(Wait::at_least(SHORTEST_SLOW_WAIT, wait, true))
    }

    /// It could not be tried, for this reason.
    pub fn retry(message: impl Into<String>) -> Self {
        Self::Retry {
            message: message.into(),
        }
    }

    /// Returns the word for it on the wire: `success`, `skip`, `fail`, `reschedule` or `retry`.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Done => "success",
            Self::Skip { .. } => "skip",
            Self::Fail { .. } => "fail",
            Self::Reschedule(_) => "reschedule",
            Self::Retry { .. } => "retry",
        }
    }

    /// Returns the reason, if it has one.
    #[must_use]
    pub fn message(&self) -> Option<&str> {
        match self {
            Self::Done | Self::Reschedule(_) => None,
            Self::Skip { message } | Self::Fail { message } => message.as_deref(),
            Self::Retry { message } => Some(message),
        }
    }

    /// Writes it for people: the word, and the reason or the wait.
    #[must_use]
    pub fn to_text(&self) -> String {
        let word = self.as_str();
        match (self, self.message()) {
            (Self::Reschedule(wait), _) => format!("{word} after {} s", wait.seconds),
            (_, Some(message)) => format!("{word}: {message}"),
            (_, None) => word.to_owned(),
        }
    }

    /// Returns whether the request comes again.
    #[must_use]
    pub const fn comes_again(&self) -> bool {
        matches!(self, Self::Reschedule(_) | Self::Retry { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_have_floors_and_tell_of_them() {
        let wait = |response| match response {
            Response::Reschedule(wait) => (wait.seconds, wait.asked),
            other => panic!("{other:?}"),
        };
        let seconds = Duration::from_secs;
        assert_eq!(wait(Response::reschedule()), (30, None));
        assert_eq!(wait(Response::reschedule_after(seconds(0))), (30, Some(0)));
        assert_eq!(wait(Response::reschedule_after(seconds(31))), (31, None));
        let part = Duration::from_millis(30_001);
        assert_eq!(wait(Response::reschedule_after(part)), (31, None));
        assert_eq!(wait(Response::slow_reschedule()), (300, None));
        let short = Response::slow_reschedule_after(seconds(31));
        assert_eq!(wait(short), (300, Some(31)));
        assert_eq!(
            wait(Response::slow_reschedule_after(seconds(301))),
            (301, None)
        );
    }

    #[test]
    fn responses_are_kept_as_they_are() {
        let all = [
            Response::done(),
            Response::skip(),
            Response::skip_because("nothing"),
            Response::fail("no"),
            Response::reschedule_after(Duration::from_secs(1)),
            Response::slow_reschedule(),
            Response::retry("later"),
        ];
        for response in all {
            let text = serde_json::to_string(&response).unwrap();
            let again: Response = serde_json::from_str(&text).unwrap();
            assert_eq!(again, response, "{text}");
        }
    }
}
