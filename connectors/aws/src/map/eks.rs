//! Clusters of EKS with their node groups.

use aws_sdk_ec2::types::Instance;
use aws_sdk_eks::types::{Cluster, ClusterStatus, Nodegroup, NodegroupStatus};
use car_core::record::Records;
use car_schema::edges::{AssetApplication, AssetHostname};
use car_schema::vertices::{Application, Hostname};

use super::Place;
use super::ec2::{exists, instance_arn, tag};

/// The tag that says which node group an instance is part of.
const GROUP_TAG: &str = "eks:nodegroup-name";

/// A cluster, and what belongs to it.
#[derive(Debug)]
pub(crate) struct ClusterPage {
    pub(crate) cluster: Cluster,
    pub(crate) groups: Vec<Nodegroup>,
    /// Instances of all its node groups.
    pub(crate) instances: Vec<Instance>,
}

/// Emits a cluster with its node groups, unless it is being deleted.
pub(crate) fn cluster(place: Place<'_>, page: &ClusterPage, out: &mut Records) {
    let cluster = &page.cluster;
    let (Some(arn), Some(name)) = (cluster.arn(), cluster.name()) else {
        out.reject(
            "asset",
            cluster.arn(),
            "the EKS cluster has no ARN or no name",
            format!("{:?}", cluster.name()),
        );
        return;
    };
    if matches!(cluster.status(), Some(ClusterStatus::Deleting)) {
        return;
    }
    let network = cluster.resources_vpc_config();
    let is_exposed = network.is_some_and(|network| {
        let ranges = network.public_access_cidrs();
        let everybody = ["0.0.0.0/0", "::/0"];
        network.endpoint_public_access()
            && ranges
                .iter()
                .any(|range| everybody.contains(&range.as_str()))
    });
    let mut asset = place
        .asset(arn, name, "EKS cluster")
        .with("exposed", is_exposed);
    if let Some(version) = cluster.version() {
        asset = asset.with("platform", format!("Kubernetes {version}"));
    }
    if let Some(status) = cluster.status() {
        asset = asset.with("state", status.as_str());
    }
    if let Some(vpc) = network.and_then(|network| network.vpc_id()) {
        asset = asset.with("vpc_id", vpc);
    }
    out.emit(&asset);
    place.locate(arn, out);
    // `https://NAME`; one that is being made has none yet.
    let host = cluster.endpoint().and_then(|url| url.split('/').nth(2));
    if let Some(host) = host.filter(|host| !host.is_empty()) {
        out.emit(&Hostname::new(host, host));
        out.emit(&AssetHostname::new(arn, host));
    }
    for group in &page.groups {
        node_group(place, arn, group, &page.instances, out);
    }
}

fn node_group(
    place: Place<'_>,
    cluster: &str,
    group: &Nodegroup,
    instances: &[Instance],
    out: &mut Records,
) {
    let (Some(arn), Some(name)) = (group.nodegroup_arn(), group.nodegroup_name()) else {
        return;
    };
    if matches!(group.status(), Some(NodegroupStatus::Deleting)) {
        return;
    }
    out.emit(&Application {
        app_type: Some("EKS node group".to_owned()),
        status: group.status().map(|status| status.as_str().to_owned()),
        ..Application::new(arn, name)
    });
    out.emit(&AssetApplication::new(cluster, arn));
    let members = instances
        .iter()
        .filter(|instance| exists(instance) && tag(instance.tags(), GROUP_TAG) == Some(name));
    for id in members.filter_map(Instance::instance_id) {
        out.emit(&AssetApplication::new(instance_arn(place, id), arn));
    }
}
