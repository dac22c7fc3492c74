//! What every connector promises.

use car_testkit::conformance::Fixture;
use car_testkit::{Graph, Program, ReferenceSource};
use reference_connector::ReferenceConnector;

use crate::edit::Edit;
use crate::expected;
use crate::support::reading;

car_testkit::conformance!(ReferenceConnector, Inventory);

/// A reference server.
struct Inventory(ReferenceSource);

impl Fixture for Inventory {
    async fn start(things: usize) -> Self {
        Self(ReferenceSource::start(things as u64).await)
    }

    fn address(&self) -> String {
        self.0.url().replace("http://", "")
    }

    fn program(&self, address: &str) -> Program {
        reading(&format!("http://{address}")).env("CONFIGURATION_PARAMETER_PAGE_SIZE", "3")
    }

    fn wrong_credentials(&self, address: &str) -> Program {
        self.program(address)
            .env("CONFIGURATION_AUTH_PASSWORD", "wrong")
    }

    fn secrets(&self) -> Vec<String> {
        vec![ReferenceSource::password().to_owned()]
    }

    async fn mutate(&self, seed: u64) {
        Edit::numbered(seed).apply(&self.0).await;
    }

    async fn clear(&self) -> bool {
        for collection in expected::COLLECTIONS {
            for object in self.0.all(collection).await {
                let pk = object["pk"].as_u64().unwrap();
                self.0.delete(collection, pk).await;
            }
        }
        true
    }

    async fn expected(&self) -> Option<Graph> {
        Some(expected::graph(&self.0).await)
    }
}
