//! What of a list is told whole, and what events say is gone. Pure: no I/O.

use std::sync::Arc;

use car_core::record::{Deletion, Records};

use super::events::Touched;
use crate::client::Site;
use crate::scope::Service;

/// What an address is told whole of.
pub(super) const OF_ADDRESS: &[&str] = &[
    "ipaddress_macaddress",
    "ipaddress_hostname",
    "ipaddress_port",
];

/// What something that was listed and is gone leaves behind.
const OF_LISTED: &[&str] = &[
    "asset_database",
    "asset_hostname",
    "asset_ipaddress",
    "asset_application",
    "asset_geolocation",
    "asset_finding",
    "asset_vulnerability",
];

/// Says what a list of a service has told whole.
pub(super) fn told_whole(service: Service, site: &Arc<Site>, out: &mut Records) {
    let keys = |collection: &str| -> Vec<String> {
        out.rows()
            .filter(|row| row.collection == collection)
            .filter_map(|row| key(row.json))
            .collect()
    };
    match service.name() {
        "rds" => {
            let (assets, databases) = (keys("asset"), keys("database"));
            for asset in assets {
                out.whole("asset", asset, &["asset_hostname", "asset_application"]);
            }
            for database in databases {
                out.whole(
                    "database",
                    database,
                    &["asset_database", "account_database"],
                );
            }
        }
        "eks" => {
            let (assets, groups) = (keys("asset"), keys("application"));
            for asset in assets {
                out.whole("asset", asset, &["asset_hostname", "asset_application"]);
            }
            for group in groups {
                out.whole("application", group, &["asset_application"]);
            }
        }
        "lambda" => {
            for asset in keys("asset") {
                out.whole("asset", asset, &["asset_application"]);
            }
        }
        "elb" => {
            let (assets, addresses) = (keys("asset"), keys("ipaddress"));
            for asset in assets {
                out.whole("asset", asset, &["asset_hostname", "asset_ipaddress"]);
            }
            for address in addresses {
                out.whole("ipaddress", address, OF_ADDRESS);
            }
        }
        "beanstalk" => {
            let (applications, hosts) = (keys("application"), keys("hostname"));
            for application in applications {
                out.whole("application", application, &["asset_application"]);
            }
            for host in hosts {
                out.whole("hostname", host, &["asset_hostname"]);
            }
        }
        "ecs" => {
            let (clusters, containers) = (keys("application"), keys("container"));
            for address in keys("ipaddress") {
                out.whole("ipaddress", address, OF_ADDRESS);
            }
            for cluster in clusters {
                out.whole("application", cluster, &["application_container"]);
            }
            for container in containers {
                out.whole(
                    "container",
                    container,
                    &["asset_container", "ipaddress_container"],
                );
            }
        }
        "iam" => out.whole(
            "cloudaccount",
            site.account.as_str(),
            &["cloudaccount_account"],
        ),
        _ => {}
    }
}

/// Takes away what events say is gone. What was made again meanwhile is in the lists, and stays.
pub(super) fn gone(site: &Arc<Site>, touched: &Touched, out: &mut Records) {
    let place = site.place();
    let databases = touched.databases.iter().map(|name| format!("db:{name}"));
    let clusters = touched
        .clusters
        .iter()
        .map(|name| format!("cluster:{name}"));
    let rds = databases
        .chain(clusters)
        .map(|name| place.arn("rds", &name));
    let kubernetes = touched
        .kubernetes
        .iter()
        .map(|name| place.arn("eks", &format!("cluster/{name}")));
    let functions = touched
        .functions
        .iter()
        .map(|name| place.arn("lambda", &format!("function:{name}")));
    let balancers = touched.balancers.iter().cloned();
    for arn in rds.chain(kubernetes).chain(functions).chain(balancers) {
        out.whole("asset", arn.as_str(), OF_LISTED);
        out.delete(Deletion::vertex("asset", arn));
    }
    for name in &touched.applications {
        let arn = place.arn("elasticbeanstalk", &format!("application/{name}"));
        out.whole("application", arn.as_str(), &["asset_application"]);
        out.delete(Deletion::vertex("application", arn));
    }
    for arn in &touched.task_clusters {
        out.whole("application", arn.as_str(), &["application_container"]);
        out.delete(Deletion::vertex("application", arn.as_str()));
    }
}

/// Returns the identity of a vertex.
fn key(json: &[u8]) -> Option<String> {
    let row: serde_json::Value = serde_json::from_slice(json).ok()?;
    let key = row.get("external_id").or_else(|| row.get("_key"))?;
    key.as_str().map(str::to_owned)
}
