//! The incremental import: the graph ends as a fresh full import would make it.

use car_core::report::{Mode, Outcome};
use car_testkit::Program;
use serde_json::json;

use crate::estate::{self, OTHER};
use crate::moto::{ACCOUNT, IRELAND};
use crate::support::Pair;

/// Has the connector import two accounts in three regions.
fn everywhere(program: Program) -> Program {
    program
        .env(
            "CONFIGURATION_PARAMETER_REGIONS",
            "eu-west-1,us-east-2,ap-south-1",
        )
        .env(
            "CONFIGURATION_PARAMETER_ACCOUNTS",
            format!("{ACCOUNT},{OTHER}"),
        )
        .env("CONFIGURATION_PARAMETER_ACCOUNT_ROLE", "reader")
        .env("CONFIGURATION_PARAMETER_PAGE_SIZE", "5")
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_01_changes_bring_the_graph_to_what_a_fresh_import_makes() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let made = estate::make(&pair.aws).await;
    let connector = everywhere(pair.connector());
    let ended = connector.run().await.with_code(0);
    assert_eq!(ended.report().mode, Some(Mode::Full));
    let before = pair.graph().await;
    assert_eq!(
        before.identities("asset").count(),
        6 + 4 + 4 + 1 + if cfg!(feature = "lambda") { 10 } else { 7 },
        "{before:?}"
    );
    assert_eq!(before.identities("container").count(), 6, "{before:?}");

    estate::change(&pair.aws, &made).await;
    let ended = connector.run().await.with_code(0);
    assert_eq!(
        ended.report().mode,
        Some(Mode::Incremental),
        "{}",
        ended.report().why
    );
    let after = pair.graph().await;
    assert_ne!(after, before);

    let fresh = everywhere(pair.connector()).env("CONNECTION_NAME", "fresh");
    let ended = fresh.run().await.with_code(0);
    assert_eq!(ended.report().mode, Some(Mode::Full));
    let fresh = pair.service.graph("fresh").await;
    after.assert_is(&fresh, "after the changes");

    // Once more: what the windows share is applied twice, and changes nothing.
    let ended = connector.run().await.with_code(0);
    assert_eq!(ended.report().mode, Some(Mode::Incremental));
    assert_ne!(ended.report().outcome, Outcome::Partial);
    pair.graph()
        .await
        .assert_is(&fresh, "after the changes, told twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cloudtrail_cannot_tell_is_imported_in_full() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let connector = pair
        .connector()
        .env("CONFIGURATION_PARAMETER_SERVICES", "ec2");
    let one = json!({ "ImageId": "ami-1", "MinCount": 1, "MaxCount": 1 });
    pair.aws.make(IRELAND, "ec2", "run_instances", one).await;
    drop(connector.run().await.with_code(0));
    let again = connector.run().await.with_code(0);
    assert_eq!(
        again.report().mode,
        Some(Mode::Incremental),
        "{}",
        again.report().why
    );

    pair.aws
        .event(IRELAND, "cloudtrail", "StopLogging", json!({}))
        .await;
    let stopped = connector.run().await.with_code(0);
    assert_eq!(stopped.report().mode, Some(Mode::Full));
    assert!(
        stopped.report().why.contains("StopLogging"),
        "{}",
        stopped.report().why
    );

    let other = connector
        .clone()
        .env("CONFIGURATION_PARAMETER_REGIONS", "eu-west-1");
    let other = other.run().await.with_code(0);
    assert_eq!(
        other.report().mode,
        Some(Mode::Full),
        "other regions than before"
    );

    pair.aws
        .fail(json!([{ "match": { "action": "LookupEvents" }, "status": 400, "code": "AccessDeniedException", "times": 100 }]))
        .await;
    let denied = connector.run().await.with_code(0);
    assert_eq!(denied.report().mode, Some(Mode::Full));
}
