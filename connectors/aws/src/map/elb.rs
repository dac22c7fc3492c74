//! Load balancers with their names and addresses.

use std::collections::BTreeMap;

use aws_sdk_elasticloadbalancingv2::types::{LoadBalancer, LoadBalancerSchemeEnum};
use car_core::record::Records;
use car_schema::edges::AssetHostname;
use car_schema::vertices::Hostname;

use super::Place;
use super::network::{Interface, Named, Openings};

/// Emits a load balancer.
pub(crate) fn balancer(
    place: Place<'_>,
    balancer: &LoadBalancer,
    groups: &BTreeMap<String, Openings>,
    out: &mut Records,
) {
    let (Some(arn), Some(name)) = (balancer.load_balancer_arn(), balancer.load_balancer_name())
    else {
        out.reject(
            "asset",
            balancer.load_balancer_arn(),
            "the load balancer has no ARN or no name",
            format!("{:?}", balancer.load_balancer_name()),
        );
        return;
    };
    let kind = balancer
        .r#type()
        .map_or("load balancer", |kind| kind.as_str());
    let mut asset = place
        .asset(arn, name, &format!("{kind} load balancer"))
        .with("exposed", is_exposed(balancer, groups));
    let state = balancer.state().and_then(|state| state.code());
    if let Some(state) = state {
        asset = asset.with("state", state.as_str());
    }
    if let Some(vpc) = balancer.vpc_id() {
        asset = asset.with("vpc_id", vpc);
    }
    out.emit(&asset);
    place.locate(arn, out);
    if let Some(host) = balancer.dns_name().filter(|host| !host.is_empty()) {
        out.emit(&Hostname::new(host, host));
        out.emit(&AssetHostname::new(arn, host));
    }
    addresses(balancer).emit(Some(arn), groups, out);
}

/// Tells whether anybody may reach it: one without security groups lets everybody in.
fn is_exposed(balancer: &LoadBalancer, groups: &BTreeMap<String, Openings>) -> bool {
    let own = balancer.security_groups();
    let is_open = own
        .iter()
        .filter_map(|group| groups.get(group))
        .any(|openings| !openings.0.is_empty());
    let faces_internet = matches!(
        balancer.scheme(),
        Some(LoadBalancerSchemeEnum::InternetFacing)
    );
    faces_internet && (own.is_empty() || is_open)
}

/// Returns the addresses that stay: network load balancers have some, others only names.
fn addresses(balancer: &LoadBalancer) -> Interface {
    let all = || {
        balancer
            .availability_zones()
            .iter()
            .flat_map(|zone| zone.load_balancer_addresses())
    };
    let named = |address: Option<&str>| Named::new(address, None);
    Interface {
        vpc: balancer.vpc_id().map(str::to_owned),
        public: all().filter_map(|one| named(one.ip_address())).collect(),
        private: all()
            .filter_map(|one| named(one.private_ipv4_address()))
            .collect(),
        ipv6: all()
            .filter_map(|one| one.ipv6_address().map(str::to_owned))
            .collect(),
        groups: balancer.security_groups().to_vec(),
        ..Interface::default()
    }
}
