//! Findings: what somebody found wrong with a resource.
//!
//! A weakness that has a name of its own, such as a CVE, is one vulnerability however many
//! resources have it. Anything else is a finding. Both are linked to each of their resources.

use std::collections::BTreeSet;

use car_core::record::Records;
use car_schema::edges::AssetVulnerability;
use car_schema::vertices::Vulnerability;
use car_schema::{EndRef, GenericEdge, GenericVertex};

use super::Place;
use super::ec2::instance_arn;
use crate::extension::FINDING;

/// A finding, whoever found it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Finding {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) description: Option<String>,
    /// Severity in a word.
    pub(crate) severity: Option<String>,
    /// Severity from 0 to 100.
    pub(crate) score: Option<f64>,
    pub(crate) category: Option<String>,
    pub(crate) product: Option<String>,
    pub(crate) compliance: Option<String>,
    pub(crate) remediation: Option<String>,
    /// In milliseconds since 1970.
    pub(crate) found_on: Option<f64>,
    /// In milliseconds since 1970.
    pub(crate) updated_on: Option<f64>,
    pub(crate) weaknesses: Vec<Weakness>,
    pub(crate) targets: Vec<Target>,
}

/// A weakness with a name of its own.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Weakness {
    /// `CVE-2024-1234`.
    pub(crate) name: String,
    /// From 0 to 10.
    pub(crate) score: Option<f64>,
    pub(crate) reference: Option<String>,
    /// In milliseconds since 1970.
    pub(crate) published_on: Option<f64>,
    /// In milliseconds since 1970.
    pub(crate) updated_on: Option<f64>,
}

/// What a finding is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    /// An EC2 instance, by its id.
    Instance(String),
    /// A database, a function, a load balancer or an EKS cluster, by its ARN.
    Asset(String),
    /// A user or role, by its ARN.
    Principal(String),
    /// Something that is not imported.
    Other,
}

impl Target {
    /// Reads the ARN of something that is listed, as findings give it.
    pub(crate) fn of_arn(arn: &str) -> Self {
        match arn.split(':').nth(2) {
            Some("rds") => Self::Asset(arn.to_owned()),
            #[cfg(feature = "eks")]
            Some("eks") => Self::Asset(arn.to_owned()),
            #[cfg(feature = "elb")]
            Some("elasticloadbalancing") => Self::Asset(arn.to_owned()),
            // A version of a function is the function.
            #[cfg(feature = "lambda")]
            Some("lambda") => {
                let plain: Vec<&str> = arn.split(':').take(7).collect();
                Self::Asset(plain.join(":"))
            }
            _ => Self::Other,
        }
    }

    /// Whether it may be something of this service.
    #[cfg(any(
        feature = "rds",
        feature = "eks",
        feature = "lambda",
        feature = "elb",
        feature = "inspector"
    ))]
    pub(crate) fn is_of(&self, service: &str) -> bool {
        match self {
            Self::Asset(arn) => arn.split(':').nth(2) == Some(service),
            _ => false,
        }
    }

    /// Whether Inspector may find something in it.
    pub(crate) fn is_inspected(&self) -> bool {
        matches!(self, Self::Instance(_)) || self.is_of("lambda")
    }

    /// Returns the ARN, if it is something that is imported.
    #[cfg(feature = "securityhub")]
    pub(crate) fn arn(&self, place: Place<'_>) -> Option<String> {
        match self {
            Self::Instance(id) => Some(instance_arn(place, id)),
            Self::Asset(arn) | Self::Principal(arn) => Some(arn.clone()),
            Self::Other => None,
        }
    }
}

/// Which targets exist.
#[derive(Debug, Default)]
pub(crate) struct Living {
    pub(crate) instances: BTreeSet<String>,
    pub(crate) assets: BTreeSet<String>,
    pub(crate) principals: BTreeSet<String>,
}

/// A score of a weakness, and who gave it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Score<'a> {
    pub(crate) version: Option<&'a str>,
    pub(crate) source: Option<&'a str>,
    pub(crate) score: f64,
}

/// Chooses among the scores of a weakness: the newest version of CVSS, of the national database
/// where it gave one, so that every finding of the weakness tells the same.
pub(crate) fn best_score<'a>(scores: impl Iterator<Item = Score<'a>>) -> Option<f64> {
    scores
        .max_by(|a, b| {
            let rank = |score: &Score<'a>| {
                let version = score
                    .version
                    .and_then(|version| version.parse::<f64>().ok());
                (
                    version.unwrap_or_default(),
                    score.source == Some("NVD"),
                    score.score,
                )
            };
            let ((v, n, s), (w, o, t)) = (rank(a), rank(b));
            v.total_cmp(&w).then(n.cmp(&o)).then(s.total_cmp(&t))
        })
        .map(|score| score.score)
}

/// Returns a severity from 0 to 100 for a word, where AWS gives no number.
pub(crate) fn score_of(label: &str) -> Option<f64> {
    // The lower ends of the ranges that the finding format gives to the words.
    match label {
        "INFORMATIONAL" => Some(0.0),
        "LOW" => Some(1.0),
        "MEDIUM" => Some(40.0),
        "HIGH" => Some(70.0),
        "CRITICAL" => Some(90.0),
        _ => None,
    }
}

impl Finding {
    /// Emits the finding with its links, unless everything that it is about is gone.
    pub(crate) fn emit(&self, place: Place<'_>, living: &Living, out: &mut Records) {
        let ends: Vec<End> = self
            .targets
            .iter()
            .filter_map(|target| living.end(place, target))
            .collect();
        if ends.is_empty() {
            return;
        }
        for weakness in &self.weaknesses {
            self.emit_weakness(weakness, &ends, out);
        }
        if self.weaknesses.is_empty() {
            self.emit_itself(&ends, out);
        }
    }

    fn emit_weakness(&self, weakness: &Weakness, ends: &[End], out: &mut Records) {
        let name = weakness.name.as_str();
        out.emit(&Vulnerability {
            description: self.description.clone(),
            base_score: weakness.score.or(self.score.map(|score| score / 10.0)),
            external_reference: weakness.reference.clone(),
            published_on: weakness.published_on,
            updated_on: weakness.updated_on,
            ..Vulnerability::new(name, name)
        });
        for end in ends {
            if let End::Asset(asset) = end {
                out.emit(&AssetVulnerability {
                    risk_score: self.score.map(|score| score / 10.0),
                    created: self.found_on,
                    modified: self.updated_on,
                    ..AssetVulnerability::new(asset.as_str(), name)
                });
            }
        }
    }

    fn emit_itself(&self, ends: &[End], out: &mut Records) {
        let mut vertex =
            GenericVertex::new(FINDING, self.id.as_str()).with("name", self.title.as_str());
        let texts = [
            ("description", &self.description),
            ("severity", &self.severity),
            ("category", &self.category),
            ("product", &self.product),
            ("compliance", &self.compliance),
            ("remediation", &self.remediation),
        ];
        for (field, value) in texts {
            if let Some(value) = value {
                vertex = vertex.with(field, value.as_str());
            }
        }
        let numbers = [
            ("score", self.score),
            ("found_on", self.found_on),
            ("updated_on", self.updated_on),
        ];
        for (field, value) in numbers {
            if let Some(value) = value {
                vertex = vertex.with(field, value);
            }
        }
        out.emit(&vertex);
        for end in ends {
            let (edge, from) = match end {
                End::Asset(asset) => ("asset_finding", asset),
                End::Account(account) => ("account_finding", account),
                End::Nowhere => continue,
            };
            out.emit(&GenericEdge::new(
                edge,
                EndRef::ExternalId(from.clone()),
                EndRef::ExternalId(self.id.clone()),
            ));
        }
    }
}

/// Where a link of a finding starts.
enum End {
    Asset(String),
    Account(String),
    /// The finding is worth knowing, but what it is about is not imported.
    Nowhere,
}

impl Living {
    /// Returns the vertex of a target; `None` when it is gone.
    fn end(&self, place: Place<'_>, target: &Target) -> Option<End> {
        match target {
            Target::Instance(id) => self
                .instances
                .contains(id)
                .then(|| End::Asset(instance_arn(place, id))),
            Target::Asset(arn) => self.assets.contains(arn).then(|| End::Asset(arn.clone())),
            Target::Principal(arn) => self
                .principals
                .contains(arn)
                .then(|| End::Account(arn.clone())),
            Target::Other => Some(End::Nowhere),
        }
    }
}
