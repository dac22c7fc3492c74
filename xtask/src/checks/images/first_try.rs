//! The chart for a first try: source, service on a file, and imports: one that is stopped by
//! SIGTERM, one that goes on with another image, one beside the state of a newer version.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};

use super::{ASSETS, GRACE, LIMIT, LISTENING, NEXT, Scene, expect, named, source};
use crate::charts::{entries, read};
use crate::images::{Cluster, Pod};

/// The connector.
const CONNECTOR: &str = "reference-connector";
/// What an import says once it sends.
pub(super) const SENDS: &str = "\"phase\":\"vertices\"";
/// Exit code of an import that was stopped.
const INTERRUPTED: i32 = 10;
/// Where an SQLite file has the version of its layout.
const LAYOUT: std::ops::Range<usize> = 60..64;

/// Runs what the chart for a first try renders.
pub(super) fn imports(scene: &Scene<'_>) -> Result<()> {
    let assets = format!("inventory.assets={ASSETS}");
    let objects = scene.render("first-try.yaml", &[&assets])?;
    let volumes = scene.folder.join("volumes");
    let mut cluster = scene.cluster(&objects, &volumes, &[])?;

    let service = Pod::find(&objects, "StatefulSet", "car-car-service", "car-service")?;
    let network = named("service");
    let mut service = cluster.start_until(&service, "car-service", &network, LISTENING, LIMIT)?;
    cluster.network = Some(network);

    let source = source(&cluster, &objects, &named("source"))?;

    let test = Pod::find(&objects, "Pod", "car-inventory-test", "connector")?;
    expect(&cluster, &test, CONNECTOR, &named("test"), 0)?;

    let import = Pod::find(&objects, "CronJob", "car-inventory", "connector")?;
    let volume = volumes.join("volume-car-inventory");
    stopped(&cluster, &import, &named("stopped"))?;
    // The image after an upgrade goes on where the one before it stopped.
    cluster.tag = NEXT;
    expect(&cluster, &import, CONNECTOR, &named("resumed"), 0)?;
    let report = volume.join("report.json");
    ensure!(
        resumed(&report)? == Some(1),
        "the import after the stopped one began again: {}",
        read(&report)?
    );
    expect(&cluster, &import, CONNECTOR, &named("again"), 0)?;
    beside_newer_state(&cluster, &import, &volume)?;

    drop(source);
    service.terminate()?;
    let status = service.ended(GRACE)?;
    ensure!(status.success(), "the service ended with {status}");
    Ok(())
}

/// Starts an import, and stops it as a cluster does while it sends.
fn stopped(cluster: &Cluster<'_>, import: &Pod, name: &str) -> Result<()> {
    let container = cluster.start_until(import, CONNECTOR, name, SENDS, LIMIT)?;
    container.terminate()?;
    let mut container = container;
    let status = container.ended(GRACE)?;
    ensure!(
        status.code() == Some(INTERRUPTED),
        "the stopped import ended with {status}: {}",
        cluster.said(name)
    );
    Ok(())
}

/// After a rollback: an import goes on beside the state of a newer version, and leaves it alone.
fn beside_newer_state(cluster: &Cluster<'_>, import: &Pod, volume: &Path) -> Result<()> {
    let state = state(volume)?;
    let mut bytes = fs::read(&state)?;
    bytes
        .get_mut(LAYOUT)
        .context("the state is no SQLite file")?
        .copy_from_slice(&99_u32.to_be_bytes());
    fs::write(&state, &bytes)?;
    let name = named("rolled-back");
    expect(cluster, import, CONNECTOR, &name, 0)?;
    let said = cluster.said(&name);
    ensure!(
        said.contains("its state cannot be kept") && said.contains("newer version"),
        "the import does not say that it leaves the newer state alone: {said}"
    );
    ensure!(fs::read(&state)? == bytes, "the newer state was changed");
    Ok(())
}

/// Finds the state that imports keep on their volume.
fn state(volume: &Path) -> Result<PathBuf> {
    let folder = volume.join(".local/state/car-connectors");
    let found = entries(&folder)?.into_iter();
    let mut found = found.filter(|path| path.extension().is_some_and(|end| end == "db"));
    found
        .next()
        .with_context(|| format!("{} has no state", folder.display()))
}

/// Tells how often a run was gone on with.
fn resumed(report: &Path) -> Result<Option<u64>> {
    let facts: serde_json::Value = serde_json::from_str(&read(report)?)?;
    Ok(facts.get("resumed").and_then(serde_json::Value::as_u64))
}
