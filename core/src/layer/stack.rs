//! The only legal order of the layers, from the outside in: retry, timeout, count, HTTP.
//!
//! A timeout outside the retry would bound all attempts together, and a count outside it would
//! miss them, so nobody gets to choose.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::count::Count;
use super::retry::{Backoff, RetryCalls};
use super::timeout::Timeout;
use crate::car::{CallStats, CarCall};
use crate::progress::Reporter;

/// Puts the layers around a call.
pub fn around<C: CarCall + 'static>(
    http: C,
    limit: Duration,
    backoff: Backoff,
    stats: Arc<CallStats>,
    reporter: Arc<dyn Reporter>,
    cancel: CancellationToken,
) -> Arc<dyn CarCall> {
    let counted = Count {
        inner: http,
        stats: Arc::clone(&stats),
    };
    let timed = Timeout {
        inner: counted,
        limit,
    };
    Arc::new(RetryCalls {
        inner: timed,
        backoff,
        stats,
        reporter,
        cancel,
    })
}
