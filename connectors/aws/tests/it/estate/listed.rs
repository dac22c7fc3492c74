//! What is listed in full each time: clusters, functions, load balancers; and what the other
//! account has far away from the first.

use serde_json::{Value, json};

use super::{OTHER, database, finding, run, text};
use crate::moto::{At, Moto};

/// Where the other account has most.
const ELSEWHERE: At = At {
    account: OTHER,
    region: "us-east-2",
};

/// What of it is changed later.
pub(super) struct Listed {
    balancer: String,
    far_balancer: String,
    far_instance: String,
}

async fn subnets(aws: &Moto, at: At) -> Vec<Value> {
    let subnets = aws.make(at, "ec2", "describe_subnets", json!({})).await;
    let subnets = subnets["Subnets"].as_array().unwrap().iter();
    subnets.map(|one| one["SubnetId"].clone()).take(2).collect()
}

async fn balancer(aws: &Moto, at: At, name: &str) -> String {
    let made =
        json!({ "Name": name, "Subnets": subnets(aws, at).await, "Scheme": "internet-facing" });
    let made = aws.make(at, "elbv2", "create_load_balancer", made).await;
    text(&made["LoadBalancers"][0]["LoadBalancerArn"])
}

async fn function(aws: &Moto, at: At, name: &str) {
    let made = json!({
        "FunctionName": name, "Role": format!("arn:aws:iam::{}:role/worker", at.account),
        "Runtime": "python3.13", "Handler": "a.b", "Code": { "ZipFile": "x" },
    });
    aws.make(at, "lambda", "create_function", made).await;
}

async fn cluster(aws: &Moto, at: At, name: &str, groups: &[&str]) {
    let role = format!("arn:aws:iam::{}:role/worker", at.account);
    let subnets = subnets(aws, at).await;
    let made = json!({
        "name": name, "roleArn": role, "version": "1.35",
        "resourcesVpcConfig": { "subnetIds": subnets },
    });
    aws.make(at, "eks", "create_cluster", made).await;
    for group in groups {
        node_group(aws, at, name, group).await;
    }
}

async fn node_group(aws: &Moto, at: At, cluster: &str, name: &str) {
    let role = format!("arn:aws:iam::{}:role/worker", at.account);
    let made = json!({
        "clusterName": cluster, "nodegroupName": name, "nodeRole": role,
        "subnets": subnets(aws, at).await,
    });
    aws.make(at, "eks", "create_nodegroup", made).await;
}

async fn join(aws: &Moto, at: At, instance: &str, cluster: &str, group: &str) {
    let tags = json!([
        { "Key": "eks:cluster-name", "Value": cluster },
        { "Key": "eks:nodegroup-name", "Value": group },
    ]);
    let args = json!({ "Resources": [instance], "Tags": tags });
    aws.make(at, "ec2", "create_tags", args).await;
}

/// Makes all of it, in the first account's region and elsewhere.
pub(super) async fn make(aws: &Moto, at: At, instance: &str) -> Listed {
    let role = json!({ "RoleName": "worker", "AssumeRolePolicyDocument": "{}" });
    aws.make(ELSEWHERE, "iam", "create_role", role).await;
    cluster(aws, at, "main", &["small", "large"]).await;
    cluster(aws, at, "old", &["only"]).await;
    join(aws, at, instance, "main", "small").await;
    function(aws, at, "mailer").await;
    function(aws, at, "cleaner").await;
    balancer(aws, at, "front").await;

    let far = run(aws, ELSEWHERE, "ami-12345678", 1, json!({})).await;
    database(aws, ELSEWHERE, "orders", json!({})).await;
    let user = json!({ "UserName": "anna" });
    aws.make(ELSEWHERE, "iam", "create_user", user).await;
    let application = json!({ "ApplicationName": "shop" });
    aws.make(
        ELSEWHERE,
        "elasticbeanstalk",
        "create_application",
        application,
    )
    .await;
    let cluster = json!({ "clusterName": "one" });
    aws.make(ELSEWHERE, "ecs", "create_cluster", cluster).await;
    function(aws, ELSEWHERE, "mailer").await;
    Listed {
        balancer: balancer(aws, at, "back").await,
        far_balancer: balancer(aws, ELSEWHERE, "front").await,
        far_instance: text(&far["Instances"][0]["InstanceId"]),
    }
}

/// Changes something of all of it.
pub(super) async fn change(aws: &Moto, at: At, made: &Listed, instance: &str) {
    // A node group goes and another one comes, a whole cluster goes.
    let gone = json!({ "clusterName": "main", "nodegroupName": "large" });
    aws.make(at, "eks", "delete_nodegroup", gone).await;
    node_group(aws, at, "main", "huge").await;
    join(aws, at, instance, "main", "huge").await;
    let items = json!([{ "resourceId": instance }]);
    let told = json!({ "requestParameters": { "resourcesSet": { "items": items } } });
    aws.event(at, "ec2", "CreateTags", told).await;
    let gone = json!({ "clusterName": "old", "nodegroupName": "only" });
    aws.make(at, "eks", "delete_nodegroup", gone).await;
    aws.make(at, "eks", "delete_cluster", json!({ "name": "old" }))
        .await;
    let told = json!({ "requestParameters": { "name": "old" } });
    aws.event(at, "eks", "DeleteCluster", told).await;

    let gone = json!({ "FunctionName": "cleaner" });
    aws.make(at, "lambda", "delete_function", gone).await;
    let told = json!({ "requestParameters": { "functionName": "cleaner" } });
    aws.event(at, "lambda", "DeleteFunction20150331", told)
        .await;
    function(aws, at, "sweeper").await;

    for (at, gone) in [(at, &made.balancer), (ELSEWHERE, &made.far_balancer)] {
        let gone = json!({ "LoadBalancerArn": gone });
        aws.make(at, "elbv2", "delete_load_balancer", gone.clone())
            .await;
        let told = json!({ "requestParameters": { "loadBalancerArn": gone["LoadBalancerArn"] } });
        aws.event(at, "elasticloadbalancing", "DeleteLoadBalancer", told)
            .await;
    }
    balancer(aws, at, "side").await;
    change_elsewhere(aws, &made.far_instance).await;
}

async fn change_elsewhere(aws: &Moto, instance: &str) {
    let at = ELSEWHERE;
    let gone = json!({ "InstanceIds": [instance] });
    aws.make(at, "ec2", "terminate_instances", gone).await;
    let items = json!([{ "instanceId": instance }]);
    let told = json!({ "requestParameters": { "instancesSet": { "items": items } } });
    aws.event(at, "ec2", "TerminateInstances", told).await;
    let new = run(aws, at, "ami-12345678", 1, json!({})).await;
    let items = json!([{ "instanceId": new["Instances"][0]["InstanceId"] }]);
    let told = json!({ "responseElements": { "instancesSet": { "items": items } } });
    aws.event(at, "ec2", "RunInstances", told).await;

    let gone = json!({ "DBInstanceIdentifier": "orders", "SkipFinalSnapshot": true });
    aws.make(at, "rds", "delete_db_instance", gone).await;
    let told = json!({ "requestParameters": { "dBInstanceIdentifier": "orders" } });
    aws.event(at, "rds", "DeleteDBInstance", told).await;
    let application = json!({ "ApplicationName": "shop" });
    aws.make(
        at,
        "elasticbeanstalk",
        "delete_application",
        application.clone(),
    )
    .await;
    let told = json!({ "requestParameters": { "applicationName": "shop" } });
    aws.event(at, "elasticbeanstalk", "DeleteApplication", told)
        .await;
    let deleted = aws
        .make(at, "ecs", "delete_cluster", json!({ "cluster": "one" }))
        .await;
    let told = json!({ "responseElements": { "cluster": { "clusterArn": deleted["cluster"]["clusterArn"] } } });
    aws.event(at, "ecs", "DeleteCluster", told).await;
    aws.make(at, "iam", "delete_user", json!({ "UserName": "anna" }))
        .await;
}

/// Returns a finding about a function, and one about a load balancer.
pub(super) fn findings(made: &Listed, at: At) -> [Value; 2] {
    let function = format!(
        "arn:aws:lambda:{}:{}:function:mailer",
        at.region, at.account
    );
    [
        finding("f-function", ("AwsLambdaFunction", &function), json!({})),
        finding(
            "f-balancer",
            ("AwsElbv2LoadBalancer", &made.balancer),
            json!({}),
        ),
    ]
}
