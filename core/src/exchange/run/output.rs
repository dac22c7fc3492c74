//! The rows that go out: in pieces that the other side takes, each written once.

use std::sync::Arc;

use crate::exchange::api::{Abilities, ContainerApi, Items, OutputType};
use crate::exchange::row::Rows;
use crate::failure::{Effect, Failure, FailureKind};

/// Bytes of one write.
const LARGEST_WRITE: usize = 4 * 1024 * 1024;

/// How often a piece is written that the other side says it did not get.
const ATTEMPTS: u32 = 3;

/// Writes the rows of a run.
pub(super) struct Writer {
    api: Arc<dyn ContainerApi>,
    output: OutputType,
    most_rows: usize,
    written: u64,
    /// How many rows were there before; none when the other side does not count them.
    before: Option<u64>,
}

impl Writer {
    pub(super) fn new(api: &Arc<dyn ContainerApi>, output: OutputType, batch_rows: usize) -> Self {
        Self {
            most_rows: batch_rows.clamp(1, api.largest_batch().max(1)),
            api: Arc::clone(api),
            output,
            written: 0,
            before: None,
        }
    }

    /// Finds out what will tell whether a write was carried out whose answer was lost.
    pub(super) async fn begin(&mut self, abilities: Abilities) {
        if abilities.repeatable_writes || !self.api.may_lose_reads() {
            return;
        }
        self.before = match self.api.count(Items::Output(self.output)).await {
            Ok(count) => count,
            Err(failure) => {
                tracing::debug!(
                    error = failure.chain().join(": ").as_str(),
                    "rows that were written cannot be counted"
                );
                None
            }
        };
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Writes rows.
    pub(super) async fn write(&mut self, rows: &Rows) -> Result<(), Failure> {
        if rows.is_empty() {
            return Ok(());
        }
        if rows.len() <= self.most_rows && rows.bytes() <= LARGEST_WRITE {
            return self.piece(rows).await;
        }
        let mut piece = Rows::new();
        for row in rows.iter() {
            let larger = piece.bytes().saturating_add(row.json().len());
            if piece.len() >= self.most_rows || (larger > LARGEST_WRITE && !piece.is_empty()) {
                self.piece(&piece).await?;
                piece.clear();
            }
            piece.push_row(row);
        }
        self.piece(&piece).await
    }

    async fn piece(&mut self, rows: &Rows) -> Result<(), Failure> {
        let count = rows.len() as u64;
        let mut attempt = 1;
        loop {
            let Err(failure) = self.api.append(self.output, rows).await else {
                break;
            };
            if failure.effect() != Effect::Unknown {
                return Err(self.failed(failure, count));
            }
            match self.arrived(count).await {
                Some(true) => {
                    tracing::warn!(
                        rows = count,
                        "the answer to a write was lost; the count says that its rows arrived"
                    );
                    break;
                }
                Some(false) if attempt < ATTEMPTS => {
                    tracing::warn!(
                        rows = count,
                        "a write failed; the count says that its rows did not arrive, so they are written again"
                    );
                    attempt = attempt.saturating_add(1);
                }
                Some(false) => return Err(self.failed(failure, count)),
                None => {
                    let failure = failure.into_kind(FailureKind::RowsLost);
                    return Err(self
                        .failed(failure, count)
                        .hint("whether the rows arrived is not known, so they are not written again: run it again from the start"));
                }
            }
        }
        self.written = self.written.saturating_add(count);
        Ok(())
    }

    /// Tells by the count whether rows arrived.
    async fn arrived(&self, count: u64) -> Option<bool> {
        let before = self.before?.saturating_add(self.written);
        let now = self.api.count(Items::Output(self.output)).await.ok()??;
        if now == before {
            Some(false)
        } else if now == before.saturating_add(count) {
            Some(true)
        } else {
            None
        }
    }

    fn failed(&self, failure: Failure, count: u64) -> Failure {
        failure.wrap(format!("writing {count} rows to `{}` failed", self.output))
    }
}
