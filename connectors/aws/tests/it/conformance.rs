//! What every connector promises.

use aws_connector::AwsConnector;
use car_testkit::Program;
use car_testkit::conformance::Fixture;

use crate::fake::{Fake, KEY, REGION, World};
use crate::support::reading;

car_testkit::conformance!(AwsConnector, Cloud);

const SECRET: &str = "test-secret-of-the-key";
const TOKEN: &str = "test-token-of-the-session";

/// An AWS of canned pages.
struct Cloud(Fake);

impl Fixture for Cloud {
    async fn start(things: usize) -> Self {
        let world = match things {
            0 => World::default(),
            // Pages have five instances at least.
            things => World::of_everything(things * 2),
        };
        Self(Fake::start(world).await)
    }

    fn address(&self) -> String {
        self.0.address().to_owned()
    }

    fn program(&self, address: &str) -> Program {
        reading(&format!("http://{address}"))
            .env("CONFIGURATION_AUTH_AWS_ACCESS_KEY_ID", KEY)
            .env("CONFIGURATION_AUTH_AWS_SECRET_ACCESS_KEY", SECRET)
            .env("CONFIGURATION_AUTH_AWS_SESSION_TOKEN", TOKEN)
            .env("CONFIGURATION_PARAMETER_REGIONS", REGION)
            .env("CONFIGURATION_PARAMETER_PAGE_SIZE", "5")
    }

    fn wrong_credentials(&self, address: &str) -> Program {
        self.program(address)
            .env("CONFIGURATION_AUTH_AWS_ACCESS_KEY_ID", "wrong")
    }

    fn secrets(&self) -> Vec<String> {
        vec![SECRET.to_owned(), TOKEN.to_owned()]
    }

    async fn mutate(&self, seed: u64) {
        self.0.world().mutate(seed);
    }
}
