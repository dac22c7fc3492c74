//! Imports an AWS estate: every chosen service of every account in every region.
//!
//! [`config`] holds its settings, `client` makes all calls, `map` turns answers into vertices and
//! edges, `full` reads everything, `changes` what changed, and `error` says what refusals mean. [`actions()`] lists the
//! calls that a policy has to allow.

mod actions;
mod changes;
mod client;
pub mod config;
mod error;
mod extension;
mod full;
mod map;
mod pace;
mod scope;

use std::sync::Arc;

use async_trait::async_trait;
use car_core::Failure;
use car_core::connector::{
    About, AssetServer, Connector, Context, Cursor, Delta, Dependent, FullImport,
    IncrementalImport, ModelState, Page, Scope,
};
use tokio::sync::{Mutex, OnceCell};

pub use crate::actions::{Action, actions};
use crate::changes::{Changes, State};
use crate::client::{Estate, Login};
use crate::config::Settings;
use crate::scope::Service;

/// The connector of AWS.
pub struct AwsConnector {
    settings: Settings,
    services: Vec<Service>,
    login: OnceCell<Login>,
    estate: Mutex<Option<Arc<Estate>>>,
}

#[async_trait]
impl Connector for AwsConnector {
    type Settings = Settings;

    fn about() -> About {
        About {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            title: "Amazon Web Services",
            description: "Imports an AWS estate: accounts, regions and services.",
            product_link: Some("https://console.aws.amazon.com"),
            extension: Some(extension::extension()),
            incremental: true,
        }
    }

    async fn open(settings: Settings, _: Context) -> Result<Self, Failure> {
        client::check(&settings)?;
        Ok(Self {
            services: scope::services(&settings)?,
            settings,
            login: OnceCell::new(),
            estate: Mutex::new(None),
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
impl AssetServer for AwsConnector {
    async fn test_connection(&self) -> Result<(), Failure> {
        client::test(self.login().await?, &self.settings).await
    }
}

#[async_trait]
impl FullImport for AwsConnector {
    async fn scopes(&self) -> Result<Vec<Scope>, Failure> {
        Ok(full::scopes(&*self.estate().await?, &self.services))
    }

    async fn fetch(&self, scope: &Scope, cursor: Option<&Cursor>) -> Result<Page, Failure> {
        full::fetch(&*self.estate().await?, scope, cursor).await
    }
}

#[async_trait]
impl IncrementalImport for AwsConnector {
    async fn model_state(&self) -> Result<Option<ModelState>, Failure> {
        // Another run begins: what was known may have changed.
        *self.estate.lock().await = None;
        let estate = self.estate().await?;
        Ok(Some(State::now(&estate, &self.services).text()))
    }

    async fn delta(
        &self,
        since: &ModelState,
        until: &ModelState,
        cursor: Option<&Cursor>,
    ) -> Result<Delta, Failure> {
        let (since, until) = match changes::window(since, until) {
            Ok(window) => window,
            Err(reason) => return Ok(Delta::NotPossible { reason }),
        };
        let estate = self.estate().await?;
        changes::entered(&estate)?;
        let changes = Changes {
            estate: &estate,
            services: &self.services,
            since,
            until,
        };
        changes.page(cursor).await
    }

    fn dependents(&self) -> &[Dependent] {
        changes::DEPENDENTS
    }
}

impl AwsConnector {
    async fn login(&self) -> Result<&Login, Failure> {
        self.login
            .get_or_try_init(|| Login::new(&self.settings))
            .await
    }

    /// Returns what there is, as it was found at the beginning of the run.
    async fn estate(&self) -> Result<Arc<Estate>, Failure> {
        let mut estate = self.estate.lock().await;
        if let Some(estate) = &*estate {
            return Ok(Arc::clone(estate));
        }
        let found = Arc::new(Estate::find(self.login().await?, &self.settings).await?);
        *estate = Some(Arc::clone(&found));
        Ok(found)
    }
}
