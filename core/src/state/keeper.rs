//! Renews a lease for as long as a run works.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval_at, timeout};
use tokio_util::sync::CancellationToken;

use super::Leases;
use super::error::StateError;
use super::lease::Lease;

/// Renewals in the time that a lease lasts: two may fail.
const RENEWALS: u32 = 3;

/// Renews a lease in the background, and says when it is lost.
///
/// Dropped, it stops renewing; the lease then runs out, or is taken over.
#[derive(Debug)]
pub struct Keeper {
    store: Arc<dyn Leases>,
    lease: Arc<Lease>,
    lost: CancellationToken,
    why: Arc<Mutex<Option<StateError>>>,
    task: JoinHandle<()>,
}

impl Keeper {
    /// Starts renewing, three times in each time to live.
    #[must_use]
    pub fn start(store: Arc<dyn Leases>, lease: Lease) -> Self {
        let lease = Arc::new(lease);
        let lost = CancellationToken::new();
        let why = Arc::new(Mutex::new(None));
        let task = tokio::spawn({
            let (store, lease) = (Arc::clone(&store), Arc::clone(&lease));
            let (lost, why) = (lost.clone(), Arc::clone(&why));
            async move {
                let error = renew(&*store, &lease).await;
                *why.lock().unwrap_or_else(PoisonError::into_inner) = error;
                lost.cancel();
            }
        });
        Self {
            store,
            lease,
            lost,
            why,
            task,
        }
    }

    /// Returns the lease, to write with.
    #[must_use]
    pub fn lease(&self) -> &Arc<Lease> {
        &self.lease
    }

    /// Returns the token that is cancelled when the lease is lost: taken over, or not renewed
    /// for as long as it lasts, so that it may be taken over any moment. The run must stop.
    #[must_use]
    pub const fn lost(&self) -> &CancellationToken {
        &self.lost
    }

    /// Returns why the lease is lost, once.
    #[must_use]
    pub fn why(&self) -> Option<StateError> {
        self.why
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Stops renewing and gives the lease back.
    ///
    /// # Errors
    ///
    /// [`StateError::Zombie`] when it was lost before.
    pub async fn release(self) -> Result<(), StateError> {
        self.task.abort();
        self.store.release(&self.lease).await
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Renews until the lease is lost; returns what the last try met.
async fn renew(store: &dyn Leases, lease: &Lease) -> Option<StateError> {
    let every = lease.ttl() / RENEWALS;
    // An interval of nothing is not possible.
    let every = every.max(std::time::Duration::from_millis(1));
    let mut renewed = Instant::now();
    let mut ticks = interval_at(renewed + every, every);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let began = Instant::now();
        let error = match timeout(every, store.renew(lease)).await {
            Ok(Ok(())) => {
                // From before the call: that is when the lease was extended at the earliest.
                renewed = began;
                continue;
            }
            Ok(Err(error)) if error.is_zombie() => return Some(error),
            Ok(Err(error)) => Some(error),
            Err(_) => None,
        };
        if renewed.elapsed() >= lease.ttl() {
            return error;
        }
        tracing::warn!(
            source = lease.source(),
            error = error.map_or_else(|| "no answer in time".to_owned(), |e| e.to_string()),
            "the lease could not be renewed, trying again"
        );
    }
}
