//! A Temporal server that a process is connected to: what engines of tasks and logs of sagas
//! share.

use std::sync::Arc;
use std::time::Duration;

use car_core::Failure;
use car_core::failure::Effect;
use car_core::tasks::TaskError;
use temporalio_client::{Client, ClientOptions, Connection, ConnectionOptions, TlsOptions};
use temporalio_common::worker::WorkerDeploymentOptions;
use temporalio_sdk::{Runtime, WorkerOptions};

use crate::address::Address;
use crate::called::{self, Called, Missing};
use crate::list;
use crate::shared::Shared;
use crate::worker::Running;

/// How long the first connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the server keeps a workflow for the process that had it last, before any other may
/// have it: what workflows, and questions about them, wait for after a process has died.
pub(crate) const STICKY: Duration = Duration::from_secs(2);

/// A server.
pub(crate) struct Server {
    pub(crate) client: Client,
    pub(crate) address: Address,
    pub(crate) shared: Arc<Shared>,
    runtime: Arc<Runtime>,
    /// How long a call may take.
    limit: Duration,
}

impl Server {
    /// Connects to a server, whose calls may take `limit` each.
    pub(crate) async fn connect(address: &Address, limit: Duration) -> Result<Self, TaskError> {
        let failed = |doing, source: Box<dyn std::error::Error + Send + Sync>| TaskError::Server {
            server: named(address),
            doing,
            effect: Effect::NotApplied,
            source,
        };
        let url = address
            .url()
            .map_err(|error| failed("be reached", error.into()))?;
        let connection = ConnectionOptions::new(url)
            .identity(identity())
            .connect_timeout(CONNECT)
            .maybe_tls_options(address.tls().then(TlsOptions::default))
            .build();
        let connection = tokio::time::timeout(CONNECT * 2, Connection::connect(connection))
            .await
            .map_err(|error| failed("be reached", error.into()))?
            .map_err(|error| failed("be reached", error.into()))?;
        let client = ClientOptions::new(address.namespace()).build();
        let client =
            Client::new(connection, client).map_err(|error| failed("be reached", error.into()))?;
        let runtime = temporalio_sdk::runtime::RuntimeOptions::builder()
            .heartbeat_interval(None)
            .build()
            .map_err(|error| failed("be reached", error.into()))?;
        let runtime = Runtime::from_current_tokio(runtime)
            .map_err(|error| failed("be reached", error.into()))?;
        list::prepare(&client)
            .await
            .map_err(|error| failed("be prepared for lists", error))?;
        Ok(Self {
            client,
            address: address.clone(),
            shared: Arc::default(),
            runtime: Arc::new(runtime),
            limit,
        })
    }

    /// Begins to work on a queue; returns once the worker is made.
    pub(crate) async fn work(&self, options: WorkerOptions) -> Result<Running, TaskError> {
        Running::begin(
            Arc::clone(&self.runtime),
            self.client.clone(),
            options,
            Arc::clone(&self.shared),
        )
        .await
    }

    /// Calls the server, for so long at most.
    pub(crate) async fn call<T, E: Into<Called>>(
        &self,
        doing: &'static str,
        writes: bool,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Missing> {
        let effect = match writes {
            true => Effect::Unknown,
            false => Effect::NotApplied,
        };
        let failed = |source| {
            let error = TaskError::Server {
                server: named(&self.address),
                doing,
                effect,
                source,
            };
            let text = Failure::from(called::again(&error)).chain().join(": ");
            self.shared.trouble(Some(text));
            Missing::Failed(error)
        };
        match tokio::time::timeout(self.limit, call).await {
            Ok(Ok(value)) => {
                self.shared.trouble(None);
                Ok(value)
            }
            Ok(Err(error)) => match error.into() {
                Called::NotThere => Err(Missing::NotThere),
                Called::Failed(error) => Err(failed(error)),
            },
            Err(_) => Err(failed(
                format!("it does not answer within {} s", self.limit.as_secs_f64()).into(),
            )),
        }
    }

    /// Makes the error of a worker that cannot be given its workflows.
    pub(crate) fn not_registered(
        &self,
        error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> TaskError {
        TaskError::Server {
            server: named(&self.address),
            doing: "be given its workflows",
            effect: Effect::NotApplied,
            source: error.into(),
        }
    }
}

/// The version that workers tell the server of.
pub(crate) fn version() -> WorkerDeploymentOptions {
    WorkerDeploymentOptions::from_build_id(env!("CARGO_PKG_VERSION").to_owned())
}

fn named(address: &Address) -> String {
    format!("Temporal server at `{address}`")
}

/// Says who we are, for people who look at the server.
fn identity() -> String {
    format!(
        "car-connectors {} pid {}",
        env!("CARGO_PKG_VERSION"),
        std::process::id()
    )
}
