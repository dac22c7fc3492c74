//! The way of a task into the graph: a batch goes the way that an import's rows go, and is
//! acknowledged before the state of the task moves.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{Mutex, OnceCell};
use tokio_util::sync::CancellationToken;

use crate::car::{CarClient, Options as CarOptions};
use crate::connector::About;
use crate::engine::{Batch, Ingested, Options, bring_extension, check_source};
use crate::failure::Failure;
use crate::handler::Validator;
use crate::progress::Reporter;
use crate::record::Records;

/// How to reach the CAR service, for all connectors of a process.
pub struct CarAccess {
    /// Address, credentials, times.
    pub car: CarOptions,
    /// How rows are checked and sent; each connector has its own source.
    pub options: Options,
    /// Where waits are reported.
    pub reporter: Arc<dyn Reporter>,
}

impl CarAccess {
    /// Makes a client.
    ///
    /// # Errors
    ///
    /// When the address or the credentials cannot be put into a request.
    pub fn client(&self, cancel: &CancellationToken) -> Result<CarClient, Failure> {
        CarClient::new(self.car.clone(), Arc::clone(&self.reporter), cancel.clone())
    }
}

/// Brings rows of one source into the graph.
///
/// One batch at a time: whoever comes meanwhile waits. A batch that was brought in before is
/// brought in again without harm, since rows have identities; so a step ingests first and gives
/// its new state then.
pub struct Ingester {
    car: CarClient,
    about: About,
    options: Options,
    cancel: CancellationToken,
    reporter: Arc<dyn Reporter>,
    ready: OnceCell<Arc<Validator>>,
    turn: Mutex<()>,
}

impl Ingester {
    pub(super) fn new(
        access: Arc<CarAccess>,
        source: &str,
        about: About,
        cancel: CancellationToken,
    ) -> Result<Self, Failure> {
        check_source(source)?;
        let car = access.client(&cancel)?;
        let mut options = access.options.clone();
        options.source = source.to_owned();
        Ok(Self {
            car,
            about,
            options,
            cancel,
            reporter: Arc::clone(&access.reporter),
            ready: OnceCell::new(),
            turn: Mutex::new(()),
        })
    }

    /// Brings rows and deletions into the graph, and returns when all of it is there.
    ///
    /// Vertices come before edges, deletions last. Rows that the schema refuses go to the
    /// quarantine and are counted; what refers to them is withheld.
    ///
    /// # Errors
    ///
    /// Any failure of the CAR service; part of the batch may be in the graph then. None of them
    /// is final because of a wait that was too long: those may be tried again.
    pub async fn ingest(&self, records: &Records) -> Result<Ingested, Failure> {
        if records.is_empty() {
            return Ok(Ingested::default());
        }
        let _turn = self.turn.lock().await;
        let validator = self.ready.get_or_try_init(|| self.prepare()).await?;
        let batch = Batch {
            car: &self.car,
            about: &self.about,
            options: &self.options,
            cancel: &self.cancel,
            reporter: &self.reporter,
            validator: Arc::clone(validator),
        };
        batch.ingest(records, now()).await
    }

    /// Sees to it that the graph is there, and knows the extension.
    async fn prepare(&self) -> Result<Arc<Validator>, Failure> {
        bring_extension(&self.car, self.about.extension.as_ref()).await?;
        self.car.prepare_database().await?;
        let schema = self.car.import_schema().await?;
        Validator::compile(&schema).map(Arc::new)
    }
}

fn now() -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
