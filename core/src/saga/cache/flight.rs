//! One at a time for each key.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tokio::sync::{Mutex as Turn, OwnedMutexGuard};

/// Keys that are forgotten at a time when nobody waits for them.
const SWEEP: usize = 1024;

/// Who computes which key.
#[derive(Debug, Default)]
pub(super) struct Flights(Mutex<HashMap<String, Weak<Turn<()>>>>);

impl Flights {
    /// Waits until nobody else computes a key.
    pub(super) async fn turn(&self, key: &str) -> OwnedMutexGuard<()> {
        let turn = {
            let mut flights = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if flights.len() >= SWEEP {
                flights.retain(|_, turn| turn.strong_count() > 0);
            }
            match flights.get(key).and_then(Weak::upgrade) {
                Some(turn) => turn,
                None => {
                    let turn = Arc::new(Turn::new(()));
                    flights.insert(key.to_owned(), Arc::downgrade(&turn));
                    turn
                }
            }
        };
        turn.lock_owned().await
    }
}
