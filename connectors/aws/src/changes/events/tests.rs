//! What events point at, and what not.

use aws_sdk_cloudtrail::types::{Event, Resource};
use serde_json::{Value, json};

use super::Touched;

const A: &str = "i-0123456789abcdef0";
const B: &str = "i-0fedcba9876543210";

fn event(source: &str, name: &str, body: &Value) -> Event {
    Event::builder()
        .event_source(format!("{source}.amazonaws.com"))
        .event_name(name)
        .cloud_trail_event(body.to_string())
        .build()
}

fn touched(source: &str, name: &str, body: &Value) -> Touched {
    Touched::of([event(source, name, body)].iter())
}

fn ids(ids: &[&str]) -> std::collections::BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[test]
fn defect_19_tags_of_any_shape_point_at_every_resource() {
    let items = json!([{ "resourceId": A }, { "resourceId": B }]);
    let body = json!({ "requestParameters": { "resourcesSet": { "items": items } } });
    for name in ["CreateTags", "DeleteTags"] {
        assert_eq!(
            touched("ec2", name, &body).instances,
            ids(&[A, B]),
            "{name}"
        );
    }
    let bare = touched("ec2", "CreateTags", &json!({ "requestParameters": null }));
    assert_eq!(bare, Touched::default());
    let listed = Resource::builder()
        .resource_type("AWS::EC2::Instance")
        .resource_name(A);
    let mut without = event("ec2", "CreateTags", &json!({}));
    without.resources = Some(vec![listed.build()]);
    assert_eq!(Touched::of([without].iter()).instances, ids(&[A]));
}

#[test]
fn defect_20_interfaces_of_one_event_do_not_ride_on_another() {
    let attach = |instance: &str, interface: &str| {
        let body = json!({ "requestParameters": {
            "instanceId": instance, "networkInterfaceId": interface,
        } });
        event("ec2", "AttachNetworkInterface", &body)
    };
    let events = [
        attach(A, "eni-00000001"),
        event(
            "ec2",
            "AttachNetworkInterface",
            &json!({ "errorCode": "Client.Denied", "requestParameters": { "instanceId": B } }),
        ),
    ];
    let touched = Touched::of(events.iter());
    assert_eq!(touched.instances, ids(&[A]));
    assert_eq!(touched.interfaces, ids(&["eni-00000001"]));
    // Who lost an interface is not said, so everybody is looked at.
    let detach = json!({ "requestParameters": { "attachmentId": "eni-attach-1" } });
    assert!(super::tests::touched("ec2", "DetachNetworkInterface", &detach).any_instance);
}

#[test]
fn events_that_failed_change_nothing() {
    let body = json!({ "errorCode": "Client.UnauthorizedOperation", "requestParameters": { "instanceId": A } });
    assert_eq!(touched("ec2", "StopInstances", &body), Touched::default());
}

#[test]
fn a_body_that_is_no_json_makes_everything_be_looked_at() {
    let mut broken = event("ec2", "StopInstances", &Value::Null);
    broken.cloud_trail_event = Some("{".to_owned());
    assert!(Touched::of([broken].iter()).any_instance);
}

#[test]
fn addresses_and_interfaces_point_at_what_has_them() {
    let assigned = json!({ "responseElements": { "AssignIpv6AddressesResponse": { "networkInterfaceId": "eni-0123456789abcdef0" } } });
    let found = touched("ec2", "AssignIpv6Addresses", &assigned);
    assert_eq!(found.interfaces, ids(&["eni-0123456789abcdef0"]));
    let group = json!({ "requestParameters": { "groupId": "sg-0123456789abcdef0" } });
    let found = touched("ec2", "AuthorizeSecurityGroupIngress", &group);
    assert_eq!(found.groups, ids(&["sg-0123456789abcdef0"]));
}

#[test]
fn databases_applications_and_clusters_that_may_be_gone_are_named() {
    let renamed = json!({ "requestParameters": { "dBInstanceIdentifier": "a", "newDBInstanceIdentifier": "b" } });
    assert_eq!(
        touched("rds", "ModifyDBInstance", &renamed).databases,
        ids(&["a", "b"])
    );
    let gone =
        json!({ "requestParameters": { "applicationName": "shop" }, "responseElements": null });
    let found = touched("elasticbeanstalk", "DeleteApplication", &gone);
    assert_eq!(found.applications, ids(&["shop"]));
    let arn = "arn:aws:ecs:eu-west-1:123456789012:cluster/one";
    let gone = json!({ "responseElements": { "cluster": { "clusterArn": arn } } });
    assert_eq!(
        touched("ecs", "DeleteCluster", &gone).task_clusters,
        ids(&[arn])
    );
}

#[test]
fn clusters_functions_and_load_balancers_that_may_be_gone_are_named() {
    let cluster = json!({ "requestParameters": { "name": "main" } });
    let found = touched("eks", "DeleteCluster", &cluster);
    assert_eq!(found.kubernetes, ids(&["main"]));
    let arn = "arn:aws:lambda:eu-west-1:123456789012:function:mailer";
    for given in ["mailer", "mailer:3", arn, "123456789012:function:mailer"] {
        let gone = json!({ "requestParameters": { "functionName": given } });
        let found = touched("lambda", "DeleteFunction20150331", &gone);
        assert_eq!(found.functions, ids(&["mailer"]), "{given}");
    }
    let arn = "arn:aws:elasticloadbalancing:eu-west-1:123456789012:loadbalancer/app/front/0";
    let gone = json!({ "requestParameters": { "loadBalancerArn": arn } });
    let found = touched("elasticloadbalancing", "DeleteLoadBalancer", &gone);
    assert_eq!(found.balancers, ids(&[arn]));
}

#[test]
fn a_trail_that_was_stopped_leaves_a_gap() {
    let stopped = touched("cloudtrail", "StopLogging", &json!({}));
    assert_eq!(stopped.gap.as_deref(), Some("StopLogging"));
}
