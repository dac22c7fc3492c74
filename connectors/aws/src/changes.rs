//! The incremental import: what changed since the last one.
//!
//! Instances, of which there may be hundreds of thousands, are looked at again where CloudTrail
//! says that something was done to them. Databases, tasks, clusters, functions, load balancers,
//! environments and principals are few calls to list, and change without anybody calling, so they are listed again. Findings tell
//! when they changed. What is looked at again is told whole: the engine takes away what the graph
//! has beside it.

mod emit;
mod events;
mod found;
mod instances;
mod state;

use std::sync::Arc;

use car_core::Failure;
use car_core::connector::{Cursor, Delta, Dependent, ModelState, Page};

pub(crate) use state::State;

use crate::client::{Estate, Site, Untold};
use crate::error;
use crate::full;
use crate::scope::Service;
use events::Touched;

/// One part of a delta.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// What CloudTrail points at.
    Events,
    /// A service that is listed again.
    List(Service),
    /// Findings that changed.
    Findings,
}

/// Between the number of a step and the cursor inside of it.
const SEPARATOR: char = '/';

/// The vertices that exist only as long as others refer to them.
pub(crate) const DEPENDENTS: &[Dependent] = &[
    Dependent {
        collection: "ipaddress",
        only: None,
        held_by: &["asset_ipaddress", "ipaddress_container"],
        holds: &[
            "ipaddress_macaddress",
            "ipaddress_hostname",
            "ipaddress_port",
        ],
    },
    Dependent {
        collection: "macaddress",
        only: None,
        held_by: &["asset_macaddress", "ipaddress_macaddress"],
        holds: &[],
    },
    Dependent {
        collection: "hostname",
        only: None,
        held_by: &["asset_hostname", "ipaddress_hostname"],
        holds: &[],
    },
    Dependent {
        collection: "port",
        only: None,
        held_by: &["ipaddress_port"],
        holds: &[],
    },
    Dependent {
        collection: "geolocation",
        only: None,
        held_by: &["asset_geolocation"],
        holds: &[],
    },
    // Images and engines; what Beanstalk and ECS have is there without a machine.
    Dependent {
        collection: "application",
        only: Some(|id| !id.starts_with("arn:")),
        held_by: &["asset_application"],
        holds: &[],
    },
    // A node group is there for its cluster.
    Dependent {
        collection: "application",
        only: Some(|id| id.contains(":nodegroup/")),
        held_by: &["asset_application"],
        holds: &[],
    },
    Dependent {
        collection: "container",
        only: None,
        held_by: &["application_container"],
        holds: &["asset_container", "ipaddress_container"],
    },
    // A task on Fargate is there for its containers.
    Dependent {
        collection: "asset",
        only: Some(|id| id.contains(":ecs:")),
        held_by: &["asset_container"],
        holds: &[
            "asset_ipaddress",
            "asset_macaddress",
            "asset_hostname",
            "asset_geolocation",
        ],
    },
    // A database's server is there for its database.
    Dependent {
        collection: "asset",
        only: Some(|id| id.contains(":rds:")),
        held_by: &["asset_database"],
        holds: &[
            "asset_hostname",
            "asset_application",
            "asset_geolocation",
            "asset_finding",
            "asset_vulnerability",
        ],
    },
    Dependent {
        collection: "database",
        only: None,
        held_by: &["asset_database"],
        holds: &["account_database"],
    },
    Dependent {
        collection: "account",
        only: Some(|id| id.starts_with("arn:")),
        held_by: &["cloudaccount_account"],
        holds: &["user_account", "account_finding"],
    },
    Dependent {
        collection: "account",
        only: Some(|id| !id.starts_with("arn:")),
        held_by: &["account_database"],
        holds: &["user_account"],
    },
    Dependent {
        collection: "user",
        only: None,
        held_by: &["user_account"],
        holds: &[],
    },
    Dependent {
        collection: "vulnerability",
        only: None,
        held_by: &["asset_vulnerability"],
        holds: &[],
    },
    Dependent {
        collection: "finding",
        only: None,
        held_by: &["asset_finding", "account_finding"],
        holds: &[],
    },
];

/// A delta: what there is, what of it, and between which times.
pub(crate) struct Changes<'a> {
    pub(crate) estate: &'a Estate,
    pub(crate) services: &'a [Service],
    /// In milliseconds since 1970.
    pub(crate) since: i64,
    /// In milliseconds since 1970.
    pub(crate) until: i64,
}

impl Changes<'_> {
    /// Reads one page.
    pub(crate) async fn page(&self, cursor: Option<&Cursor>) -> Result<Delta, Failure> {
        let steps = self.steps();
        let (number, inside) = match cursor.and_then(|cursor| cursor.0.split_once(SEPARATOR)) {
            Some((number, inside)) => (
                number.parse().unwrap_or(usize::MAX),
                (!inside.is_empty()).then(|| Cursor(inside.to_owned())),
            ),
            None => (0, None),
        };
        let Some((site, step)) = steps.get(number) else {
            return Ok(Delta::Page(Page::default()));
        };
        let page = match step {
            Step::Events => match self.events(site, inside.as_ref()).await? {
                Ok(page) => page,
                Err(reason) => return Ok(Delta::NotPossible { reason }),
            },
            Step::List(service) => self.list(site, *service, inside.as_ref()).await?,
            Step::Findings => found::page(site, self, inside.as_ref()).await?,
        };
        let next = match page.next {
            Some(Cursor(inside)) => Some(format!("{number}{SEPARATOR}{inside}")),
            None => {
                let next = number.saturating_add(1);
                (next < steps.len()).then(|| format!("{next}{SEPARATOR}"))
            }
        };
        Ok(Delta::Page(Page {
            records: page.records,
            next: next.map(Cursor),
        }))
    }

    /// Whether a service is imported.
    fn has(&self, name: &str) -> bool {
        self.services.iter().any(|service| service.name() == name)
    }

    /// Returns all parts of the delta, in their order.
    fn steps(&self) -> Vec<(&Arc<Site>, Step)> {
        let mut steps = Vec::new();
        let mut account = None;
        for site in self.estate.sites() {
            steps.push((site, Step::Events));
            let is_first = account.replace(site.account.as_str()) != Some(site.account.as_str());
            for service in self.services {
                let again = matches!(
                    service.name(),
                    "rds" | "ecs" | "eks" | "lambda" | "elb" | "beanstalk"
                );
                if again || (service.is_global() && is_first) {
                    steps.push((site, Step::List(*service)));
                }
            }
            if self.has("securityhub") || self.has("inspector") {
                steps.push((site, Step::Findings));
            }
        }
        steps
    }

    async fn list(
        &self,
        site: &Arc<Site>,
        service: Service,
        cursor: Option<&Cursor>,
    ) -> Result<Page, Failure> {
        let mut page = match service {
            #[cfg(feature = "beanstalk")]
            Service::Beanstalk => {
                let since = self.since.saturating_sub(state::LATENESS);
                full::beanstalk(site, cursor, Some(since)).await?
            }
            service => full::page(site, service, cursor).await?,
        };
        emit::told_whole(service, site, &mut page.records);
        Ok(page)
    }

    /// Looks at what CloudTrail points at, or says why it cannot tell.
    async fn events(
        &self,
        site: &Arc<Site>,
        cursor: Option<&Cursor>,
    ) -> Result<Result<Page, String>, Failure> {
        if let Some(cursor) = cursor {
            // Only a list of everything has a second page.
            return instances::everything(site, Some(cursor)).await.map(Ok);
        }
        let since = self.since.saturating_sub(state::LATENESS);
        let events = match site.changes(since, self.until).await {
            Ok(events) => events,
            Err(Untold::Never(failure)) => return Ok(Err(failure.chain().join(": "))),
            Err(Untold::Failed(failure)) => return Err(failure),
        };
        let touched = Touched::of(events.iter());
        if let Some(event) = touched.gap {
            let reason = format!(
                "{event} changed what CloudTrail of {} in {} records",
                site.account, site.region
            );
            return Ok(Err(reason));
        }
        let mut page = if self.has("ec2") && touched.any_instance {
            instances::everything(site, None).await?
        } else {
            Page::default()
        };
        if self.has("ec2") {
            instances::touched(site, &touched, &mut page.records).await?;
        }
        emit::gone(site, &touched, &mut page.records);
        Ok(Ok(page))
    }
}

/// Reads the two states of a delta; a text why that cannot be told.
pub(crate) fn window(since: &ModelState, until: &ModelState) -> Result<(i64, i64), String> {
    let (Some(since), Some(until)) = (State::parse(since), State::parse(until)) else {
        return Err("the last import was made by another version of the connector".to_owned());
    };
    match until.gap_since(&since) {
        Some(why) => Err(why.to_owned()),
        None => Ok((since.at, until.at)),
    }
}

/// The failure of a delta whose accounts cannot all be entered.
pub(crate) fn entered(estate: &Estate) -> Result<(), Failure> {
    match estate
        .accounts
        .iter()
        .find_map(|account| account.sites.as_ref().err().map(|why| (account, why)))
    {
        Some((account, why)) => Err(error::closed(&account.number, why)),
        None => Ok(()),
    }
}
