//! The connector of the simulation: reads the world, and fails where the plan says so.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use car_core::connector::{
    About, AssetServer, Connector, Context, Cursor, Delta, FullImport, IncrementalImport,
    ModelState, Page, Scope,
};
use car_core::record::Records;
use car_core::{Failure, FailureKind, Retry};

use super::plan::{Plan, SourceFault};
use super::world::{ACCOUNTS, World, emit_address, emit_machine};

/// Settings of a connector that needs none.
#[derive(Debug, clap::Args, schemars::JsonSchema)]
pub(crate) struct NoSettings {}

/// The scope of all addresses and their links.
const ADDRESSES: &str = "addresses";

/// Reads the world.
pub(crate) struct Reader {
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) plan: Arc<Plan>,
}

impl Reader {
    /// Makes one call of the source, with what the plan has for it.
    async fn call(&self, name: &str) -> Result<(), Failure> {
        let fault = self.plan.next_source_call(name, &self.world);
        let kind = match fault {
            None => return Ok(()),
            Some(SourceFault::Kill) => std::future::pending().await,
            Some(SourceFault::Now) => FailureKind::SourceUnavailable,
            Some(SourceFault::Ever) => FailureKind::SourceForbidden,
        };
        let retry = match kind {
            FailureKind::SourceUnavailable => Retry::Backoff,
            _ => Retry::Never,
        };
        Err(Failure::new(kind, "the plan says so").with_retry(retry))
    }
}

#[async_trait]
impl Connector for Reader {
    type Settings = NoSettings;

    fn about() -> About {
        About {
            name: "simulation",
            version: "1.0.0",
            title: "Simulation",
            description: "Reads a made-up world.",
            product_link: None,
            extension: None,
            incremental: true,
        }
    }

    async fn open(_: NoSettings, _: Context) -> Result<Self, Failure> {
        Err(Failure::new(FailureKind::General, "made without settings"))
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
impl AssetServer for Reader {
    async fn test_connection(&self) -> Result<(), Failure> {
        self.call("test").await
    }
}

#[async_trait]
impl FullImport for Reader {
    async fn scopes(&self) -> Result<Vec<Scope>, Failure> {
        self.call("scopes").await?;
        let accounts = (0..ACCOUNTS).map(|account| Scope::new(format!("accounts/{account}")));
        Ok(accounts.chain([Scope::new(ADDRESSES)]).collect())
    }

    async fn fetch(&self, scope: &Scope, cursor: Option<&Cursor>) -> Result<Page, Failure> {
        self.call(&scope.name).await?;
        let from: u32 = cursor.map_or(0, |cursor| cursor.0.parse().unwrap());
        let world = self.world.lock().unwrap();
        let state = world.present();
        let mut records = Records::new();
        let mut read = 0;
        let mut next = None;
        let mut room = |id: u32| {
            read += 1;
            let full = read > self.plan.page_size;
            if full && next.is_none() {
                next = Some(Cursor(id.to_string()));
            }
            !full
        };
        if scope.name == ADDRESSES {
            for (id, machines) in state.addresses.range(from..) {
                if room(*id) {
                    emit_address(*id, machines, &mut records);
                }
            }
        } else {
            for (id, machine) in state.machines.range(from..) {
                if scope.name == format!("accounts/{}", machine.account) && room(*id) {
                    emit_machine(*id, machine, &mut records);
                }
            }
        }
        Ok(Page { records, next })
    }
}

#[async_trait]
impl IncrementalImport for Reader {
    async fn model_state(&self) -> Result<Option<ModelState>, Failure> {
        self.call("state").await?;
        let now = self.world.lock().unwrap().now();
        Ok(Some(ModelState(now.to_string())))
    }

    async fn delta(
        &self,
        since: &ModelState,
        until: &ModelState,
        cursor: Option<&Cursor>,
    ) -> Result<Delta, Failure> {
        self.call("delta").await?;
        let number = |state: &ModelState| state.0.parse::<usize>().unwrap();
        let (since, until) = (number(since), number(until));
        let world = self.world.lock().unwrap();
        if !world.knows(since) || (cursor.is_some() && self.plan.delta_breaks_off) {
            return Ok(Delta::NotPossible {
                reason: "that long ago is forgotten".to_owned(),
            });
        }
        let pages = world.delta(since, until);
        let from: usize = cursor.map_or(0, |cursor| cursor.0.parse().unwrap());
        let next = from + 1;
        Ok(Delta::Page(Page {
            records: pages.get(from).cloned().unwrap_or_default(),
            next: (next < pages.len()).then(|| Cursor(next.to_string())),
        }))
    }
}
