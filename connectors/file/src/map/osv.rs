//! OSV: advisories are vulnerabilities, affected packages are applications.

use std::io::BufRead;

use car_schema::Object;
use car_schema::edges::ApplicationVulnerability;
use car_schema::vertices::{Application, Vulnerability};
use serde::Deserialize;

use super::File;
use super::document::{self, some, time};
use crate::error::Broken;
use crate::rows::Out;

#[derive(Deserialize)]
#[serde(untagged)]
enum Document {
    Many(Vec<Advisory>),
    One(Box<Advisory>),
}

#[derive(Deserialize)]
struct Advisory {
    id: String,
    summary: Option<String>,
    details: Option<String>,
    published: Option<String>,
    modified: Option<String>,
    withdrawn: Option<String>,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    severity: Vec<Severity>,
    #[serde(default)]
    affected: Vec<Affected>,
    #[serde(default)]
    references: Vec<Reference>,
}

#[derive(Deserialize)]
struct Severity {
    score: Option<String>,
}

#[derive(Deserialize)]
struct Reference {
    url: Option<String>,
}

#[derive(Deserialize)]
struct Affected {
    package: Option<Package>,
}

#[derive(Deserialize)]
struct Package {
    ecosystem: String,
    name: String,
    purl: Option<String>,
}

/// Reads an advisory, or a list of them.
pub(super) fn read(
    file: File<'_>,
    content: &mut dyn BufRead,
    out: &mut Out<'_>,
) -> Result<(), Broken> {
    let advisories = match document::read(file, content)? {
        Document::Many(many) => many,
        Document::One(one) => vec![*one],
    };
    for advisory in &advisories {
        // Withdrawn means that it was none.
        if advisory.withdrawn.is_none() {
            emit(advisory, out)?;
        }
    }
    Ok(())
}

fn emit(advisory: &Advisory, out: &mut Out<'_>) -> Result<(), Broken> {
    let mut xref = Object::new();
    if !advisory.aliases.is_empty() {
        xref.insert("aliases".to_owned(), advisory.aliases.clone().into());
    }
    // Vectors say how a score comes about, and some sources give the number instead.
    let scores = || {
        advisory
            .severity
            .iter()
            .filter_map(|severity| severity.score.as_ref())
    };
    let vectors: Vec<&String> = scores()
        .filter(|score| score.starts_with("CVSS:"))
        .collect();
    if !vectors.is_empty() {
        let vectors: Vec<String> = vectors.into_iter().cloned().collect();
        xref.insert("CVSS".to_owned(), vectors.into());
    }
    let vulnerability = Vulnerability {
        description: advisory
            .summary
            .clone()
            .or_else(|| advisory.details.clone()),
        base_score: scores()
            .filter_map(|score| score.parse().ok())
            .reduce(f64::max),
        published_on: time(advisory.published.as_ref()),
        updated_on: time(advisory.modified.as_ref()),
        external_reference: advisory
            .references
            .iter()
            .find_map(|reference| reference.url.clone()),
        xref_properties: (!xref.is_empty()).then_some(xref),
        ..Vulnerability::new(advisory.id.as_str(), advisory.id.as_str())
    };
    out.record(|rows| {
        rows.emit(&vulnerability);
        for package in advisory
            .affected
            .iter()
            .filter_map(|affected| affected.package.as_ref())
        {
            let id = match some(&package.purl) {
                Some(purl) => purl.to_owned(),
                None => format!("{}/{}", package.ecosystem, package.name),
            };
            rows.emit(&Application {
                app_type: Some(package.ecosystem.clone()),
                ..Application::new(id.as_str(), package.name.as_str())
            });
            rows.emit(&ApplicationVulnerability::new(
                id.as_str(),
                advisory.id.as_str(),
            ));
        }
    })
}
