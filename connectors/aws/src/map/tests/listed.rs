//! Clusters, functions, load balancers and databases become assets with what belongs to them.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{Instance, Tag};
use aws_sdk_eks::types::{Cluster, ClusterStatus, Nodegroup, NodegroupStatus, VpcConfigResponse};
use aws_sdk_elasticloadbalancingv2::types::{
    AvailabilityZone, LoadBalancer, LoadBalancerAddress, LoadBalancerSchemeEnum,
    LoadBalancerTypeEnum,
};
use aws_sdk_rds::types::DbInstance;
use car_core::record::Records;
use serde_json::json;

use super::{HERE, WEB, edges, pair, rows};
use crate::map::eks::ClusterPage;
use crate::map::network::{Opening, Openings};
use crate::map::{eks, elb, rds};

fn cluster(status: ClusterStatus, ranges: &[&str]) -> ClusterPage {
    let network = VpcConfigResponse::builder()
        .vpc_id("vpc-1")
        .endpoint_public_access(true)
        .set_public_access_cidrs(Some(ranges.iter().map(|&range| range.to_owned()).collect()));
    let group = |name: &str, status| {
        Nodegroup::builder()
            .nodegroup_name(name)
            .nodegroup_arn(format!("arn:{name}"))
            .status(status)
            .build()
    };
    let tag = Tag::builder()
        .key("eks:nodegroup-name")
        .value("small")
        .build();
    let member = Instance::builder()
        .instance_id("i-00000001")
        .tags(tag)
        .build();
    ClusterPage {
        cluster: Cluster::builder()
            .name("main")
            .arn("arn:main")
            .version("1.35")
            .endpoint("https://main.eks.example/")
            .status(status)
            .resources_vpc_config(network.build())
            .build(),
        groups: vec![
            group("small", NodegroupStatus::Active),
            group("gone", NodegroupStatus::Deleting),
        ],
        instances: vec![member],
    }
}

#[test]
fn a_cluster_has_its_endpoint_and_its_node_groups() {
    let mut records = Records::new();
    eks::cluster(
        HERE,
        &cluster(ClusterStatus::Active, &["0.0.0.0/0"]),
        &mut records,
    );
    let asset = &rows(&records, "asset")[0];
    assert_eq!(asset["exposed"], true);
    assert_eq!(asset["platform"], "Kubernetes 1.35");
    assert_eq!(
        edges(&records, "asset_hostname"),
        BTreeSet::from([pair("arn:main", "main.eks.example")])
    );
    assert_eq!(
        edges(&records, "asset_application"),
        BTreeSet::from([pair("arn:main", "arn:small"), pair(WEB, "arn:small")])
    );

    let mut records = Records::new();
    eks::cluster(
        HERE,
        &cluster(ClusterStatus::Active, &["10.0.0.0/8"]),
        &mut records,
    );
    assert_eq!(rows(&records, "asset")[0]["exposed"], false);
    let mut records = Records::new();
    eks::cluster(HERE, &cluster(ClusterStatus::Deleting, &[]), &mut records);
    assert!(records.is_empty());
}

#[cfg(feature = "lambda")]
#[test]
fn a_function_has_its_runtime_and_none_of_its_environment() {
    use aws_sdk_lambda::types::{EnvironmentResponse, FunctionConfiguration, Runtime};

    let secret = EnvironmentResponse::builder().variables("PASSWORD", "s3cret");
    let function = FunctionConfiguration::builder()
        .function_name("mailer")
        .function_arn("arn:mailer")
        .runtime(Runtime::from("python3.13"))
        .environment(secret.build())
        .build();
    let mut records = Records::new();
    crate::map::lambda::function(HERE, &function, &mut records);
    assert_eq!(rows(&records, "asset")[0]["platform"], "python3.13");
    assert_eq!(
        edges(&records, "asset_application"),
        BTreeSet::from([pair("arn:mailer", "python3.13")])
    );
    assert!(!format!("{:?}", rows(&records, "asset")).contains("s3cret"));
}

#[test]
fn a_load_balancer_is_exposed_when_it_faces_the_internet_and_is_open() {
    let address = LoadBalancerAddress::builder().ip_address("3.1.2.3").build();
    let zone = AvailabilityZone::builder().load_balancer_addresses(address);
    let open = Openings(vec![Opening {
        protocol: "tcp".to_owned(),
        from: 443,
        to: 443,
        over_ipv4: true,
        over_ipv6: false,
    }]);
    let groups = BTreeMap::from([
        ("sg-open".to_owned(), open),
        ("sg-shut".to_owned(), Openings::default()),
    ]);
    for (scheme, own, exposed) in [
        (
            LoadBalancerSchemeEnum::InternetFacing,
            vec!["sg-open"],
            true,
        ),
        (
            LoadBalancerSchemeEnum::InternetFacing,
            vec!["sg-shut"],
            false,
        ),
        (LoadBalancerSchemeEnum::InternetFacing, vec![], true),
        (LoadBalancerSchemeEnum::Internal, vec!["sg-open"], false),
    ] {
        let what = format!("{scheme} {own:?}");
        let balancer = LoadBalancer::builder()
            .load_balancer_arn("arn:front")
            .load_balancer_name("front")
            .dns_name("front.elb.example")
            .r#type(LoadBalancerTypeEnum::Network)
            .scheme(scheme)
            .availability_zones(zone.clone().build())
            .set_security_groups(Some(own.into_iter().map(str::to_owned).collect()))
            .build();
        let mut records = Records::new();
        elb::balancer(HERE, &balancer, &groups, &mut records);
        assert_eq!(
            rows(&records, "asset")[0]["exposed"],
            json!(exposed),
            "{what}"
        );
        assert_eq!(
            edges(&records, "asset_ipaddress"),
            BTreeSet::from([pair("arn:front", "3.1.2.3")])
        );
    }
}

#[test]
fn a_database_that_is_being_deleted_is_gone() {
    let going = DbInstance::builder()
        .db_instance_arn("arn:orders")
        .db_instance_identifier("orders")
        .db_instance_status("deleting")
        .build();
    let mut records = Records::new();
    rds::instance(HERE, &going, &mut records);
    assert!(records.is_empty());
}
