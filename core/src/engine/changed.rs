//! Sends only what changed: asks the service first which rows it has as they are.

use std::sync::Arc;

use bytes::Bytes;
use car_schema::Model;
use car_schema::wire::{Unchanged, content_hash};
use serde_json::value::RawValue;

use super::rows::{self, Namer, Names, RowName};
use crate::car::CarClient;
use crate::failure::Failure;

/// Whether a run asks which rows the service has as they are before it sends them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChangedOnly {
    /// In a full import of a source that the graph knows, if the service can tell.
    #[default]
    Auto,
    /// Never.
    Never,
    /// Whenever the service can tell.
    Always,
}

/// Sends envelopes without the rows that the service has.
#[derive(Debug, Clone)]
pub(super) struct Sieve(Arc<Namer>);

/// What became of an envelope.
pub(super) struct Sent {
    /// Name of the import; `None` when there was nothing to send.
    pub(super) id: Option<String>,
    /// Rows that were not sent.
    pub(super) skipped: u64,
}

impl Sieve {
    pub(super) fn new(model: Model) -> Self {
        Self(Arc::new(Namer::new(model)))
    }

    /// Reports the rows that the service has, and sends the others.
    ///
    /// # Errors
    ///
    /// As every call. After one it is not known which rows were reported; doing it again is safe.
    pub(super) async fn send(&self, car: &CarClient, body: Bytes) -> Result<Sent, Failure> {
        let mut envelope = rows::read(&body)?;
        let mut asked = Unchanged {
            source: envelope.source.clone(),
            report: envelope.report.clone(),
            ..Unchanged::default()
        };
        for (collection, rows) in &envelope.collections {
            let Some(named) = self.names(collection, rows) else {
                // Rows that cannot be named cannot be asked for.
                let id = car.post_import(body).await?;
                return Ok(Sent {
                    id: Some(id),
                    skipped: 0,
                });
            };
            asked.rows.insert(collection.clone(), named);
        }
        let changed = car.report_unchanged(&asked).await?.changed;
        let mut skipped = 0_u64;
        for (collection, rows) in &mut envelope.collections {
            let positions = changed.get(collection).map_or(&[][..], Vec::as_slice);
            let mut positions = positions.iter().peekable();
            let (mut place, before) = (0_u64, rows.len());
            rows.retain(|_| {
                let keep = positions.next_if_eq(&&place).is_some();
                place = place.saturating_add(1);
                keep
            });
            let gone = before.saturating_sub(rows.len()) as u64;
            skipped = skipped.saturating_add(gone);
        }
        envelope.collections.retain(|(_, rows)| !rows.is_empty());
        let id = match (skipped, envelope.collections.is_empty()) {
            (_, true) => None,
            (0, false) => Some(car.post_import(body).await?),
            (_, false) => Some(car.post_import(rows::write(&envelope)?).await?),
        };
        Ok(Sent { id, skipped })
    }

    fn names(&self, collection: &str, rows: &[Box<RawValue>]) -> Option<Vec<Vec<String>>> {
        rows.iter()
            .map(|row| {
                let names: Names = serde_json::from_str(row.get()).ok()?;
                let hash = content_hash(row.get().as_bytes());
                Some(match self.0.name(collection, &names)? {
                    RowName::Vertex(key) => vec![key, hash],
                    RowName::Edge(from, to) => vec![from, to, hash],
                })
            })
            .collect()
    }
}
