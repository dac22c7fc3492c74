//! Findings become vulnerabilities and findings, linked to what exists.

use std::collections::BTreeSet;

use aws_sdk_securityhub::types::{
    AwsSecurityFinding, Compliance, ComplianceStatus, Cvss, RecordState, Resource, Severity,
    SeverityLabel, Vulnerability, Workflow, WorkflowStatus,
};
use car_core::record::Records;
use serde_json::{Value, json};

use super::{HERE, WEB, edges, pair, rows};
use crate::map::finding::{Finding, Living, Target};
use crate::map::securityhub;

fn cve() -> Vulnerability {
    Vulnerability::builder()
        .id("CVE-2024-1234")
        .cvss(
            Cvss::builder()
                .version("2.0")
                .base_score(5.0)
                .source("NVD")
                .build(),
        )
        .cvss(
            Cvss::builder()
                .version("3.1")
                .base_score(9.8)
                .source("NVD")
                .build(),
        )
        .cvss(
            Cvss::builder()
                .version("3.1")
                .base_score(7.5)
                .source("VENDOR")
                .build(),
        )
        .build()
}

fn resource(kind: &str, id: &str) -> Resource {
    Resource::builder().r#type(kind).id(id).build()
}

fn found() -> aws_sdk_securityhub::types::builders::AwsSecurityFindingBuilder {
    AwsSecurityFinding::builder()
        .id("arn:finding/1")
        .title("a finding")
        .record_state(RecordState::Active)
        .first_observed_at("2024-03-01T10:00:00.000Z")
        .updated_at("2024-03-02T12:00:00+02:00")
        .resources(resource("AwsEc2Instance", WEB))
}

fn living() -> Living {
    Living {
        instances: BTreeSet::from(["i-00000001".to_owned()]),
        assets: BTreeSet::from(["arn:aws:rds:us-west-2:123456789012:db:a".to_owned()]),
        principals: BTreeSet::from(["arn:aws:iam::123456789012:user/u".to_owned()]),
    }
}

fn told(finding: &AwsSecurityFinding) -> Records {
    let mut records = Records::new();
    securityhub::finding(finding)
        .unwrap()
        .emit(HERE, &living(), &mut records);
    records
}

#[test]
fn defect_04_times_are_milliseconds_and_scores_are_those_of_cvss() {
    let finding = found().vulnerabilities(cve()).build();
    let records = told(&finding);
    let vulnerability = &rows(&records, "vulnerability")[0];
    assert_eq!(vulnerability["base_score"], json!(9.8));
    let edge = &rows(&records, "asset_vulnerability")[0];
    assert_eq!(edge["created"], json!(1_709_287_200_000.0));
    assert_eq!(edge["modified"], json!(1_709_373_600_000.0));
}

#[test]
fn defect_04_a_finding_without_severity_is_told_all_the_same() {
    let plain = rows(&told(&found().build()), "finding");
    assert_eq!(
        (&plain[0]["name"], &plain[0]["score"]),
        (&json!("a finding"), &Value::Null)
    );
    let severity = Severity::builder().label(SeverityLabel::High).build();
    let labelled = rows(&told(&found().severity(severity).build()), "finding");
    assert_eq!(
        (&labelled[0]["severity"], &labelled[0]["score"]),
        (&json!("HIGH"), &json!(70.0))
    );
}

#[test]
fn defect_05_findings_of_what_is_gone_are_left_out() {
    let gone = "arn:aws:ec2:us-west-2:123456789012:instance/i-99999999";
    let mut finding = found().vulnerabilities(cve()).build();
    finding.resources = Some(vec![resource("AwsEc2Instance", gone)]);
    assert!(told(&finding).is_empty());
}

#[test]
fn defect_06_only_open_findings_count_and_all_their_resources_are_linked() {
    assert!(securityhub::is_open(&found().build()));
    let workflow = |status| Workflow::builder().status(status).build();
    let passed = Compliance::builder()
        .status(ComplianceStatus::Passed)
        .build();
    for closed in [
        found().record_state(RecordState::Archived),
        found().workflow(workflow(WorkflowStatus::Resolved)),
        found().workflow(workflow(WorkflowStatus::Suppressed)),
        found().compliance(passed),
    ] {
        assert!(!securityhub::is_open(&closed.build()));
    }
    let finding = found()
        .resources(resource(
            "AwsRdsDbInstance",
            "arn:aws:rds:us-west-2:123456789012:db:a",
        ))
        .resources(resource("AwsIamUser", "arn:aws:iam::123456789012:user/u"))
        .resources(resource("AwsS3Bucket", "arn:aws:s3:::b"))
        .build();
    let records = told(&finding);
    // What is no vulnerability is none.
    assert_eq!(rows(&records, "vulnerability"), Vec::<Value>::new());
    assert_eq!(
        edges(&records, "asset_finding"),
        BTreeSet::from([
            pair(WEB, "arn:finding/1"),
            pair("arn:aws:rds:us-west-2:123456789012:db:a", "arn:finding/1"),
        ])
    );
    assert_eq!(edges(&records, "account_finding").len(), 1);
}

#[test]
fn a_finding_about_something_that_is_not_imported_is_told_without_links() {
    let finding = Finding {
        id: "arn:finding/2".to_owned(),
        title: "open bucket".to_owned(),
        targets: vec![Target::Other],
        ..Finding::default()
    };
    let mut records = Records::new();
    finding.emit(HERE, &Living::default(), &mut records);
    assert_eq!((rows(&records, "finding").len(), records.len()), (1, 1));
}
