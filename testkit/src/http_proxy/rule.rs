//! Which request goes wrong, and how.

use std::time::Duration;

use bytes::Bytes;

/// Which requests a rule is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    /// The n-th request, from 1.
    Nth(u32),
    /// The n-th request, and all after it.
    From(u32),
    /// Every second request, the first included.
    EverySecond,
    /// Requests whose `METHOD /path?query` contains this text.
    With(String),
    /// Each different request for the first time that it is made; those to one path that differ in
    /// their bodies are different.
    First,
    /// All requests.
    All,
}

/// What happens to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// It is answered with this status and a text, and does not reach the server.
    Answer(u16),
    /// It is answered with this status and `Retry-After: N`, and does not reach the server.
    RetryAfter(u16, u64),
    /// It is answered with 200 and this text.
    Text(String),
    /// The connection ends before an answer; the request does not reach the server.
    Reset,
    /// The request reaches the server, the connection ends before its answer.
    AnswerLost,
    /// The answer's head and half of its body pass, then the connection ends.
    Truncate,
    /// The answer's body ends in the middle as if that were all: its head is right about the
    /// length, so that only a reader of the content can tell.
    Halve,
    /// It never gets an answer, and does not reach the server. See [`HttpProxy::held`].
    ///
    /// [`HttpProxy::held`]: super::HttpProxy::held
    Hold,
    /// It passes after a time.
    Delay(Duration),
    /// The answer's body comes in pieces of so many bytes with a pause before each.
    Drip(usize, Duration),
    /// It reaches the server twice; the second answer is passed on.
    Twice,
    /// It gets the answer of the page before once more, and does not reach the server. The page
    /// before is the last request to the same path whose query and body, a form or JSON, had the same
    /// parameters but for one that is new, or other if there was a request without it; without one, the
    /// request passes.
    LastAnswer,
    /// It waits until another request was answered, for at most a second.
    AfterAnother,
    /// It passes.
    Pass,
}

/// The rules and the count of requests.
#[derive(Debug, Default)]
pub(super) struct Rules {
    rules: Vec<(At, Deed)>,
    requests: Vec<String>,
    /// What the requests carried, at the same places.
    bodies: Vec<Bytes>,
}

impl Rules {
    pub(super) fn add(&mut self, at: At, deed: Deed) {
        self.rules.push((at, deed));
    }

    pub(super) fn clear(&mut self) {
        self.rules.clear();
        self.requests.clear();
        self.bodies.clear();
    }

    pub(super) fn requests(&self) -> &[String] {
        &self.requests
    }

    /// Counts a request and decides what happens to it.
    pub(super) fn next(&mut self, request: String, body: &Bytes) -> Deed {
        let mut earlier = self.requests.iter().zip(&self.bodies);
        let new = !earlier.any(|(name, carried)| *name == request && carried == body);
        self.requests.push(request.clone());
        self.bodies.push(body.clone());
        let number = u32::try_from(self.requests.len()).unwrap_or(u32::MAX);
        let fits = |at: &At| match at {
            At::Nth(nth) => *nth == number,
            At::From(nth) => *nth <= number,
            At::EverySecond => number % 2 == 1,
            At::With(text) => request.contains(text),
            At::First => new,
            At::All => true,
        };
        let rule = self.rules.iter().find(|(at, _)| fits(at));
        rule.map_or(Deed::Pass, |(_, deed)| deed.clone())
    }
}
