//! Records of AWS become the right vertices and edges. Tests named after a defect are about one
//! that connectors of this kind are known to have; `tests/it/defects.rs` has the others.

#![expect(
    clippy::unwrap_used,
    reason = "a helper that cannot go on fails its test"
)]

mod findings;
mod listed;

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{
    Instance, InstanceIpv6Address, InstanceNetworkInterface, InstanceNetworkInterfaceAssociation,
    InstanceNetworkInterfaceAttachment, InstancePrivateIpAddress, InstanceState, InstanceStateName,
    IpPermission, IpRange, Placement, SecurityGroup, Tag,
};
use aws_sdk_ecs::types::{Attachment, Container, KeyValuePair, LaunchType, Task};
use aws_sdk_elasticbeanstalk::types::EnvironmentDescription;
use aws_sdk_rds::types::{DbInstance, Endpoint, PendingModifiedValues};
use car_core::record::Records;
use serde_json::Value;

use super::ec2::Surroundings;
use super::network::Openings;
use super::{Place, beanstalk, ec2, ecs, rds};

const HERE: Place<'_> = Place {
    partition: "aws",
    account: "123456789012",
    region: "us-west-2",
};

const WEB: &str = "arn:aws:ec2:us-west-2:123456789012:instance/i-00000001";

fn rows(records: &Records, collection: &str) -> Vec<Value> {
    records
        .rows()
        .filter(|row| row.collection == collection)
        .map(|row| serde_json::from_slice(row.json).unwrap())
        .collect()
}

/// Returns both ends of the edges of a collection.
fn edges(records: &Records, collection: &str) -> BTreeSet<(String, String)> {
    let end = |row: &Value, plain: &str, prefixed: &str| match row[plain].as_str() {
        Some(id) => id.to_owned(),
        None => row[prefixed]
            .as_str()
            .unwrap()
            .split_once('/')
            .unwrap()
            .1
            .to_owned(),
    };
    rows(records, collection)
        .iter()
        .map(|row| {
            (
                end(row, "_from_external_id", "_from"),
                end(row, "_to_external_id", "_to"),
            )
        })
        .collect()
}

fn pair(from: &str, to: &str) -> (String, String) {
    (from.to_owned(), to.to_owned())
}

fn private(address: &str, name: &str) -> InstancePrivateIpAddress {
    InstancePrivateIpAddress::builder()
        .private_ip_address(address)
        .private_dns_name(name)
        .build()
}

fn interface(
    vpc: &str,
    address: &str,
) -> aws_sdk_ec2::types::builders::InstanceNetworkInterfaceBuilder {
    InstanceNetworkInterface::builder()
        .network_interface_id("eni-00000001")
        .vpc_id(vpc)
        .mac_address("02:00:00:00:00:01")
        .attachment(InstanceNetworkInterfaceAttachment::builder().build())
        .private_ip_addresses(private(address, "ip-10-0-0-1.internal"))
}

fn instance(id: &str, interface: InstanceNetworkInterface) -> Instance {
    Instance::builder()
        .instance_id(id)
        .image_id("ami-1")
        .state(
            InstanceState::builder()
                .name(InstanceStateName::Running)
                .build(),
        )
        .network_interfaces(interface)
        .build()
}

fn emitted(place: Place<'_>, one: &Instance) -> Records {
    let mut records = Records::new();
    ec2::instance(place, one, &Surroundings::default(), &mut records);
    records
}

#[test]
fn an_instance_without_a_name_is_called_by_its_id() {
    let records = emitted(
        HERE,
        &instance("i-00000001", interface("vpc-1", "10.0.0.1").build()),
    );
    assert_eq!(rows(&records, "asset")[0]["name"], "EC2 id:i-00000001");
}

#[test]
fn an_interface_without_attachment_is_left_out() {
    let mut loose = interface("vpc-1", "10.0.0.1").build();
    loose.attachment = None;
    let records = emitted(HERE, &instance("i-00000001", loose));
    assert_eq!(rows(&records, "ipaddress"), Vec::<Value>::new());
    assert_eq!(rows(&records, "asset").len(), 1);
}

#[test]
fn an_open_port_is_told_where_it_can_be_reached() {
    let public = InstanceNetworkInterfaceAssociation::builder()
        .public_ip("54.1.2.3")
        .build();
    let open = interface("vpc-1", "10.0.0.1")
        .association(public)
        .groups(
            aws_sdk_ec2::types::GroupIdentifier::builder()
                .group_id("sg-1")
                .build(),
        )
        .build();
    let rule = IpPermission::builder()
        .ip_protocol("tcp")
        .from_port(22)
        .to_port(22)
        .ip_ranges(IpRange::builder().cidr_ip("0.0.0.0/0").build());
    let group = SecurityGroup::builder()
        .ip_permissions(rule.build())
        .build();
    let surroundings = Surroundings {
        groups: BTreeMap::from([("sg-1".to_owned(), Openings::of(&group))]),
        ..Surroundings::default()
    };
    let mut records = Records::new();
    ec2::instance(
        HERE,
        &instance("i-00000001", open),
        &surroundings,
        &mut records,
    );
    assert_eq!(
        edges(&records, "ipaddress_port"),
        BTreeSet::from([pair("54.1.2.3", "sg-1/tcp/22-22")])
    );
    assert_eq!(rows(&records, "asset")[0]["exposed"], true);
}

#[test]
fn defect_02_every_container_of_a_task_is_told() {
    let container = |number: u32| {
        Container::builder()
            .container_arn(format!("arn:container/{number}"))
            .name(format!("c{number}"))
            .build()
    };
    let task = Task::builder()
        .task_arn("arn:task/1")
        .container_instance_arn("arn:machine/1")
        .last_status("RUNNING")
        .launch_type(LaunchType::Ec2)
        .containers(container(1))
        .containers(container(2))
        .build();
    let page = ecs::TaskPage {
        tasks: vec![task],
        machines: BTreeMap::from([("arn:machine/1".to_owned(), "i-00000001".to_owned())]),
        ..ecs::TaskPage::default()
    };
    let mut records = Records::new();
    ecs::tasks(HERE, &page, &mut records);
    assert_eq!(rows(&records, "container").len(), 2);
    assert_eq!(
        edges(&records, "asset_container"),
        BTreeSet::from([pair(WEB, "arn:container/1"), pair(WEB, "arn:container/2")])
    );
}

#[test]
fn defect_07_instances_of_beanstalk_keep_their_operating_system() {
    let tag = Tag::builder()
        .key(beanstalk::ENVIRONMENT_TAG)
        .value("e-1")
        .build();
    let mut one = instance("i-00000001", interface("vpc-1", "10.0.0.1").build());
    one.tags = Some(vec![tag]);
    let mut records = emitted(HERE, &one);
    let environment = EnvironmentDescription::builder()
        .environment_id("e-1")
        .environment_name("prod")
        .environment_arn("arn:environment/prod")
        .application_name("shop")
        .cname("shop.example.com")
        .build();
    beanstalk::environments(HERE, &[environment], &[one], &mut records);
    assert_eq!(
        edges(&records, "asset_application"),
        BTreeSet::from([
            pair(WEB, "ami-1"),
            pair(WEB, "arn:environment/prod"),
            pair(
                WEB,
                "arn:aws:elasticbeanstalk:us-west-2:123456789012:application/shop"
            ),
        ])
    );
    assert!(edges(&records, "asset_hostname").contains(&pair(WEB, "shop.example.com")));
}

fn database(name: &str, resource: &str) -> DbInstance {
    DbInstance::builder()
        .db_instance_arn(HERE.arn("rds", &format!("db:{name}")))
        .db_instance_identifier(name)
        .dbi_resource_id(resource)
        .engine("postgres")
        .master_username("admin")
        .endpoint(
            Endpoint::builder()
                .address(format!("{name}.example.com"))
                .port(5432)
                .build(),
        )
        .build()
}

#[test]
fn defect_08_the_same_master_user_of_two_databases_is_two_accounts() {
    let mut records = Records::new();
    rds::instance(HERE, &database("a", "db-1"), &mut records);
    rds::instance(HERE, &database("b", "db-2"), &mut records);
    assert_eq!(
        edges(&records, "account_database"),
        BTreeSet::from([pair("db-1/admin", "db-1"), pair("db-2/admin", "db-2")])
    );
    assert_eq!(edges(&records, "user_account").len(), 2);
}

#[test]
fn defect_09_equal_private_addresses_of_two_networks_stay_two() {
    let mut records = emitted(
        HERE,
        &instance("i-00000001", interface("vpc-1", "10.0.0.1").build()),
    );
    records.append(emitted(
        HERE,
        &instance("i-00000002", interface("vpc-2", "10.0.0.1").build()),
    ));
    let keys: BTreeSet<String> = rows(&records, "ipaddress")
        .iter()
        .map(|row| row["_key"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        keys,
        BTreeSet::from(["10.0.0.1@vpc-1".to_owned(), "10.0.0.1@vpc-2".to_owned()])
    );
    assert_eq!(rows(&records, "ipaddress")[0]["region_id"], "vpc-1");
    let names = edges(&records, "asset_hostname");
    assert!(
        names.contains(&pair(WEB, "ip-10-0-0-1.internal@vpc-1")),
        "{names:?}"
    );
}

#[test]
fn defect_10_the_region_of_a_local_zone_is_the_region() {
    let mut one = instance("i-00000001", interface("vpc-1", "10.0.0.1").build());
    one.placement = Some(
        Placement::builder()
            .availability_zone("us-west-2-lax-1a")
            .build(),
    );
    let records = emitted(HERE, &one);
    assert_eq!(rows(&records, "asset")[0]["external_id"], WEB);
    assert_eq!(
        edges(&records, "asset_geolocation"),
        BTreeSet::from([pair(WEB, "us-west-2")])
    );
}

#[test]
fn defect_11_the_partition_is_that_of_the_account() {
    let china = Place {
        partition: "aws-cn",
        region: "cn-north-1",
        ..HERE
    };
    let records = emitted(
        china,
        &instance("i-00000001", interface("vpc-1", "10.0.0.1").build()),
    );
    let id = &rows(&records, "asset")[0]["external_id"];
    assert_eq!(
        id,
        "arn:aws-cn:ec2:cn-north-1:123456789012:instance/i-00000001"
    );
}

#[test]
fn defect_12_public_addresses_without_names_and_on_secondary_addresses_are_told() {
    let public = |address: &str| {
        InstanceNetworkInterfaceAssociation::builder()
            .public_ip(address)
            .public_dns_name("")
            .build()
    };
    let mut second = private("10.0.0.2", "");
    second.association = Some(public("54.1.2.4"));
    let one = interface("vpc-1", "10.0.0.1")
        .association(public("54.1.2.3"))
        .private_ip_addresses(second)
        .ipv6_addresses(
            InstanceIpv6Address::builder()
                .ipv6_address("2600::1")
                .build(),
        )
        .build();
    let records = emitted(HERE, &instance("i-00000001", one));
    let addresses = edges(&records, "asset_ipaddress");
    for address in [
        "54.1.2.3",
        "54.1.2.4",
        "2600::1",
        "10.0.0.1@vpc-1",
        "10.0.0.2@vpc-1",
    ] {
        assert!(
            addresses.contains(&pair(WEB, address)),
            "{address}: {addresses:?}"
        );
    }
}

#[test]
fn defect_13_addresses_of_containers_are_vertices() {
    let detail = KeyValuePair::builder()
        .name("networkInterfaceId")
        .value("eni-2")
        .build();
    let task = Task::builder()
        .task_arn("arn:aws:ecs:task/1")
        .last_status("RUNNING")
        .launch_type(LaunchType::Fargate)
        .attachments(Attachment::builder().details(detail).build())
        .containers(
            Container::builder()
                .container_arn("arn:container/1")
                .build(),
        )
        .build();
    let own = interface("vpc-1", "10.0.0.9").build();
    let page = ecs::TaskPage {
        tasks: vec![task],
        interfaces: BTreeMap::from([("eni-2".to_owned(), (&own).into())]),
        ..ecs::TaskPage::default()
    };
    let mut records = Records::new();
    ecs::tasks(HERE, &page, &mut records);
    assert_eq!(
        edges(&records, "ipaddress_container"),
        BTreeSet::from([pair("10.0.0.9@vpc-1", "arn:container/1")])
    );
    assert_eq!(rows(&records, "ipaddress")[0]["_key"], "10.0.0.9@vpc-1");
    assert_eq!(
        edges(&records, "asset_container"),
        BTreeSet::from([pair("arn:aws:ecs:task/1", "arn:container/1")])
    );
}

#[test]
fn defect_16_a_database_that_is_being_made_has_no_address_yet() {
    let mut creating = database("a", "db-1");
    creating.endpoint = None;
    creating.availability_zone = None;
    creating.db_instance_status = Some("creating".to_owned());
    let mut records = Records::new();
    rds::instance(HERE, &creating, &mut records);
    assert_eq!(rows(&records, "asset")[0]["state"], "creating");
    assert_eq!(rows(&records, "hostname"), Vec::<Value>::new());
}

#[test]
fn a_name_that_waits_for_the_maintenance_window_is_told() {
    let mut renamed = database("a", "db-1");
    let pending = PendingModifiedValues::builder()
        .db_instance_identifier("b")
        .build();
    renamed.pending_modified_values = Some(pending);
    let mut records = Records::new();
    rds::instance(HERE, &renamed, &mut records);
    assert_eq!(rows(&records, "database")[0]["pending_update"], "active");
}
