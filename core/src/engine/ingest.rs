//! A batch of rows on its own: what tasks bring in between imports, by the same way.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use car_schema::{Extension, Model, Report, Source};
use tokio_util::sync::CancellationToken;

use super::Options;
use super::delivery::Delivery;
use crate::car::CarClient;
use crate::connector::About;
use crate::failure::{Failure, FailureKind};
use crate::handler::{self, DataHandler, Header, Validator};
use crate::progress::Reporter;
use crate::record::{Deletion, Records};

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
        let model = model_of(self.about)?;
        let mut delivery = Delivery::new(
            self.car.clone(),
            Arc::clone(self.reporter),
            self.options.sends,
        );
        let header = Header::new(
            &source(self.about, &self.options.source),
            &report(self.about, now),
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
        let gone: Vec<_> = records
            .deletions()
            .iter()
            .filter(|deletion| !handler.was_emitted(deletion))
            .cloned()
            .collect();
        let mut ingested = Ingested {
            retired: self.retire(&model, gone).await?,
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

    /// Retires what is gone: edges first, because those of a vertex go with it.
    async fn retire(&self, model: &Model, gone: Vec<Deletion>) -> Result<u64, Failure> {
        let source = &self.options.source;
        let mut vertices: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut edges = Vec::new();
        for deletion in gone {
            match deletion {
                Deletion::Vertex { collection, key } => {
                    vertices.entry(collection).or_default().push(key);
                }
                Deletion::Edge {
                    collection,
                    from,
                    to,
                } => edges.push((collection, from, to)),
            }
        }
        let mut retired: u64 = 0;
        if !edges.is_empty() {
            let retire = self.car.features().await?.edge_deletion;
            for (collection, from, to) in edges {
                let ends = (from.as_str(), to.as_str());
                self.car
                    .delete_edge(source, &collection, ends, retire)
                    .await?;
                retired = retired.saturating_add(1);
            }
        }
        for (collection, keys) in vertices {
            let identity = model
                .get(&collection)
                .and_then(car_schema::Collection::identity);
            let Some(identity) = identity else {
                return Err(Failure::new(
                    FailureKind::General,
                    "the connector deletes from a collection that is not in the model",
                )
                .with("collection", collection));
            };
            self.car
                .delete_vertices(source, &collection, identity, &keys)
                .await?;
            retired = retired.saturating_add(keys.len() as u64);
        }
        Ok(retired)
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

/// Describes the source of a connector.
fn source(about: &About, key: &str) -> Source {
    Source {
        key: key.to_owned(),
        name: Some(about.title.to_owned()),
        description: Some(about.description.to_owned()),
        product_link: about.product_link.map(str::to_owned),
        properties: None,
    }
}

/// Describes a report that begins now, in milliseconds since 1970.
fn report(about: &About, now: u64) -> Report {
    #[expect(
        clippy::cast_precision_loss,
        reason = "times of this age are exact in 53 bits"
    )]
    let timestamp = now as f64;
    Report {
        key: Some(now.to_string()),
        timestamp,
        ty: Some(about.title.to_owned()),
        description: Some(about.description.to_owned()),
        ..Report::default()
    }
}

/// Returns the core model with what a connector adds.
fn model_of(about: &About) -> Result<Model, Failure> {
    let mut model = Model::core();
    if let Some(extension) = &about.extension {
        model.extend(&extension.schema).map_err(invalid)?;
    }
    Ok(model)
}

/// Makes the service know an extension, unless it knows it, or a newer version of it.
pub(crate) async fn set_up_extension(
    car: &CarClient,
    extension: Option<&Extension>,
) -> Result<(), Failure> {
    let Some(extension) = extension else {
        return Ok(());
    };
    let ours = extension.version_number().map_err(invalid)?;
    let stored = car.extension(&extension.key).await?;
    let theirs = stored
        .as_ref()
        .and_then(|stored| stored.version_number().ok());
    // A newer one comes from a newer connector of the same kind and has all that ours has.
    if theirs.is_none_or(|theirs| theirs < ours) {
        car.post_extension(extension).await?;
    }
    Ok(())
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Failure {
    Failure::new(
        FailureKind::General,
        "the connector's schema extension is not valid",
    )
    .because(error)
}
