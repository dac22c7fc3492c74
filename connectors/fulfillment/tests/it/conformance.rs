//! What every connector promises, of the import of what the vendor has.

use car_testkit::conformance::Fixture;
use car_testkit::{Graph, Program};
use fulfillment_connector::FulfillmentConnector;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{KEY, TOKEN, World};

car_testkit::conformance!(FulfillmentConnector, Vendor);

/// Users that have licences of two products: three of each for a thing.
struct Vendor(World);

/// Users and licences for each thing.
const EACH: usize = 3;

impl Vendor {
    async fn write(&self, method: Method, kind: &str, key: &str, value: Value) {
        let path = format!("/vendor/v1/things/{kind}/{key}");
        self.0.call(method, &path, value).await;
    }

    /// Makes a user with a licence.
    async fn add(&self, key: &str, product: usize) {
        let user = json!({"email": format!("{key}@example.org"), "active": true});
        self.write(Method::PUT, "users", key, user).await;
        let licence = json!({"product": format!("PRD-{product}"), "user": key, "quantity": 1});
        self.write(Method::PUT, "licences", &format!("l-{key}"), licence)
            .await;
    }
}

impl Fixture for Vendor {
    async fn start(things: usize) -> Self {
        let vendor = Self(World::start().await);
        for number in 0..things.saturating_mul(EACH) {
            vendor.add(&format!("u-{number}"), number % 2).await;
        }
        vendor
    }

    fn address(&self) -> String {
        self.0.url().replace("http://", "")
    }

    fn program(&self, address: &str) -> Program {
        self.0.program_at(&format!("http://{address}"))
    }

    fn wrong_credentials(&self, address: &str) -> Program {
        self.program(address)
            .env("CONFIGURATION_AUTH_VENDOR_TOKEN", "wrong")
    }

    fn secrets(&self) -> Vec<String> {
        let key = KEY.split(':').nth(1).unwrap();
        vec![key.to_owned(), TOKEN.to_owned()]
    }

    async fn mutate(&self, seed: u64) {
        self.add(&format!("new-{}", seed % 100), 2).await;
        let changed = json!({"email": format!("changed-{seed}@example.org")});
        self.write(
            Method::POST,
            "users",
            &format!("new-{}", seed % 100),
            changed,
        )
        .await;
        // What was deleted stays so; that it is asked for again changes nothing.
        let gone = format!("u-{}", seed % 11);
        for (kind, key) in [("licences", format!("l-{gone}")), ("users", gone)] {
            self.write(Method::DELETE, kind, &key, json!(null)).await;
        }
    }

    async fn clear(&self) -> bool {
        for kind in ["licences", "users"] {
            for thing in self.0.things(kind).await {
                let key = thing["id"].as_str().unwrap();
                self.write(Method::DELETE, kind, key, json!(null)).await;
            }
        }
        true
    }

    async fn expected(&self) -> Option<Graph> {
        let mut graph = Graph::default();
        for user in self.0.things("users").await {
            let key = user["id"].as_str().unwrap();
            graph.add("account", key, [("name", user["value"]["email"].clone())]);
        }
        let mut products = Vec::new();
        for licence in self.0.things("licences").await {
            let licence = &licence["value"];
            let product = licence["product"].as_str().unwrap();
            if !products.contains(&product.to_owned()) {
                graph.add("application", product, [("name", json!(product))]);
                products.push(product.to_owned());
            }
            let user = licence["user"].as_str().unwrap();
            graph.link("account_application", user, product);
        }
        Some(graph)
    }
}
