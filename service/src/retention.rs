//! Keeping history within its limits, in the background.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use crate::error::Result;
use crate::state::AppState;
use crate::store::ops::now;
use crate::store::ops::retention::{Erase, Policy, oldest, policy, used};

/// How often the limits are looked at.
const EVERY: Duration = Duration::from_secs(600);

/// One day in milliseconds.
const DAY: i64 = 86_400_000;

/// Wakes the worker, and counts its rounds.
#[derive(Debug, Default)]
pub(crate) struct Retention {
    pub(crate) wake: Notify,
    rounds: std::sync::atomic::AtomicU64,
}

impl Retention {
    /// Returns how many rounds were completed.
    pub(crate) fn rounds(&self) -> u64 {
        self.rounds.load(std::sync::atomic::Ordering::Acquire)
    }
}

/// Works until the state is gone.
pub(crate) async fn run(state: Weak<AppState>) {
    loop {
        let Some(state) = state.upgrade() else {
            return;
        };
        if let Err(error) = round(&state).await {
            tracing::warn!(error = %crate::error::chain(&error), "history could not be trimmed");
        }
        let retention = Arc::clone(&state.retention);
        retention
            .rounds
            .fetch_add(1, std::sync::atomic::Ordering::AcqRel);
        drop(state);
        // A timeout is the ordinary way on; a wake-up comes with a change of the policy.
        drop(tokio::time::timeout(EVERY, retention.wake.notified()).await);
    }
}

async fn round(state: &AppState) -> Result<()> {
    let snapshot = state.snapshot();
    if !snapshot.created {
        return Ok(());
    }
    let Policy { days, bytes } = {
        let mut conn = state.store.read().await?;
        policy(conn.as_mut()).await?
    };
    if let Some(days) = days {
        erase(state, now().saturating_sub(days.saturating_mul(DAY))).await?;
    }
    let Some(bytes) = bytes else {
        return Ok(());
    };
    loop {
        let (size, oldest) = {
            let mut conn = state.store.read().await?;
            let size = used(conn.as_mut()).await?;
            (size, oldest(conn.as_mut(), &snapshot.layout).await?)
        };
        let Some(oldest) = oldest.filter(|_| size > bytes) else {
            return Ok(());
        };
        // A twentieth of the time that history spans, so that little more goes than must.
        let step = now()
            .saturating_sub(oldest)
            .checked_div(20)
            .unwrap_or_default();
        erase(state, oldest.saturating_add(step.max(1))).await?;
    }
}

async fn erase(state: &AppState, before: i64) -> Result<()> {
    let layout = Arc::clone(&state.snapshot().layout);
    for table in 0..=layout.tables().len() {
        while state
            .store
            .write(Erase {
                layout: Arc::clone(&layout),
                table,
                before,
            })
            .await?
        {}
    }
    Ok(())
}
