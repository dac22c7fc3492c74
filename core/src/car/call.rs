//! One call to the CAR service, and the trait that makes it.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::failure::Failure;

/// The HTTP methods of the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Reads.
    Get,
    /// Adds.
    Post,
    /// Changes.
    Patch,
    /// Takes away.
    Delete,
}

impl Method {
    /// Returns its name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// One call. Every call of the protocol may be made twice: imports upsert, deletions and patches
/// set a state.
#[derive(Debug, Clone)]
pub struct Call {
    /// Name of the call, for messages, metrics and the report: `post import`.
    pub name: &'static str,
    /// The method.
    pub method: Method,
    /// Version of the interface: `v2` or `v3`.
    pub version: &'static str,
    /// Path below the version, each segment encoded: `source/a%2Fb`.
    pub path: String,
    /// Query string without the question mark, encoded; empty for none.
    pub query: String,
    /// Body, always JSON.
    pub body: Option<Bytes>,
    /// Statuses besides 2xx that are an answer and no failure.
    pub accept: &'static [u16],
    /// Whether a successful answer must be JSON.
    pub json: bool,
}

impl Call {
    /// Makes a call without query and body that answers with JSON.
    pub fn new(name: &'static str, method: Method, path: impl Into<String>) -> Self {
        Self {
            name,
            method,
            version: "v2",
            path: path.into(),
            query: String::new(),
            body: None,
            accept: &[],
            json: true,
        }
    }

    /// Uses the third version of the interface.
    #[must_use]
    pub fn v3(mut self) -> Self {
        self.version = "v3";
        self
    }

    /// Sets the query string, encoded.
    #[must_use]
    pub fn query(mut self, query: impl Into<String>) -> Self {
        self.query = query.into();
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Takes these statuses as answers.
    #[must_use]
    pub fn accept(mut self, statuses: &'static [u16]) -> Self {
        self.accept = statuses;
        self
    }

    /// Does not look at the body of the answer.
    #[must_use]
    pub fn any_body(mut self) -> Self {
        self.json = false;
        self
    }
}

/// What the service answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Status: 2xx, or one that the call accepts.
    pub status: u16,
    /// Body.
    pub body: Bytes,
    /// How long the service asks to wait, if it does.
    pub retry_after: Option<Duration>,
}

/// Makes calls.
///
/// # Behaviour
///
/// An `Ok` is a status that the call allows, with a body that is JSON where the call wants JSON.
/// Anything else is a failure that says whether a retry makes sense and whether the call took
/// effect.
#[async_trait]
pub trait CarCall: Send + Sync {
    /// Makes one call.
    async fn call(&self, call: &Call) -> Result<Answer, Failure>;
}
