//! What the tests share: the connector between an AWS and a service.

use car_testkit::{Graph, Program, Service};

use crate::moto::Moto;

/// Name of the source in the graph.
pub(crate) const SOURCE: &str = "aws";

/// The connector's program, with nothing set.
pub(crate) fn program() -> Program {
    Program::new(env!("CARGO_BIN_EXE_aws-connector"))
}

/// The connector's program, calling an AWS at this address.
pub(crate) fn reading(url: &str) -> Program {
    program()
        .env("CONFIGURATION_PARAMETER_ENDPOINT_URL", url)
        .env("CONFIGURATION_AUTH_AWS_ACCESS_KEY_ID", "test-key")
        .env("CONFIGURATION_AUTH_AWS_SECRET_ACCESS_KEY", "test-secret")
        .env("CONFIGURATION_PARAMETER_CALLS_PER_SECOND", "1000")
        .env("CONFIGURATION_PARAMETER_REGIONS", "eu-west-1,us-east-2")
        .env("CONNECTION_REGION", "eu-west-1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
}

/// An AWS and a service.
pub(crate) struct Pair {
    pub(crate) aws: Moto,
    pub(crate) service: Service,
}

impl Pair {
    /// Starts both; `None`, said aloud, on machines without moto.
    pub(crate) async fn start() -> Option<Self> {
        Some(Self {
            aws: Moto::start().await?,
            service: Service::start().await,
        })
    }

    /// Returns the connector.
    pub(crate) fn connector(&self) -> Program {
        reading(&self.aws.url()).into_service(&self.service.url(), SOURCE)
    }

    /// Imports; the run must succeed.
    pub(crate) async fn import(&self) -> car_testkit::Ended {
        self.connector().run().await.with_code(0)
    }

    /// Returns what is in the graph.
    pub(crate) async fn graph(&self) -> Graph {
        self.service.graph(SOURCE).await
    }
}
