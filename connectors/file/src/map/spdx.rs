//! SPDX 2: what the document describes is the asset, the other packages are applications.

use std::collections::HashSet;
use std::io::BufRead;

use car_schema::edges::AssetApplication;
use car_schema::vertices::{Application, Asset};
use serde::Deserialize;

use super::File;
use super::document::{self, some, stem};
use crate::error::Broken;
use crate::rows::Out;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    name: Option<String>,
    #[serde(default)]
    document_describes: Vec<String>,
    #[serde(default)]
    packages: Vec<Package>,
    #[serde(default)]
    relationships: Vec<Relationship>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Package {
    #[serde(rename = "SPDXID")]
    id: Option<String>,
    name: String,
    version_info: Option<String>,
    supplier: Option<String>,
    description: Option<String>,
    primary_package_purpose: Option<String>,
    #[serde(default)]
    external_refs: Vec<ExternalRef>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ExternalRef {
    reference_type: String,
    reference_locator: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Relationship {
    spdx_element_id: String,
    relationship_type: String,
    related_spdx_element: String,
}

impl Package {
    fn external(&self, types: &[&str]) -> Option<&str> {
        self.external_refs
            .iter()
            .find(|reference| types.contains(&reference.reference_type.as_str()))
            .map(|reference| reference.reference_locator.as_str())
    }

    fn application(&self) -> Application {
        let version = some(&self.version_info).filter(|version| *version != "NOASSERTION");
        let id = match (self.external(&["purl"]), version) {
            (Some(purl), _) => purl.to_owned(),
            (None, Some(version)) => format!("{}@{version}", self.name),
            (None, None) => self.name.clone(),
        };
        let owner = some(&self.supplier)
            .filter(|owner| *owner != "NOASSERTION")
            .map(|owner| owner.split_once(": ").map_or(owner, |(_, name)| name));
        let purpose = self.primary_package_purpose.as_deref();
        let application = Application {
            description: self.description.clone(),
            cpe: self
                .external(&["cpe23Type", "cpe22Type"])
                .map(str::to_owned),
            is_os: (purpose == Some("OPERATING-SYSTEM")).then_some(true),
            app_type: purpose.map(str::to_lowercase),
            owner: owner.map(str::to_owned),
            ..Application::new(id, self.name.as_str())
        };
        match version {
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
    let document: Document = document::read(file, content)?;
    let related = document
        .relationships
        .iter()
        .filter(|related| {
            related.relationship_type == "DESCRIBES"
                && related.spdx_element_id == "SPDXRef-DOCUMENT"
        })
        .map(|related| &related.related_spdx_element);
    let described: HashSet<&String> = related.chain(&document.document_describes).collect();
    let is_described =
        |package: &&Package| package.id.as_ref().is_some_and(|id| described.contains(id));
    let mut roots = document.packages.iter().filter(is_described);
    // Documents that describe all of their packages describe none in particular.
    let root = roots.next().filter(|_| roots.next().is_none());
    let asset = match root {
        Some(package) => {
            let asset = Asset {
                description: package.description.clone(),
                asset_type: package
                    .primary_package_purpose
                    .as_deref()
                    .map(str::to_lowercase),
                ..Asset::new(package.name.as_str(), package.name.as_str())
            };
            match some(&package.version_info) {
                Some(version) => asset.with("version", version),
                None => asset,
            }
        }
        None => {
            let name = some(&document.name).unwrap_or(stem(file.name));
            Asset::new(name, name)
        }
    };
    out.record(|rows| rows.emit(&asset))?;
    for package in &document.packages {
        if root.is_some_and(|root| std::ptr::eq(root, package)) {
            continue;
        }
        let application = package.application();
        out.record(|rows| {
            rows.emit(&application);
            rows.emit(&AssetApplication::new(
                asset.external_id.as_str(),
                application.external_id.as_str(),
            ));
        })?;
    }
    Ok(())
}
