//! Findings that changed, and what else is found about the same things.
//!
//! One finding that is closed may leave another that says the same of the same thing, so the
//! open findings about a thing are told whole.

use std::collections::BTreeSet;
use std::sync::Arc;

use car_core::Failure;
use car_core::connector::{Cursor, Page};
use car_core::record::{Deletion, Records};

use super::{Changes, state};
use crate::client::{MOST_TARGETS, Site, Which};
use crate::extension::FINDING;
use crate::full::found;
use crate::map;
use crate::map::ec2::instance_arn;
use crate::map::finding::{Finding, Living, Target};

/// What an asset is told whole of.
const OF_ASSET: &[&str] = &["asset_vulnerability", "asset_finding"];

/// What an account is told whole of.
const OF_ACCOUNT: &[&str] = &["account_finding"];

/// Before the cursor of Inspector's list, which comes after Security Hub's.
const INSPECTOR: &str = "inspector ";

/// A finding, and whether it is open.
struct Changed {
    finding: Finding,
    is_open: bool,
}

/// Reads a page of the findings that changed, and looks at what they are about.
pub(super) async fn page(
    site: &Arc<Site>,
    changes: &Changes<'_>,
    cursor: Option<&Cursor>,
) -> Result<Page, Failure> {
    let which = Which::Updated {
        since: changes.since.saturating_sub(state::LATENESS),
        until: changes.until,
    };
    let in_inspector = cursor.and_then(|cursor| cursor.0.strip_prefix(INSPECTOR));
    let (changed, next) = match in_inspector {
        None if changes.has("securityhub") => {
            let (changed, next) = hub(site, &which, cursor).await?;
            let then = changes.has("inspector").then(|| INSPECTOR.to_owned());
            (changed, next.map(|next| next.0).or(then))
        }
        inside => {
            let inside = inside.filter(|inside| !inside.is_empty());
            let inside = inside.map(|inside| Cursor(inside.to_owned()));
            let (changed, next) = inspector(site, &which, inside.as_ref()).await?;
            (changed, next.map(|next| format!("{INSPECTOR}{}", next.0)))
        }
    };
    let mut records = Records::new();
    about(site, changes, &changed, &mut records).await?;
    Ok(Page {
        records,
        next: next.map(Cursor),
    })
}

/// Tells what findings are about whole.
async fn about(
    site: &Arc<Site>,
    changes: &Changes<'_>,
    changed: &[Changed],
    out: &mut Records,
) -> Result<(), Failure> {
    let mut targets = BTreeSet::new();
    for Changed { finding, is_open } in changed {
        if !is_open && finding.weaknesses.is_empty() {
            out.delete(Deletion::vertex(FINDING, finding.id.as_str()));
        }
        if *is_open && finding.targets.contains(&Target::Other) {
            finding.emit(site.place(), &Living::default(), out);
        }
        targets.extend(finding.targets.iter().cloned());
    }
    targets.remove(&Target::Other);
    for target in &targets {
        match target {
            Target::Instance(id) => {
                out.whole("asset", instance_arn(site.place(), id), OF_ASSET);
            }
            Target::Asset(arn) => out.whole("asset", arn.as_str(), OF_ASSET),
            Target::Principal(arn) => out.whole("account", arn.as_str(), OF_ACCOUNT),
            Target::Other => {}
        }
    }
    let targets: Vec<Target> = targets.into_iter().collect();
    for some in targets.chunks(MOST_TARGETS) {
        let which = Which::About(some.to_vec());
        let is_inspected = some.iter().any(Target::is_inspected);
        let mut open = Vec::new();
        if changes.has("securityhub") {
            let mut cursor = None;
            loop {
                let (page, next) = hub(site, &which, cursor.as_ref()).await?;
                open.extend(page);
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        if changes.has("inspector") && is_inspected {
            let mut cursor = None;
            loop {
                let (page, next) = inspector(site, &which, cursor.as_ref()).await?;
                open.extend(page);
                cursor = next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        let open = open
            .into_iter()
            .filter(|changed| changed.is_open)
            .map(|changed| changed.finding)
            .collect();
        out.append(found(site, open).await?);
    }
    Ok(())
}

#[cfg(feature = "securityhub")]
async fn hub(
    site: &Arc<Site>,
    which: &Which,
    cursor: Option<&Cursor>,
) -> Result<(Vec<Changed>, Option<Cursor>), Failure> {
    let (findings, next) = site.hub_findings(which, cursor).await?;
    let changed = findings.iter().filter_map(|finding| {
        Some(Changed {
            is_open: map::securityhub::is_open(finding),
            finding: site.known(map::securityhub::finding(finding)?),
        })
    });
    Ok((changed.collect(), next))
}

#[cfg(not(feature = "securityhub"))]
async fn hub(
    _: &Arc<Site>,
    _: &Which,
    _: Option<&Cursor>,
) -> Result<(Vec<Changed>, Option<Cursor>), Failure> {
    Ok((Vec::new(), None))
}

#[cfg(feature = "inspector")]
async fn inspector(
    site: &Arc<Site>,
    which: &Which,
    cursor: Option<&Cursor>,
) -> Result<(Vec<Changed>, Option<Cursor>), Failure> {
    let (findings, next) = site.inspector_findings(which, cursor).await?;
    let changed = findings.iter().map(|finding| Changed {
        is_open: map::inspector::is_open(finding),
        finding: site.known(map::inspector::finding(finding)),
    });
    Ok((changed.collect(), next))
}

#[cfg(not(feature = "inspector"))]
async fn inspector(
    _: &Arc<Site>,
    _: &Which,
    _: Option<&Cursor>,
) -> Result<(Vec<Changed>, Option<Cursor>), Failure> {
    Ok((Vec::new(), None))
}
