//! What the tests share: the connector between a source and a service.

use car_testkit::{Graph, Program, ReferenceSource, Service};

use crate::expected;

/// Name of the source in the graph.
pub(crate) const SOURCE: &str = "reference";

/// The connector's program, with nothing set.
pub(crate) fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_reference-connector"))
}

/// The connector's program, reading from a source at this address.
pub(crate) fn reading(url: &str) -> Program {
    program()
        .env("CONFIGURATION_AUTH_URL", url)
        .env("CONFIGURATION_AUTH_USERNAME", ReferenceSource::username())
        .env("CONFIGURATION_AUTH_PASSWORD", ReferenceSource::password())
}

/// A source, a service, and the connector between them.
pub(crate) struct Pair {
    pub(crate) source: ReferenceSource,
    pub(crate) service: Service,
}

impl Pair {
    /// Starts both; the source has this many made assets.
    pub(crate) async fn start(assets: u64) -> Self {
        Self {
            source: ReferenceSource::start(assets).await,
            service: Service::start().await,
        }
    }

    /// Returns the connector.
    pub(crate) fn connector(&self) -> Program {
        reading(&self.source.url()).into_service(&self.service.url(), SOURCE)
    }

    /// Imports; the run must succeed.
    pub(crate) async fn import(&self) -> car_testkit::Ended {
        self.connector().run().await.with_code(0)
    }

    /// Returns what is in the graph.
    pub(crate) async fn graph(&self) -> Graph {
        self.service.graph(SOURCE).await
    }

    /// Asserts that the graph is what the source has.
    pub(crate) async fn assert_in_step(&self, what: &str) {
        let expected = expected::graph(&self.source).await;
        self.graph().await.assert_is(&expected, what);
    }
}
