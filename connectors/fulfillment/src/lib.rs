//! Fulfils the requests of a platform at a vendor, and imports what was provisioned.
//!
//! `sagas` says what is done about which request, `work` delivers requests and tells the platform
//! what came of them, `log` opens their record, `webhook` takes notifications, `verbs` has the verbs,
//! and `desk` is what `serve` shows. The rest is as in every connector: [`config`] holds the settings, `client` alone knows addresses, `map` turns
//! what the vendor has into vertices and edges, and `error` says what refusals mean.

mod client;
pub mod config;
mod desk;
mod error;
mod log;
mod map;
mod request;
mod sagas;
mod verbs;
mod webhook;
mod work;

use async_trait::async_trait;
use car_core::Failure;
use car_core::connector::{
    About, AssetServer, Connector, Context, Cursor, FullImport, Page, Scope, SettingsVerb,
};
use car_core::record::Records;
use car_core::saga::OpenSagas;

use crate::client::{Platform, Thing, Vendor};
use crate::config::Settings;

/// Scope of the users, which are accounts in the graph.
const USERS: &str = "users";
/// Scope of the licences, which are applications and who has them.
const LICENCES: &str = "licences";

/// The connector of a platform and a vendor.
pub struct FulfillmentConnector {
    platform: Platform,
    vendor: Vendor,
}

#[async_trait]
impl Connector for FulfillmentConnector {
    type Settings = Settings;

    fn about() -> About {
        About {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            title: "Fulfilment",
            description: "Fulfils the requests of a platform at a vendor, and imports what was provisioned.",
            product_link: None,
            extension: None,
            incremental: false,
        }
    }

    async fn open(settings: Settings, _: Context) -> Result<Self, Failure> {
        Ok(Self {
            platform: Platform::new(&settings)?,
            vendor: Vendor::new(&settings)?,
        })
    }

    fn asset_server(&self) -> &dyn AssetServer {
        self
    }

    fn full_import(&self) -> &dyn FullImport {
        self
    }

    fn settings_verbs() -> Vec<SettingsVerb<Settings>> {
        verbs::all()
    }

    fn sagas() -> Option<OpenSagas<Settings>> {
        Some(|settings, _| Box::pin(desk::open(settings)))
    }
}

#[async_trait]
impl AssetServer for FulfillmentConnector {
    async fn test_connection(&self) -> Result<(), Failure> {
        self.platform.test().await?;
        self.vendor.things(USERS, None).await.map(drop)
    }
}

#[async_trait]
impl FullImport for FulfillmentConnector {
    async fn scopes(&self) -> Result<Vec<Scope>, Failure> {
        Ok([USERS, LICENCES].map(Scope::new).into())
    }

    async fn fetch(&self, scope: &Scope, cursor: Option<&Cursor>) -> Result<Page, Failure> {
        let map: fn(&Thing, &mut Records) = match scope.name.as_str() {
            USERS => map::user,
            LICENCES => map::licence,
            other => return Err(error::unknown_scope(other)),
        };
        let after = cursor.map(|cursor| cursor.0.as_str());
        let things = self.vendor.things(&scope.name, after).await?;
        let mut records = Records::new();
        for thing in &things.items {
            map(thing, &mut records);
        }
        Ok(Page {
            records,
            next: things.next.map(Cursor),
        })
    }
}
