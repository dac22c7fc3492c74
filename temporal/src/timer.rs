//! The one timer that a workflow has running, for when it has to look again by itself.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures::FutureExt as _;
use futures::future::{Fuse, LocalBoxFuture};
use temporalio_sdk::{TimerOptions, TimerResult, WorkflowCancellationToken, WorkflowContext};

/// Longest timer; longer waits are made of several.
const LONGEST: i64 = 30 * 24 * 3600 * 1000;

/// The timer that is running, if there is one.
pub(crate) struct Timer<'a> {
    pub(crate) future: Fuse<LocalBoxFuture<'a, TimerResult>>,
    pub(crate) due: Option<i64>,
    cancel: WorkflowCancellationToken,
}

impl<'a> Timer<'a> {
    pub(crate) fn none() -> Self {
        Self {
            future: Fuse::terminated(),
            due: None,
            cancel: WorkflowCancellationToken::new(),
        }
    }

    /// Sees to it that the timer ends then, and no other does.
    pub(crate) fn set<W: 'static>(
        &mut self,
        ctx: &'a WorkflowContext<W>,
        due: Option<i64>,
        now: i64,
    ) {
        if self.due == due {
            return;
        }
        self.cancel.cancel();
        self.due = due;
        self.future = Fuse::terminated();
        let Some(due) = due else { return };
        let wait = due.saturating_sub(now).clamp(1, LONGEST);
        self.cancel = WorkflowCancellationToken::new();
        let options = TimerOptions::builder(Duration::from_millis(wait.unsigned_abs()))
            .cancellation_token(self.cancel.clone())
            .build();
        self.future = ctx.timer(options).boxed_local().fuse();
    }
}

/// Returns a time in milliseconds since 1970.
pub(crate) fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
