//! CycloneDX: what is described is the asset, its components are applications, its
//! vulnerabilities are the vulnerabilities of both.

use std::collections::HashMap;
use std::io::BufRead;

use car_schema::Object;
use car_schema::edges::{ApplicationVulnerability, AssetApplication, AssetVulnerability};
use car_schema::vertices::{Application, Asset, Vulnerability};
use serde::Deserialize;

use super::File;
use super::document::{self, some, stem, time};
use crate::error::Broken;
use crate::rows::Out;

#[derive(Deserialize)]
struct Bom {
    #[serde(default)]
    metadata: Metadata,
    #[serde(default)]
    components: Vec<Component>,
    #[serde(default)]
    vulnerabilities: Vec<Finding>,
}

#[derive(Deserialize, Default)]
struct Metadata {
    component: Option<Component>,
}

#[derive(Deserialize)]
struct Component {
    #[serde(rename = "type")]
    ty: Option<String>,
    #[serde(rename = "bom-ref")]
    bom_ref: Option<String>,
    group: Option<String>,
    name: String,
    version: Option<String>,
    description: Option<String>,
    publisher: Option<String>,
    supplier: Option<Named>,
    cpe: Option<String>,
    purl: Option<String>,
    #[serde(default)]
    components: Vec<Component>,
}

#[derive(Deserialize)]
struct Named {
    name: Option<String>,
}

#[derive(Deserialize)]
struct Finding {
    id: Option<String>,
    source: Option<Reference>,
    #[serde(default)]
    ratings: Vec<Rating>,
    #[serde(default)]
    cwes: Vec<u64>,
    description: Option<String>,
    created: Option<String>,
    published: Option<String>,
    updated: Option<String>,
    #[serde(default)]
    affects: Vec<Affected>,
}

#[derive(Deserialize)]
struct Reference {
    url: Option<String>,
}

#[derive(Deserialize)]
struct Rating {
    score: Option<f64>,
}

#[derive(Deserialize)]
struct Affected {
    #[serde(rename = "ref")]
    reference: String,
}

impl Component {
    fn name(&self) -> String {
        match some(&self.group) {
            Some(group) => format!("{group}/{}", self.name),
            None => self.name.clone(),
        }
    }

    /// Returns the identity of a component: what it is and its version.
    fn id(&self) -> String {
        match (some(&self.purl), some(&self.version)) {
            (Some(purl), _) => purl.to_owned(),
            (None, Some(version)) => format!("{}@{version}", self.name()),
            (None, None) => self.name(),
        }
    }

    /// Returns the reference, which other components can point to across files.
    fn reference(&self) -> Option<&str> {
        some(&self.bom_ref)
    }

    fn application(&self) -> Application {
        let owner = some(&self.publisher)
            .or_else(|| some(&self.supplier.as_ref()?.name))
            .map(str::to_owned);
        let application = Application {
            description: self.description.clone(),
            cpe: self.cpe.clone(),
            is_os: (self.ty.as_deref() == Some("operating-system")).then_some(true),
            app_type: self.ty.clone(),
            owner,
            ..Application::new(self.id(), self.name())
        };
        match some(&self.version) {
            Some(version) => application.with("version", version),
            None => application,
        }
    }
}

/// Reads a document.
pub(super) fn read(
    file: File<'_>,
    content: &mut dyn BufRead,
    out: &mut Out<'_>,
) -> Result<(), Broken> {
    let bom: Bom = document::read(file, content)?;
    // Without the version: a new release is the same thing.
    let asset = match &bom.metadata.component {
        Some(component) => {
            let name = component.name();
            let asset = Asset {
                description: component.description.clone(),
                asset_type: component.ty.clone(),
                ..Asset::new(name.as_str(), name.as_str())
            };
            match some(&component.version) {
                Some(version) => asset.with("version", version),
                None => asset,
            }
        }
        None => Asset::new(stem(file.name), stem(file.name)),
    };
    let id = asset.external_id.clone();
    out.record(|rows| rows.emit(&asset))?;
    let mut references = HashMap::new();
    let inner = bom
        .metadata
        .component
        .iter()
        .flat_map(|own| &own.components);
    let mut open: Vec<&Component> = inner.chain(&bom.components).collect();
    open.reverse();
    while let Some(component) = open.pop() {
        let application = component.application();
        if let Some(reference) = component.reference() {
            references.insert(reference, application.external_id.clone());
        }
        out.record(|rows| {
            rows.emit(&application);
            rows.emit(&AssetApplication::new(
                id.as_str(),
                application.external_id.as_str(),
            ));
        })?;
        open.extend(component.components.iter().rev());
    }
    for finding in &bom.vulnerabilities {
        vulnerability(finding, &id, &references, out)?;
    }
    Ok(())
}

fn vulnerability(
    finding: &Finding,
    asset: &str,
    references: &HashMap<&str, String>,
    out: &mut Out<'_>,
) -> Result<(), Broken> {
    out.record(|rows| {
        let Some(id) = some(&finding.id) else {
            return rows.reject("vulnerability", None, "the vulnerability has no `id`", "");
        };
        let mut xref = Object::new();
        if !finding.cwes.is_empty() {
            let cwes: Vec<String> = finding
                .cwes
                .iter()
                .map(|cwe| format!("CWE-{cwe}"))
                .collect();
            xref.insert("CWE".to_owned(), cwes.into());
        }
        let scores = finding.ratings.iter().filter_map(|rating| rating.score);
        rows.emit(&Vulnerability {
            description: finding.description.clone(),
            base_score: scores.reduce(f64::max),
            disclosed_on: time(finding.created.as_ref()),
            published_on: time(finding.published.as_ref()),
            updated_on: time(finding.updated.as_ref()),
            external_reference: finding
                .source
                .as_ref()
                .and_then(|source| source.url.clone()),
            xref_properties: (!xref.is_empty()).then_some(xref),
            ..Vulnerability::new(id, id)
        });
        rows.emit(&AssetVulnerability::new(asset, id));
        for affected in &finding.affects {
            // What is not a component is the asset itself, or is in another file.
            if let Some(application) = references.get(affected.reference.as_str()) {
                rows.emit(&ApplicationVulnerability::new(application.as_str(), id));
            }
        }
    })
}
