//! Defects that connectors of this kind are known to have, by number: each test would fail on
//! one. `src/map/tests.rs` and `src/changes/events/tests.rs` have those that need no AWS, the
//! tests of changes and failures numbers 1 and 23.

use std::collections::{BTreeMap, BTreeSet};

use car_core::report::Mode;
use serde_json::{Value, json};

use crate::estate;
use crate::moto::{ACCOUNT, At, IRELAND, OHIO};
use crate::support::Pair;

fn count(calls: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts.entry(call.as_str()).or_default() += 1;
    }
    counts
}

async fn instances(pair: &Pair, at: At, count: u32) -> Vec<String> {
    let args = json!({ "ImageId": "ami-12345678", "MinCount": count, "MaxCount": count });
    let answer = pair.aws.make(at, "ec2", "run_instances", args).await;
    let list = answer["Instances"].as_array().unwrap();
    list.iter()
        .map(|one| one["InstanceId"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_03_more_rows_than_a_batch_holds_are_all_sent() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    for _ in 0..27 {
        instances(&pair, IRELAND, 1).await;
    }
    let small = pair.connector().args(&["--export-data-page-size", "10"]);
    drop(small.run().await.with_code(0));
    let graph = pair.graph().await;
    assert_eq!(graph.identities("asset").count(), 27);
    assert_eq!(graph.identities("asset_geolocation").count(), 27);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_14_each_cluster_is_asked_for_its_own_tasks() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    drop(estate::make(&pair.aws).await);
    let only = pair
        .connector()
        .env("CONFIGURATION_PARAMETER_SERVICES", "ecs");
    drop(only.run().await.with_code(0));
    let calls = pair.aws.calls().await;
    let counts = count(&calls);
    // Two clusters in one region, none in the other.
    assert_eq!(counts["ecs:ListTasks"], 2);
    assert_eq!(counts["ecs:DescribeTasks"], 2);
    assert_eq!(counts["ecs:DescribeContainerInstances"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_15_calls_grow_with_pages_not_with_instances() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    for _ in 0..40 {
        instances(&pair, IRELAND, 1).await;
    }
    let one_region = || {
        pair.connector()
            .env("CONFIGURATION_PARAMETER_REGIONS", "eu-west-1")
    };
    let mut told = Vec::new();
    for page in ["10", "40"] {
        let run = one_region()
            .env("CONFIGURATION_PARAMETER_PAGE_SIZE", page)
            .args(&["--full"]);
        drop(run.run().await.with_code(0));
        let calls = pair.aws.calls().await;
        told.push(count(&calls)["ec2:DescribeInstances"]);
        assert!(calls.len() <= told[told.len() - 1] + 15, "{calls:?}");
    }
    assert_eq!(told, [4, 1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_17_several_accounts_and_regions_are_read() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let other = At {
        account: estate::OTHER,
        region: "us-east-2",
    };
    for at in [IRELAND, OHIO, other] {
        instances(&pair, at, 1).await;
    }
    let both = pair
        .connector()
        .env(
            "CONFIGURATION_PARAMETER_ACCOUNTS",
            format!("{ACCOUNT},{}", estate::OTHER),
        )
        .env("CONFIGURATION_PARAMETER_ACCOUNT_ROLE", "reader")
        .env("CONFIGURATION_AUTH_AWS_EXTERNAL_ID", "agreed");
    drop(both.run().await.with_code(0));
    let graph = pair.graph().await;
    let places: BTreeSet<(String, String)> = graph
        .identities("asset")
        .map(|id| {
            let mut parts = id.split(':').skip(3);
            (
                parts.next().unwrap().to_owned(),
                parts.next().unwrap().to_owned(),
            )
        })
        .collect();
    let place = |region: &str, account: &str| (region.to_owned(), account.to_owned());
    assert_eq!(
        places,
        BTreeSet::from([
            place("eu-west-1", ACCOUNT),
            place("us-east-2", ACCOUNT),
            place("us-east-2", estate::OTHER),
        ])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_18_a_run_knows_nothing_of_the_one_before() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let first = instances(&pair, IRELAND, 1).await;
    let full = || pair.connector().args(&["--full"]);
    drop(full().run().await.with_code(0));
    pair.aws
        .make(
            IRELAND,
            "ec2",
            "terminate_instances",
            json!({ "InstanceIds": first }),
        )
        .await;
    instances(&pair, OHIO, 1).await;
    drop(full().run().await.with_code(0));
    let graph = pair.graph().await;
    let assets: Vec<&str> = graph.identities("asset").collect();
    assert!(
        assets.len() == 1 && assets[0].contains("us-east-2"),
        "{assets:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_21_events_that_come_late_are_not_lost() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let ec2 = || {
        pair.connector()
            .env("CONFIGURATION_PARAMETER_SERVICES", "ec2")
    };
    drop(ec2().run().await.with_code(0));
    let made = instances(&pair, IRELAND, 1).await;
    drop(ec2().run().await.with_code(0));
    assert_eq!(pair.graph().await.identities("asset").count(), 0);
    // It happened before the last import, and is told after it.
    let items = json!([{ "instanceId": made[0] }]);
    let body = json!({ "responseElements": { "instancesSet": { "items": items } } });
    pair.aws
        .late_event(IRELAND, "ec2", "RunInstances", body, 600)
        .await;
    let ended = ec2().run().await.with_code(0);
    assert_eq!(ended.report().mode, Some(Mode::Incremental));
    assert_eq!(pair.graph().await.identities("asset").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_24_a_stale_id_does_not_hurt_the_others() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let ec2 = || {
        pair.connector()
            .env("CONFIGURATION_PARAMETER_SERVICES", "ec2")
    };
    drop(ec2().run().await.with_code(0));
    let made = instances(&pair, IRELAND, 1).await;
    let items: Vec<Value> = [made[0].as_str(), "i-0123456789abcdef0"]
        .iter()
        .map(|id| json!({ "instanceId": id }))
        .collect();
    let body = json!({ "requestParameters": { "instancesSet": { "items": items } } });
    pair.aws.event(IRELAND, "ec2", "StartInstances", body).await;
    let ended = ec2().run().await.with_code(0);
    assert_eq!(ended.report().mode, Some(Mode::Incremental));
    assert_eq!(pair.graph().await.identities("asset").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_25_the_readme_names_every_vertex_edge_and_call() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    drop(estate::make(&pair.aws).await);
    drop(pair.import().await);
    let readme = include_str!("../../README.md");
    for collection in pair.graph().await.counts().keys() {
        assert!(
            readme.contains(&format!("`{collection}`")),
            "README.md lacks `{collection}`"
        );
    }
    let called: BTreeSet<String> = pair.aws.calls().await.into_iter().collect();
    let allowed: BTreeSet<&str> = aws_connector::actions()
        .iter()
        .map(|action| action.name())
        .collect();
    let called: BTreeSet<&str> = called.iter().map(String::as_str).collect();
    assert_eq!(
        called.difference(&allowed).collect::<Vec<_>>(),
        Vec::<&&str>::new()
    );
    // What a full import of one account does not need.
    let elsewhere = [
        "cloudtrail:LookupEvents",
        "organizations:ListAccounts",
        "sts:AssumeRole",
    ];
    let unused: Vec<&&str> = allowed.difference(&called).collect();
    assert_eq!(unused, elsewhere.iter().collect::<Vec<_>>());
}
