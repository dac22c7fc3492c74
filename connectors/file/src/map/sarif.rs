//! SARIF: the scanned thing is the asset, the rules that found something are vulnerabilities.

use std::collections::{BTreeSet, HashMap};
use std::io::BufRead;

use car_schema::edges::AssetVulnerability;
use car_schema::vertices::{Asset, Vulnerability};
use serde::Deserialize;

use super::File;
use super::document::{self, some, stem};
use crate::error::Broken;
use crate::rows::Out;

#[derive(Deserialize)]
struct Log {
    runs: Vec<Run>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Run {
    tool: Tool,
    results: Option<Vec<Finding>>,
    #[serde(default)]
    version_control_provenance: Vec<Provenance>,
}

#[derive(Deserialize)]
struct Tool {
    driver: Driver,
    #[serde(default)]
    extensions: Vec<Driver>,
}

#[derive(Deserialize)]
struct Driver {
    name: String,
    #[serde(default)]
    rules: Vec<Rule>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rule {
    id: String,
    name: Option<String>,
    short_description: Option<Message>,
    full_description: Option<Message>,
    help_uri: Option<String>,
    #[serde(default)]
    properties: Properties,
}

#[derive(Deserialize, Default)]
struct Properties {
    #[serde(rename = "security-severity")]
    severity: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Message {
    text: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    rule_id: Option<String>,
    rule: Option<RuleReference>,
    kind: Option<String>,
    message: Option<Message>,
    #[serde(default)]
    suppressions: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct RuleReference {
    id: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Provenance {
    repository_uri: Option<String>,
}

/// Reads a log.
pub(super) fn read(
    file: File<'_>,
    content: &mut dyn BufRead,
    out: &mut Out<'_>,
) -> Result<(), Broken> {
    let log: Log = document::read(file, content)?;
    for run in &log.runs {
        let name = run
            .version_control_provenance
            .iter()
            .find_map(|provenance| some(&provenance.repository_uri))
            .unwrap_or(stem(file.name));
        let asset = Asset::new(name, name);
        out.record(|rows| rows.emit(&asset))?;
        let drivers = std::iter::once(&run.tool.driver).chain(&run.tool.extensions);
        let rules: HashMap<&str, &Rule> = drivers
            .flat_map(|driver| &driver.rules)
            .map(|rule| (rule.id.as_str(), rule))
            .collect();
        let mut seen = BTreeSet::new();
        for finding in run.results.iter().flatten() {
            let harmless = matches!(finding.kind.as_deref(), Some("pass" | "notApplicable"));
            if harmless || !finding.suppressions.is_empty() {
                continue;
            }
            emit(run, finding, name, &rules, &mut seen, out)?;
        }
    }
    Ok(())
}

fn emit<'a>(
    run: &Run,
    finding: &'a Finding,
    asset: &str,
    rules: &HashMap<&str, &Rule>,
    seen: &mut BTreeSet<&'a str>,
    out: &mut Out<'_>,
) -> Result<(), Broken> {
    let by_rule = || some(&finding.rule.as_ref()?.id);
    let Some(rule_id) = some(&finding.rule_id).or_else(by_rule) else {
        return out.record(|rows| {
            rows.reject("vulnerability", None, "the result names no rule", "");
        });
    };
    if !seen.insert(rule_id) {
        return Ok(());
    }
    // Numbers of catalogues mean the same whatever tool says them.
    let known = ["CVE-", "GHSA-", "CWE-", "RUSTSEC-"];
    let id = match known.iter().any(|prefix| rule_id.starts_with(prefix)) {
        true => rule_id.to_owned(),
        false => format!("{}/{rule_id}", run.tool.driver.name),
    };
    let rule = rules.get(rule_id).copied();
    let text = |message: &Option<Message>| message.as_ref()?.text.clone();
    let severity = rule.and_then(|rule| match &rule.properties.severity {
        Some(serde_json::Value::String(text)) => text.parse().ok(),
        Some(number) => number.as_f64(),
        None => None,
    });
    let vulnerability = Vulnerability {
        description: rule
            .and_then(|rule| text(&rule.short_description).or_else(|| text(&rule.full_description)))
            .or_else(|| text(&finding.message)),
        external_reference: rule.and_then(|rule| rule.help_uri.clone()),
        base_score: severity,
        ..Vulnerability::new(
            id.as_str(),
            rule.and_then(|rule| some(&rule.name)).unwrap_or(rule_id),
        )
    };
    out.record(|rows| {
        rows.emit(&vulnerability);
        rows.emit(&AssetVulnerability::new(asset, id.as_str()));
    })
}
