//! Findings of Security Hub.

use aws_sdk_securityhub::types::{
    AwsSecurityFinding, ComplianceStatus, RecordState, Resource, Vulnerability, WorkflowStatus,
};
use aws_smithy_types::DateTime;
use aws_smithy_types::date_time::Format;

use super::finding::{Finding, Score, Target, Weakness, best_score, score_of};
use super::milliseconds;

/// Tells whether a finding is open: neither archived, nor dealt with, nor a check that passed.
pub(crate) fn is_open(finding: &AwsSecurityFinding) -> bool {
    let workflow = finding.workflow().and_then(|workflow| workflow.status());
    let compliance = finding
        .compliance()
        .and_then(|compliance| compliance.status());
    !matches!(finding.record_state(), Some(RecordState::Archived))
        && !matches!(
            workflow,
            Some(WorkflowStatus::Resolved | WorkflowStatus::Suppressed)
        )
        && !matches!(
            compliance,
            Some(ComplianceStatus::Passed | ComplianceStatus::NotAvailable)
        )
}

/// Reads a finding; `None` when it has no id.
pub(crate) fn finding(from: &AwsSecurityFinding) -> Option<Finding> {
    let severity = from.severity();
    let label = severity
        .and_then(|severity| severity.label())
        .map(|label| label.as_str().to_owned());
    let score = severity.and_then(|severity| severity.normalized().map(f64::from));
    let remediation = from
        .remediation()
        .and_then(|remediation| remediation.recommendation())
        .and_then(|recommendation| recommendation.text().or(recommendation.url()));
    let compliance = from
        .compliance()
        .and_then(|compliance| compliance.status())
        .map(|status| status.as_str().to_owned());
    Some(Finding {
        id: from.id()?.to_owned(),
        title: from.title().or(from.id())?.to_owned(),
        description: from.description().map(str::to_owned),
        score: score.or_else(|| label.as_deref().and_then(score_of)),
        severity: label,
        category: from.types().first().cloned(),
        product: from.product_name().map(str::to_owned),
        compliance,
        remediation: remediation.map(str::to_owned),
        found_on: time(from.first_observed_at().or(from.created_at())),
        updated_on: time(from.updated_at()),
        weaknesses: from.vulnerabilities().iter().filter_map(weakness).collect(),
        targets: targets(from.resources()),
    })
}

fn weakness(from: &Vulnerability) -> Option<Weakness> {
    let vendor = from.vendor();
    Some(Weakness {
        name: from.id().filter(|name| !name.is_empty())?.to_owned(),
        score: best_score(from.cvss().iter().filter_map(|cvss| {
            Some(Score {
                version: cvss.version(),
                source: cvss.source(),
                score: cvss.base_score()?,
            })
        })),
        reference: vendor
            .and_then(|vendor| vendor.url())
            .or(from.reference_urls().first().map(String::as_str))
            .map(str::to_owned),
        published_on: time(vendor.and_then(|vendor| vendor.vendor_created_at())),
        updated_on: time(vendor.and_then(|vendor| vendor.vendor_updated_at())),
    })
}

/// Returns every resource of a finding, each once.
fn targets(resources: &[Resource]) -> Vec<Target> {
    let mut targets: Vec<Target> = resources.iter().map(target).collect();
    targets.sort();
    targets.dedup();
    targets
}

fn target(resource: &Resource) -> Target {
    let Some(id) = resource.id() else {
        return Target::Other;
    };
    match resource.r#type() {
        // `arn:PARTITION:ec2:REGION:ACCOUNT:instance/i-…`
        Some("AwsEc2Instance") => match id.rsplit_once('/') {
            Some((_, instance)) => Target::Instance(instance.to_owned()),
            None => Target::Instance(id.to_owned()),
        },
        Some(
            "AwsRdsDbInstance"
            | "AwsRdsDbCluster"
            | "AwsLambdaFunction"
            | "AwsElbv2LoadBalancer"
            | "AwsEksCluster",
        ) => Target::of_arn(id),
        Some("AwsIamUser" | "AwsIamRole") => Target::Principal(id.to_owned()),
        _ => Target::Other,
    }
}

fn time(text: Option<&str>) -> Option<f64> {
    let time = DateTime::from_str(text?, Format::DateTimeWithOffset).ok()?;
    milliseconds(&time)
}
