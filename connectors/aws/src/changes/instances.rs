//! Instances that are looked at again.

use std::collections::BTreeSet;
use std::sync::Arc;

use aws_sdk_ec2::types::Instance;
use car_core::Failure;
use car_core::connector::{Cursor, Page};
use car_core::record::{Deletion, Records};

use super::emit::OF_ADDRESS;
use super::events::Touched;
use crate::client::Site;
use crate::map;
use crate::map::ec2::{exists, instance_arn};

/// What an instance is told whole of.
const EDGES: &[&str] = &[
    "asset_ipaddress",
    "asset_macaddress",
    "asset_hostname",
    "asset_application",
    "asset_geolocation",
];

/// What an instance that is gone leaves behind.
const ALL_EDGES: &[&str] = &[
    "asset_ipaddress",
    "asset_macaddress",
    "asset_hostname",
    "asset_application",
    "asset_geolocation",
    "asset_vulnerability",
    "asset_finding",
    "asset_container",
];

/// Looks at the instances that were touched, and takes away those that are gone.
pub(super) async fn touched(
    site: &Arc<Site>,
    touched: &Touched,
    out: &mut Records,
) -> Result<(), Failure> {
    let mut ids = touched.instances.clone();
    ids.extend(
        site.instances_behind("network-interface-id", &touched.interfaces)
            .await?,
    );
    ids.extend(site.instances_behind("group-id", &touched.groups).await?);
    let instances = site.instances_with("instance-id", &ids).await?;
    emit(site, &instances, out).await?;
    let there: BTreeSet<&str> = instances
        .iter()
        .filter(|instance| exists(instance))
        .filter_map(Instance::instance_id)
        .collect();
    for id in ids.iter().filter(|id| !there.contains(id.as_str())) {
        let arn = instance_arn(site.place(), id);
        out.whole("asset", arn.as_str(), ALL_EDGES);
        out.delete(Deletion::vertex("asset", arn));
    }
    Ok(())
}

/// Looks at a page of all instances: something changed that nobody names.
pub(super) async fn everything(site: &Arc<Site>, cursor: Option<&Cursor>) -> Result<Page, Failure> {
    let (instances, next) = site.instances(cursor).await?;
    let mut records = Records::new();
    emit(site, &instances, &mut records).await?;
    Ok(Page { records, next })
}

async fn emit(site: &Arc<Site>, instances: &[Instance], out: &mut Records) -> Result<(), Failure> {
    let surroundings = site.surroundings(instances).await?;
    for instance in instances.iter().filter(|instance| exists(instance)) {
        let addresses = map::ec2::instance(site.place(), instance, &surroundings, out);
        if let Some(id) = instance.instance_id() {
            out.whole("asset", instance_arn(site.place(), id), EDGES);
        }
        for address in addresses {
            out.whole("ipaddress", address, OF_ADDRESS);
        }
    }
    Ok(())
}
