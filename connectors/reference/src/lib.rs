//! Imports the reference server: assets with their vulnerabilities, addresses, applications,
//! ports and sites.
//!
//! This is the connector to copy. [`config`] holds its settings, `client` alone knows addresses,
//! `source` has the records as the server sends them, `map` turns them into vertices and edges,
//! and `error` says what the server's refusals mean.

mod client;
pub mod config;
mod error;
mod extension;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
mod map;
mod source;

use async_trait::async_trait;
use car_core::Failure;
use car_core::connector::{
    About, AssetServer, Connector, Context, Cursor, Delta, FullImport, IncrementalImport,
    ModelState, Page, Scope,
};
use car_core::record::Records;

use crate::client::{Client, DeltaAnswer};
use crate::config::Settings;
use crate::source::{App, Asset, Host, IpAddress, MacAddress, Port, Record, Site, Vulnerability};

/// The connector of the reference server.
pub struct ReferenceConnector {
    client: Client,
}

#[async_trait]
impl Connector for ReferenceConnector {
    type Settings = Settings;

    fn about() -> About {
        About {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            title: "Reference Server",
            description: "Imports the reference server's inventory.",
            product_link: None,
            extension: Some(extension::extension()),
            incremental: true,
        }
    }

    #[cfg(feature = "temporal")]
    fn task_engines() -> Vec<std::sync::Arc<dyn car_core::tasks::EngineKind>> {
        vec![std::sync::Arc::new(car_temporal::Temporal)]
    }

    async fn open(settings: Settings, context: Context) -> Result<Self, Failure> {
        Ok(Self {
            client: Client::new(settings, context.cancel)?,
        })
    }

    fn asset_server(&self) -> &dyn AssetServer {
        self
    }

    fn full_import(&self) -> &dyn FullImport {
        self
    }

    fn incremental_import(&self) -> Option<&dyn IncrementalImport> {
        Some(self)
    }
}

#[async_trait]
impl AssetServer for ReferenceConnector {
    async fn test_connection(&self) -> Result<(), Failure> {
        self.client.model_state().await.map(drop)
    }
}

#[async_trait]
impl FullImport for ReferenceConnector {
    async fn scopes(&self) -> Result<Vec<Scope>, Failure> {
        Ok([
            Site::COLLECTION,
            Asset::COLLECTION,
            Vulnerability::COLLECTION,
            MacAddress::COLLECTION,
            IpAddress::COLLECTION,
            Host::COLLECTION,
            Port::COLLECTION,
            App::COLLECTION,
        ]
        .map(Scope::new)
        .into())
    }

    async fn fetch(&self, scope: &Scope, cursor: Option<&Cursor>) -> Result<Page, Failure> {
        match scope.name.as_str() {
            Site::COLLECTION => self.page::<Site>(cursor).await,
            Asset::COLLECTION => self.page::<Asset>(cursor).await,
            Vulnerability::COLLECTION => self.page::<Vulnerability>(cursor).await,
            MacAddress::COLLECTION => self.page::<MacAddress>(cursor).await,
            IpAddress::COLLECTION => self.page::<IpAddress>(cursor).await,
            Host::COLLECTION => self.page::<Host>(cursor).await,
            Port::COLLECTION => self.page::<Port>(cursor).await,
            App::COLLECTION => self.page::<App>(cursor).await,
            other => Err(error::unknown_scope(other)),
        }
    }
}

#[async_trait]
impl IncrementalImport for ReferenceConnector {
    async fn model_state(&self) -> Result<Option<ModelState>, Failure> {
        self.client.model_state().await
    }

    async fn delta(
        &self,
        since: &ModelState,
        until: &ModelState,
        cursor: Option<&Cursor>,
    ) -> Result<Delta, Failure> {
        let (changes, next) = match self.client.delta(since, until, cursor).await? {
            DeltaAnswer::Changes(changes, next) => (*changes, next),
            DeltaAnswer::NotPossible(reason) => return Ok(Delta::NotPossible { reason }),
        };
        let mut records = Records::new();
        let all = changes.collections;
        self.emit(&all.sites.updates, &mut records).await?;
        self.emit(&all.assets.updates, &mut records).await?;
        self.emit(&all.vulnerabilities.updates, &mut records)
            .await?;
        self.emit(&all.mac_addresses.updates, &mut records).await?;
        self.emit(&all.ip_addresses.updates, &mut records).await?;
        self.emit(&all.hosts.updates, &mut records).await?;
        self.emit(&all.ports.updates, &mut records).await?;
        self.emit(&all.apps.updates, &mut records).await?;
        map::deletions(&all, &mut records);
        for link in &changes.removed_links {
            map::removed_link(link, &mut records);
        }
        Ok(Delta::Page(Page { records, next }))
    }
}

impl ReferenceConnector {
    async fn page<T: Record>(&self, cursor: Option<&Cursor>) -> Result<Page, Failure> {
        let (objects, next) = self.client.objects(T::COLLECTION, cursor).await?;
        let mut records = Records::new();
        self.emit::<T>(&objects, &mut records).await?;
        Ok(Page { records, next })
    }

    /// Maps objects, once the names of what they link to are known.
    async fn emit<T: Record>(
        &self,
        objects: &source::Objects<T>,
        records: &mut Records,
    ) -> Result<(), Failure> {
        let names = self.client.names(objects.named_links()).await?;
        for object in &objects.good {
            object.emit(&names, records);
        }
        for bad in &objects.bad {
            records.reject(
                T::VERTEX,
                bad.key.as_deref(),
                bad.reason.as_str(),
                bad.json.as_bytes(),
            );
        }
        Ok(())
    }
}
