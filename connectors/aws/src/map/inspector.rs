//! Findings of Inspector.

use aws_sdk_inspector2::types::{Finding as Inspected, FindingStatus, Resource, ResourceType};

use super::finding::{Finding, Score, Target, Weakness, best_score, score_of};
use super::milliseconds;

/// Tells whether a finding is open.
pub(crate) fn is_open(finding: &Inspected) -> bool {
    matches!(finding.status(), FindingStatus::Active)
}

/// Reads a finding.
pub(crate) fn finding(from: &Inspected) -> Finding {
    let label = match from.severity().as_str() {
        "UNTRIAGED" => None,
        label => Some(label.to_owned()),
    };
    let remediation = from
        .remediation()
        .and_then(|remediation| remediation.recommendation())
        .and_then(|recommendation| recommendation.text());
    let mut targets: Vec<Target> = from.resources().iter().map(target).collect();
    targets.sort();
    targets.dedup();
    Finding {
        id: from.finding_arn().to_owned(),
        title: from.title().unwrap_or(from.finding_arn()).to_owned(),
        description: Some(from.description().to_owned()),
        score: from
            .inspector_score()
            .map(|score| score * 10.0)
            .or_else(|| label.as_deref().and_then(score_of)),
        severity: label,
        category: Some(from.r#type().as_str().to_owned()),
        product: Some("Inspector".to_owned()),
        compliance: None,
        remediation: remediation.map(str::to_owned),
        found_on: milliseconds(from.first_observed_at()),
        updated_on: from.updated_at().and_then(milliseconds),
        weaknesses: weakness(from).into_iter().collect(),
        targets,
    }
}

fn weakness(from: &Inspected) -> Option<Weakness> {
    let details = from.package_vulnerability_details()?;
    Some(Weakness {
        name: details.vulnerability_id().to_owned(),
        score: best_score(details.cvss().iter().map(|cvss| Score {
            version: Some(cvss.version()),
            source: Some(cvss.source()),
            score: cvss.base_score(),
        })),
        reference: details
            .source_url()
            .or(details.reference_urls().first().map(String::as_str))
            .map(str::to_owned),
        published_on: details.vendor_created_at().and_then(milliseconds),
        updated_on: details.vendor_updated_at().and_then(milliseconds),
    })
}

fn target(resource: &Resource) -> Target {
    match resource.r#type() {
        ResourceType::AwsEc2Instance => Target::Instance(resource.id().to_owned()),
        ResourceType::AwsLambdaFunction => Target::of_arn(resource.id()),
        _ => Target::Other,
    }
}
