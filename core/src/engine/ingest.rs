//! A batch of rows on its own: what tasks bring in between imports, by the same way.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::delivery::Delivery;
use super::retire::{self, Retires};
use super::{Options, about};
use crate::car::CarClient;
use crate::connector::About;
use crate::failure::Failure;
use crate::handler::{self, DataHandler, Header, Validator};
use crate::progress::Reporter;
use crate::record::Records;

/// What came of a batch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ingested {
    /// Rows that are in the graph now, by collection.
    pub sent: BTreeMap<String, u64>,
    /// Rows that the schema refuses.
    pub rejected: u64,
    /// Edges that were left out because one of their vertices was refused.
    pub withheld: u64,
    /// Vertices and edges that were retired.
    pub retired: u64,
    /// The file with the refused rows, if there are any.
    pub quarantine: Option<PathBuf>,
}

/// What a batch is brought in with.
pub(crate) struct Batch<'a> {
    pub(crate) car: &'a CarClient,
    pub(crate) about: &'a About,
    pub(crate) options: &'a Options,
    pub(crate) cancel: &'a CancellationToken,
    pub(crate) reporter: &'a Arc<dyn Reporter>,
    pub(crate) validator: Arc<Validator>,
}

impl Batch<'_> {
    /// Brings rows and deletions in: vertices, edges, deletions, each once all of those before
    /// are there. `now` is in milliseconds since 1970.
    pub(crate) async fn ingest(&self, records: &Records, now: u64) -> Result<Ingested, Failure> {
        let model = about::model(self.about)?;
        let mut delivery = Delivery::new(
            self.car.clone(),
            Arc::clone(self.reporter),
            self.options.sends,
        );
        let header = Header::new(
            &about::source(self.about, &self.options.source),
            &about::report(self.about, now),
        )?;
        delivery.send_header(header.empty_envelope()).await?;
        delivery.barrier(self.cancel).await?;
        let mut handler = DataHandler::new(
            header,
            model.clone(),
            Arc::clone(&self.validator),
            handler::Options {
                rows_per_batch: self.options.page_rows,
                memory_budget: self.options.memory_budget,
                spill_folder: self.options.spill_folder.clone(),
                keep_spill: false,
                quarantine: self
                    .options
                    .quarantine
                    .with_extension(format!("{now}.jsonl")),
                deltas: true,
                scopes: false,
            },
        );
        for batch in handler.take("task", records)? {
            delivery.send(batch).await?;
        }
        self.through(&mut delivery, &mut handler).await?;
        handler.start_edges()?;
        while handler.has_edges() {
            while let Some(batch) = handler.next_edges()? {
                delivery.send(batch).await?;
            }
            self.through(&mut delivery, &mut handler).await?;
        }
        let gone = records
            .deletions()
            .iter()
            .filter(|deletion| !handler.was_emitted(deletion))
            .cloned();
        let mut retired = Retired::default();
        let source = &self.options.source;
        retire::retire(self.car, source, &model, gone, &mut retired).await?;
        let mut ingested = Ingested {
            retired: retired.0,
            sent: delivery.acknowledged().clone(),
            quarantine: handler.quarantine()?.path().map(ToOwned::to_owned),
            ..Ingested::default()
        };
        for counts in handler.counts().values() {
            ingested.rejected = ingested.rejected.saturating_add(counts.rejected);
            ingested.withheld = ingested.withheld.saturating_add(counts.withheld);
        }
        Ok(ingested)
    }

    /// Sends what the handler gives out, until all that was sent is acknowledged.
    async fn through(
        &self,
        delivery: &mut Delivery,
        handler: &mut DataHandler,
    ) -> Result<(), Failure> {
        for batches in [DataHandler::flush, DataHandler::take_repeated] {
            for batch in batches(handler) {
                delivery.send(batch).await?;
            }
            delivery.barrier(self.cancel).await?;
        }
        Ok(())
    }
}

/// Counts what is retired. Each call ends by itself when the process does.
#[derive(Default)]
struct Retired(u64);

impl Retires for Retired {
    fn check(&self) -> Result<(), Failure> {
        Ok(())
    }

    fn retired(&mut self, _: &str, rows: u64) {
        self.0 = self.0.saturating_add(rows);
    }
}
