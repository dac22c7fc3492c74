//! Sagas that are kept as long as the process.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{Claim, Claimed, ClaimedBy, LogError, SagaLog, Summary, Then, name_of};
use crate::saga::event::{Entry, Event};
use crate::saga::progress::{Progress, Status};
use crate::state::{Clock, Holder, SystemClock};

/// A log in memory, for tests and for work that a crash may forget.
///
/// Claims do not run out: they are given back, or taken by [`MemoryLog::crash`].
#[derive(Debug)]
pub struct MemoryLog {
    sagas: Mutex<HashMap<Arc<str>, Kept>>,
    clock: SystemClock,
}

#[derive(Debug, Clone)]
struct Kept {
    name: String,
    status: Status,
    step: Option<String>,
    fence: u64,
    held: bool,
    entries: Vec<Entry>,
}

impl Default for MemoryLog {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLog {
    /// Makes an empty log.
    #[must_use]
    pub fn new() -> Self {
        Self {
            sagas: Mutex::default(),
            clock: SystemClock::new(),
        }
    }

    /// Takes all claims away, as the death of their holders would.
    pub fn crash(&self) {
        for kept in self.lock().values_mut() {
            kept.held = false;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Kept>> {
        self.sagas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, claim: &Claim, change: impl FnOnce(&mut Kept) -> T) -> Result<T, LogError> {
        let mut sagas = self.lock();
        match sagas.get_mut(&claim.id) {
            Some(kept) if kept.held && kept.fence == claim.fence => Ok(change(kept)),
            _ => Err(LogError::lost(claim)),
        }
    }
}

#[async_trait]
impl SagaLog for MemoryLog {
    async fn claim(&self, id: &str, begin: Option<&Event>) -> Result<Claimed, LogError> {
        let at = self.clock.now().unix_ms;
        let mut sagas = self.lock();
        if !sagas.contains_key(id) {
            let Some(begin) = begin else {
                return Err(LogError::NotFound { id: id.to_owned() });
            };
            let kept = Kept {
                name: name_of(begin).to_owned(),
                status: Status::Running,
                step: None,
                fence: 0,
                held: false,
                entries: vec![Entry {
                    at,
                    event: begin.clone(),
                }],
            };
            sagas.insert(Arc::from(id), kept);
        }
        let Some(kept) = sagas.get_mut(id) else {
            return Err(LogError::NotFound { id: id.to_owned() });
        };
        if kept.held {
            let holder = Holder::this_process();
            return Err(LogError::Held {
                id: id.to_owned(),
                by: Box::new(ClaimedBy {
                    host: holder.host,
                    pid: holder.pid,
                    expires_in: Duration::from_secs(1),
                }),
            });
        }
        kept.held = true;
        kept.fence += 1;
        Ok(Claimed {
            claim: Claim {
                id: Arc::from(id),
                fence: kept.fence,
            },
            events: kept
                .entries
                .iter()
                .map(|entry| entry.event.clone())
                .collect(),
        })
    }

    async fn append(
        &self,
        claim: &Claim,
        events: &[Event],
        progress: &Progress,
        then: Then,
    ) -> Result<(), LogError> {
        let at = self.clock.now().unix_ms;
        self.with(claim, |kept| {
            let entry = |event: &Event| Entry {
                at,
                event: event.clone(),
            };
            kept.entries.extend(events.iter().map(entry));
            kept.status = progress.status;
            kept.step = progress.current().map(str::to_owned);
            kept.held = then == Then::Keep;
        })
    }

    async fn renew(&self, claim: &Claim) -> Result<(), LogError> {
        self.with(claim, |_| ())
    }

    async fn release(&self, claim: &Claim) -> Result<(), LogError> {
        self.with(claim, |kept| kept.held = false)
    }

    async fn entries(&self, id: &str) -> Result<Vec<Entry>, LogError> {
        let sagas = self.lock();
        Ok(sagas
            .get(id)
            .map(|kept| kept.entries.clone())
            .unwrap_or_default())
    }

    async fn list(&self, status: Option<Status>, limit: u32) -> Result<Vec<Summary>, LogError> {
        let sagas = self.lock();
        let mut list: Vec<Summary> = sagas
            .iter()
            .filter(|(_, kept)| status.is_none_or(|status| kept.status == status))
            .map(|(id, kept)| Summary {
                id: id.to_string(),
                saga: kept.name.clone(),
                status: kept.status,
                step: kept.step.clone(),
                created: kept.entries.first().map_or(0, |entry| entry.at),
                updated: kept.entries.last().map_or(0, |entry| entry.at),
            })
            .collect();
        list.sort_by(|a, b| (b.updated, &b.id).cmp(&(a.updated, &a.id)));
        list.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(list)
    }
}
