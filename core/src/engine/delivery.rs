//! Sends batches side by side and waits until the service has carried them out.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::changed::Sieve;
use crate::car::CarClient;
use crate::failure::{Effect, Failure, FailureKind};
use crate::handler::Batch;
use crate::progress::{Event, Reporter};

/// Imports that are asked for in one call.
const PER_CALL: usize = 20;

/// Imports that may be unfinished before sending waits for some to end.
const MOST_UNFINISHED: usize = 100;

/// How long the service may take to carry out imports once all are sent.
const DEADLINE: Duration = Duration::from_secs(30 * 60);

/// Sends batches. An import counts as done only when the service says so.
pub(super) struct Delivery {
    car: CarClient,
    reporter: Arc<dyn Reporter>,
    most: usize,
    in_flight: JoinSet<Result<Posted, Failure>>,
    unfinished: Vec<Sent>,
    acknowledged: BTreeMap<String, u64>,
    skipped: BTreeMap<String, u64>,
    sieve: Option<Sieve>,
}

/// A batch as it was sent: all of it, some of it, or nothing because the service has it all.
struct Posted {
    sent: Sent,
    skipped: u64,
    imported: bool,
}

struct Sent {
    id: String,
    collection: String,
    rows: u64,
}

impl Delivery {
    pub(super) fn new(car: CarClient, reporter: Arc<dyn Reporter>, most: usize) -> Self {
        Self {
            car,
            reporter,
            most: most.max(1),
            in_flight: JoinSet::new(),
            unfinished: Vec::new(),
            acknowledged: BTreeMap::new(),
            skipped: BTreeMap::new(),
            sieve: None,
        }
    }

    /// Sends only what changed from now on.
    pub(super) fn only_changed(&mut self, sieve: Sieve) {
        self.sieve = Some(sieve);
    }

    /// Sends an envelope without rows.
    pub(super) async fn send_header(&mut self, body: Bytes) -> Result<(), Failure> {
        self.send(Batch {
            collection: String::new(),
            rows: 0,
            body,
        })
        .await
    }

    /// Sends a batch, once there is room for it.
    pub(super) async fn send(&mut self, batch: Batch) -> Result<(), Failure> {
        while self.in_flight.len() >= self.most {
            self.join().await?;
        }
        if self.unfinished.len() >= PER_CALL {
            self.ask(PER_CALL).await?;
            let mut pause = Duration::from_millis(50);
            while self.unfinished.len() >= MOST_UNFINISHED {
                self.car.pause(&mut pause).await?;
                self.ask(PER_CALL).await?;
            }
        }
        let car = self.car.clone();
        let sieve = self.sieve.clone().filter(|_| !batch.collection.is_empty());
        self.in_flight.spawn(async move {
            let (id, skipped) = match sieve {
                Some(sieve) => {
                    let sent = sieve.send(&car, batch.body).await?;
                    (sent.id, sent.skipped)
                }
                None => (Some(car.post_import(batch.body).await?), 0),
            };
            Ok(Posted {
                skipped: skipped.min(batch.rows),
                imported: id.is_some(),
                sent: Sent {
                    id: id.unwrap_or_default(),
                    collection: batch.collection,
                    rows: batch.rows,
                },
            })
        });
        Ok(())
    }

    /// Waits until everything that was sent is carried out.
    pub(super) async fn barrier(&mut self, cancel: &CancellationToken) -> Result<(), Failure> {
        while !self.in_flight.is_empty() {
            self.join().await?;
        }
        let began = Instant::now();
        let mut pause = Duration::from_millis(20);
        while !self.unfinished.is_empty() {
            let before = self.unfinished.len();
            self.ask(PER_CALL).await?;
            if self.unfinished.len() < before {
                pause = Duration::from_millis(20);
                continue;
            }
            if began.elapsed() > DEADLINE {
                return Err(Failure::new(
                    FailureKind::CarUnavailable,
                    "the CAR service did not carry out imports in time",
                )
                .with("imports", self.unfinished.len())
                .with("after seconds", DEADLINE.as_secs())
                .with_effect(Effect::Unknown));
            }
            if cancel.is_cancelled() {
                return Err(Failure::new(
                    FailureKind::Interrupted,
                    "stopped by a signal",
                ));
            }
            self.car.pause(&mut pause).await?;
        }
        Ok(())
    }

    /// Waits until everything that was sent is carried out, also when a signal came; the caller
    /// sets the time.
    pub(super) async fn last_barrier(&mut self) -> Result<(), Failure> {
        while !self.in_flight.is_empty() {
            self.join().await?;
        }
        while !self.unfinished.is_empty() {
            let before = self.unfinished.len();
            self.ask(PER_CALL).await?;
            if self.unfinished.len() == before {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Returns the rows that were not sent because the service has them, by collection.
    pub(super) const fn skipped(&self) -> &BTreeMap<String, u64> {
        &self.skipped
    }

    /// Returns the rows that are in the graph, by collection.
    pub(super) const fn acknowledged(&self) -> &BTreeMap<String, u64> {
        &self.acknowledged
    }

    /// Adds rows that an earlier process of the run has sent.
    pub(super) fn restore(&mut self, acknowledged: BTreeMap<String, u64>) {
        self.acknowledged = acknowledged;
    }

    /// Forgets everything: what was sent belongs to an attempt that is given up.
    pub(super) fn forget(&mut self) {
        self.in_flight = JoinSet::new();
        self.unfinished.clear();
        self.acknowledged.clear();
        self.skipped.clear();
    }

    async fn join(&mut self) -> Result<(), Failure> {
        match self.in_flight.join_next().await {
            None => Ok(()),
            Some(Ok(posted)) => {
                let posted = posted?;
                if posted.skipped > 0 {
                    let known = self.skipped.entry(posted.sent.collection.clone());
                    let known = known.or_default();
                    *known = known.saturating_add(posted.skipped);
                }
                match posted.imported {
                    true => self.unfinished.push(posted.sent),
                    false => self.acknowledge(posted.sent),
                }
                Ok(())
            }
            Some(Err(error)) => Err(Failure::new(
                FailureKind::General,
                "a sender ended unexpectedly",
            )
            .because(error)),
        }
    }

    /// Asks for the state of the oldest imports.
    async fn ask(&mut self, most: usize) -> Result<(), Failure> {
        let rest = self.unfinished.split_off(self.unfinished.len().min(most));
        let asked = std::mem::replace(&mut self.unfinished, rest);
        let ids: Vec<String> = asked.iter().map(|sent| sent.id.clone()).collect();
        let still = self.car.unfinished_imports(&ids).await?;
        for sent in asked {
            if still.contains(&sent.id) {
                self.unfinished.push(sent);
            } else if !sent.collection.is_empty() {
                self.acknowledge(sent);
            }
        }
        Ok(())
    }

    fn acknowledge(&mut self, sent: Sent) {
        let known = self
            .acknowledged
            .entry(sent.collection.clone())
            .or_default();
        *known = known.saturating_add(sent.rows);
        self.reporter.report(&Event::Acknowledged {
            collection: sent.collection,
            rows: sent.rows,
        });
    }
}
