//! A saga as its workflow has it: claims and records go in, answers come out. It knows no clock
//! and no server, so that a workflow which is told the same does the same again.

use car_core::saga::{Event, Misfit, Progress, Status};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::alive::By;
use super::message::{Ask, Asked, Begun, Page, Shown, Stands, Write, Wrote};
use super::records::Records;

/// Most bytes of all records: the server takes no more in one piece, which they are when the
/// workflow is begun anew.
const MOST: usize = 1_700_000;
/// What a record that ends the saga may have beyond that.
const LAST_WORDS: usize = 100_000;
/// Most bytes of records in one answer.
const PAGE: usize = 1_000_000;

/// A saga.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    saga: String,
    stands: Stands,
    created: u64,
    updated: u64,
    fence: u64,
    held: Option<Held>,
    records: Records,
    keep: u64,
    pub(crate) history: u32,
    /// Grows with everything that happens.
    #[serde(skip)]
    pub(crate) version: u64,
    /// Where the records lead, once that was asked.
    #[serde(skip)]
    progress: Option<Progress>,
}

/// A claim.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Held {
    by: By,
    ttl: u64,
    expires: u64,
}

impl Record {
    /// Begins with a first record and a claim.
    pub(crate) fn new(begun: Begun, now: u64) -> Self {
        let mut records = Records::default();
        records.push(now, begun.event);
        let mut record = Self {
            saga: begun.saga,
            stands: Stands {
                status: Status::Running,
                step: None,
            },
            created: now,
            updated: now,
            fence: 0,
            held: None,
            records,
            keep: begun.keep,
            history: begun.history,
            version: 0,
            progress: None,
        };
        record.claim(begun.ask, now);
        record
    }

    /// Gives the claim to whoever asks, unless another has it.
    pub(crate) fn claim(&mut self, ask: Ask, now: u64) -> Asked {
        self.version = self.version.saturating_add(1);
        if let Some(held) = &self.held
            && now < held.expires
            && ask.dead != Some(self.fence)
        {
            return Asked::Held {
                by: held.by.clone(),
                fence: self.fence,
                left: held.expires.saturating_sub(now),
            };
        }
        self.fence = self.fence.saturating_add(1);
        self.held = Some(Held {
            by: ask.by,
            ttl: ask.ttl,
            expires: now.saturating_add(ask.ttl),
        });
        Asked::Granted(self.fence)
    }

    /// Takes all of what is to be written, or nothing.
    pub(crate) fn write(&mut self, write: Write, now: u64) -> Wrote {
        self.version = self.version.saturating_add(1);
        let Some(held) = self.held.as_mut().filter(|_| self.fence == write.fence) else {
            return Wrote::Lost;
        };
        let over = write.stands.as_ref().is_some_and(|to| to.status.is_over());
        let bytes = self.records.bytes_with(&write.events);
        let most = MOST.saturating_add(if over { LAST_WORDS } else { 0 });
        if bytes > most && !write.events.is_empty() {
            return Wrote::TooMuch(bytes);
        }
        held.expires = now.saturating_add(held.ttl);
        if !write.keep {
            self.held = None;
        }
        if !write.events.is_empty() {
            self.updated = now;
            self.progress = self.after(&write.events).and_then(Result::ok);
        }
        for event in write.events {
            self.records.push(now, event);
        }
        if let Some(stands) = write.stands {
            self.stands = stands;
        }
        Wrote::Done
    }

    /// Says whether what is to be written fits what is recorded. Whatever cannot be judged does:
    /// a claim that is lost is told by [`Record::write`].
    pub(crate) fn check(&self, write: &Write) -> Result<(), Misfit> {
        if write.events.is_empty() || self.held.is_none() || self.fence != write.fence {
            return Ok(());
        }
        self.after(&write.events)
            .map_or(Ok(()), |after| after.map(drop))
    }

    /// Says where the saga stands after events, `None` when there are some that this version does
    /// not know.
    fn after(&self, events: &[Value]) -> Option<Result<Progress, Misfit>> {
        let progress = self.progress.clone().or_else(|| {
            let entries = self.records.entries().ok()?;
            Progress::of(entries.iter().map(|entry| &entry.event)).ok()?
        });
        let mut progress = progress?;
        let events = events.iter().map(Event::deserialize);
        let events: Vec<Event> = events.collect::<Result<_, _>>().ok()?;
        let applied = events.iter().try_for_each(|event| progress.apply(event));
        Some(applied.map(|()| progress))
    }

    /// Returns the records from one on, as many as an answer takes.
    pub(crate) fn page(&self, from: usize) -> Page {
        Page {
            records: self.records.page(from, PAGE),
            total: self.records.len(),
            status: self.stands.status,
            fence: self.fence,
        }
    }

    pub(crate) fn shown(&self) -> Shown {
        Shown {
            saga: self.saga.clone(),
            stands: self.stands.clone(),
            created: self.created,
            updated: self.updated,
        }
    }

    /// Returns when the workflow ends, in milliseconds since 1970; `None` while the saga is not
    /// over.
    pub(crate) fn end(&self) -> Option<u64> {
        let over = self.stands.status.is_over();
        over.then(|| self.updated.saturating_add(self.keep))
    }
}
