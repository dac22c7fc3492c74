//! What AWS refuses, and what that means for the exit code and the rest of the run.

use car_testkit::Program;
use serde_json::{Value, json};

use crate::fake::{Fake, World};
use crate::moto::{ACCOUNT, IRELAND, Moto, OHIO};
use crate::support::{Pair, reading};

/// Returns an answer to chosen calls, given this often.
fn answer(service: &str, action: &str, status: u16, code: &str, times: u32) -> Value {
    json!([{
        "match": { "service": service, "action": action },
        "status": status, "code": code, "times": times,
    }])
}

fn testing(url: &str) -> Program {
    reading(url).args(&["test-connection", "--source-retry-for", "1ms"])
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_apart_by_the_exit_code() {
    let Some(aws) = Moto::start().await else {
        return;
    };
    for (status, code, exit, says) in [
        (
            403,
            "InvalidClientTokenId",
            52,
            "CONFIGURATION_AUTH_AWS_ACCESS_KEY_ID",
        ),
        (
            403,
            "SignatureDoesNotMatch",
            52,
            "CONFIGURATION_AUTH_AWS_SECRET_ACCESS_KEY",
        ),
        (403, "ExpiredToken", 52, "session token"),
        (403, "RequestTimeTooSkewed", 52, "clock"),
        (403, "AccessDenied", 53, "sts:GetCallerIdentity"),
        (400, "ValidationError", 54, "parameter"),
        (503, "ServiceUnavailable", 51, "sts:GetCallerIdentity"),
        (400, "Throttling", 51, "slow down"),
    ] {
        aws.fail(answer("sts", "GetCallerIdentity", status, code, 100))
            .await;
        let ended = testing(&aws.url()).run().await;
        drop(ended.with_code(exit).saying(says));
    }
    aws.fail(json!([{
        "match": { "service": "sts" }, "status": 403, "times": 100,
        "code": "SignatureDoesNotMatch",
        "message": "Signature expired: 20260101T000000Z is now earlier than 20261122T144500Z",
    }]))
    .await;
    drop(
        testing(&aws.url())
            .run()
            .await
            .with_code(52)
            .saying("clock"),
    );
    aws.fail(json!([{ "match": { "service": "sts" }, "status": 404, "times": 100, "body": "<html>no</html>" }]))
        .await;
    drop(
        testing(&aws.url())
            .run()
            .await
            .with_code(55)
            .saying("--endpoint-url"),
    );
    aws.fail(json!([])).await;
    drop(testing(&aws.url()).run().await.with_code(0));
    let other = testing(&aws.url()).env("CONFIGURATION_AUTH_ACCOUNT_ID", "999999999999");
    drop(other.run().await.with_code(54).saying(ACCOUNT));
    let own = testing(&aws.url()).env("CONFIGURATION_AUTH_ACCOUNT_ID", ACCOUNT);
    drop(own.run().await.with_code(0));
}

#[tokio::test]
async fn nobody_there_is_unavailable_and_no_keys_are_no_credentials() {
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let nowhere = format!("http://127.0.0.1:{port}");
    drop(testing(&nowhere).run().await.with_code(51));
    let keyless = testing(&nowhere)
        .without("CONFIGURATION_AUTH_AWS_ACCESS_KEY_ID")
        .without("CONFIGURATION_AUTH_AWS_SECRET_ACCESS_KEY");
    drop(
        keyless
            .run()
            .await
            .with_code(52)
            .saying("CONFIGURATION_AUTH_AWS_ACCESS_KEY_ID"),
    );
}

#[tokio::test]
async fn settings_that_do_not_fit_are_refused_before_anything_is_asked() {
    let nowhere = "http://127.0.0.1:9";
    for (name, value, says) in [
        ("CONNECTION_REGION", "eu west", "--region"),
        (
            "CONFIGURATION_PARAMETER_SERVICES",
            "ec2,mainframe",
            "mainframe",
        ),
        (
            "CONFIGURATION_PARAMETER_ENDPOINT_URL",
            "ftp://127.0.0.1",
            "--endpoint-url",
        ),
        (
            "CONFIGURATION_AUTH_AWS_ROLE_ARN",
            "reader",
            "--aws-role-arn",
        ),
        (
            "CONFIGURATION_AUTH_AWS_SECRET_ACCESS_KEY",
            "",
            "--aws-secret-access-key",
        ),
    ] {
        let wrong = testing(nowhere).env(name, value);
        drop(wrong.run().await.with_code(2).saying(says));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_region_is_named_with_those_that_there_are() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let wrong = pair
        .connector()
        .env("CONFIGURATION_PARAMETER_REGIONS", "eu-west-1,eu-nowhere-9");
    drop(wrong.run().await.with_code(54).saying("eu-nowhere-9"));
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_waits_and_says_so() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let one = json!({ "ImageId": "ami-1", "MinCount": 1, "MaxCount": 1 });
    pair.aws.make(IRELAND, "ec2", "run_instances", one).await;
    // More than the attempts that nobody sees.
    pair.aws
        .fail(json!([{
            "match": { "service": "ec2", "action": "DescribeInstances", "region": "eu-west-1" },
            "status": 503, "code": "RequestLimitExceeded", "times": 4,
        }]))
        .await;
    let ended = pair.import().await.saying("slow down");
    assert!(ended.report().source_retries > 0);
    assert_eq!(pair.graph().await.identities("asset").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_token_that_runs_out_begins_the_list_again() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    for _ in 0..7 {
        let one = json!({ "ImageId": "ami-1", "MinCount": 1, "MaxCount": 1 });
        pair.aws.make(IRELAND, "ec2", "run_instances", one).await;
    }
    pair.aws
        .fail(json!([{
            "match": { "service": "ec2", "action": "DescribeInstances", "region": "eu-west-1" },
            "skip": 1, "times": 1, "status": 400, "code": "InvalidParameterValue",
            "message": "Unable to parse pagination token",
        }]))
        .await;
    let connector = pair
        .connector()
        .env("CONFIGURATION_PARAMETER_PAGE_SIZE", "5");
    drop(connector.run().await.with_code(0));
    assert_eq!(pair.graph().await.identities("asset").count(), 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn defect_23_a_service_that_is_not_in_use_fails_alone() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    for at in [IRELAND, OHIO] {
        let one = json!({ "ImageId": "ami-1", "MinCount": 1, "MaxCount": 1 });
        pair.aws.make(at, "ec2", "run_instances", one).await;
    }
    drop(pair.import().await);
    let before = pair.graph().await;
    pair.aws
        .fail(answer(
            "securityhub",
            "GetFindings",
            401,
            "InvalidAccessException",
            100,
        ))
        .await;
    let ended = pair.connector().args(&["--full"]).run().await;
    let ended = ended
        .with_code(11)
        .saying("securityhub:GetFindings")
        .saying("not in use");
    let failed = ended.report().scopes.iter().filter(|scope| !scope.complete);
    assert!(
        failed
            .clone()
            .all(|scope| scope.name.starts_with("securityhub/"))
    );
    assert_eq!(failed.count(), 2);
    pair.graph()
        .await
        .assert_is(&before, "after a run without Security Hub");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_whose_role_is_closed_fails_alone() {
    let Some(pair) = Pair::start().await else {
        return;
    };
    let one = json!({ "ImageId": "ami-1", "MinCount": 1, "MaxCount": 1 });
    pair.aws.make(IRELAND, "ec2", "run_instances", one).await;
    pair.aws
        .fail(answer("sts", "AssumeRole", 403, "AccessDenied", 100))
        .await;
    let connector = pair
        .connector()
        .env(
            "CONFIGURATION_PARAMETER_ACCOUNTS",
            format!("{ACCOUNT},222222222222"),
        )
        .env("CONFIGURATION_PARAMETER_ACCOUNT_ROLE", "reader");
    let ended = connector.run().await;
    drop(
        ended
            .with_code(11)
            .saying("sts:AssumeRole")
            .saying("222222222222"),
    );
    assert_eq!(pair.graph().await.identities("asset").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_go_through_the_proxy_of_the_environment() {
    let aws = Fake::start(World::default()).await;
    // A name that nobody has: only the proxy can answer for it.
    let behind =
        testing("http://aws.invalid").env("HTTP_PROXY", format!("http://{}", aws.address()));
    drop(behind.run().await.with_code(0));
    assert_eq!(aws.calls().get("sts:GetCallerIdentity"), Some(&1));
    let around = behind.env("NO_PROXY", "aws.invalid");
    drop(around.run().await.with_code(51));
    assert!(aws.calls().is_empty());
}
