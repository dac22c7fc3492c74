//! What the engine tells while it runs.
//!
//! The engine knows nothing of terminals and logs: it reports events, and the command line shows
//! them.

use std::time::Duration;

use crate::engine::phase::Phase;
use crate::report::Mode;

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The mode is decided.
    Decided {
        /// Full or incremental.
        mode: Mode,
        /// Why.
        why: String,
    },
    /// The run entered a phase.
    Phase(Phase),
    /// The scopes that a full import will read.
    Scopes(Vec<String>),
    /// A page of a scope was read.
    Page {
        /// The scope, or `delta`.
        scope: String,
        /// Rows in the page.
        rows: u64,
    },
    /// A scope was read to its end.
    ScopeDone {
        /// The scope.
        scope: String,
    },
    /// A scope failed for good.
    ScopeFailed {
        /// The scope.
        scope: String,
        /// Why, outermost first.
        error: Vec<String>,
    },
    /// Rows were acknowledged by the service.
    Acknowledged {
        /// The collection.
        collection: String,
        /// How many rows.
        rows: u64,
    },
    /// A row was rejected.
    Rejected {
        /// The collection.
        collection: String,
        /// Why.
        reason: String,
    },
    /// A call will be made again after a wait.
    Waiting {
        /// What is waited for: a call to the CAR service or a scope of the source.
        call: String,
        /// Number of the attempt that failed, from 1.
        attempt: u32,
        /// How long.
        wait: Duration,
        /// Why, outermost first.
        error: Vec<String>,
    },
    /// The data source's rate limit holds requests back.
    Throttled {
        /// How long.
        wait: Duration,
    },
}

/// Takes events. Called from several threads; must not block.
pub trait Reporter: Send + Sync {
    /// Takes an event.
    fn report(&self, event: &Event);
}

/// Takes events and forgets them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Reporter for Silent {
    fn report(&self, _: &Event) {}
}
