//! The sagas as `serve` has them: shown, gone on with by hand, and, where the settings ask for it,
//! worked on again and again.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use car_core::saga::{Rounds, SagaDesk, SagaLog};
use car_core::{Failure, FailureKind};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::config::Settings;
use crate::work::Worker;

/// Longest time that one look at everything pending takes; what it leaves is for the next one.
const LONGEST: Duration = Duration::from_secs(3600);

/// Opens the sagas; nothing where the settings name no log, and no work on requests either.
pub(crate) async fn open(settings: Settings) -> Result<Option<Arc<dyn SagaDesk>>, Failure> {
    if settings.saga_log.is_none() && settings.fulfill_every.is_none() {
        return Ok(None);
    }
    Ok(Some(Arc::new(Worker::new(&settings).await?)))
}

#[async_trait]
impl SagaDesk for Worker {
    fn log(&self) -> &dyn SagaLog {
        self.log()
    }

    async fn resume(&self, id: &str, cancel: CancellationToken) -> Result<(), Failure> {
        self.resume(id, cancel).await
    }

    fn rounds(&self) -> Option<Rounds> {
        let every = self.fulfill_every()?;
        Some(Rounds {
            name: "requests",
            every,
            longest: LONGEST,
        })
    }

    async fn round(&self, cancel: CancellationToken) -> Result<Value, Failure> {
        let tally = self.pass(&cancel).await?;
        serde_json::to_value(tally).map_err(|error| {
            Failure::new(FailureKind::General, "what came of requests cannot be told")
                .because(error)
        })
    }
}
