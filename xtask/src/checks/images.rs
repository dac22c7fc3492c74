//! The images: built twice to the same digest, then run from what the chart for a first try
//! renders, confined as it says: source, service, and imports into it, one of them stopped.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::Outcome;
use super::charts::{HELMS, helm};
use super::steps::{BUILD_LIMIT, program};
use crate::charts::{Staged, charts, read};
use crate::dist::{STATIC, target_folder};
use crate::images::{Cluster, Pod, Store, collect, parse};
use crate::place::Place;
use crate::process::run;
use crate::say::talk;

/// The programs whose images are built: a source, the service and a connector. The other
/// connectors differ in the program alone.
const PROGRAMS: [&str; 3] = ["reference-server", "car-service", "reference-connector"];
/// Most bytes of a compressed image.
const LARGEST: u64 = 25_000_000;
/// Assets of the source: enough that an import can be stopped before its end.
const ASSETS: &str = "inventory.assets=4000";
/// How long a container may take to do what it is to do.
const LIMIT: Duration = Duration::from_secs(180);
/// How long a cluster waits after SIGTERM, before it kills.
const GRACE: Duration = Duration::from_secs(30);
/// Exit code of an import that was stopped.
const INTERRUPTED: i32 = 10;

/// Checks the images.
///
/// # Errors
///
/// When one cannot be built, differs when it is built again, or does not do its work.
pub(super) fn images_step(place: &Place) -> Result<Outcome> {
    let mut lint = program(place, "hadolint")?;
    run(lint.arg("deployment/docker/Dockerfile"), LIMIT)?;

    let mut build = place.cargo();
    build.args(["build", "--locked", "--target", STATIC, "--bins"]);
    build.args(PROGRAMS.iter().flat_map(|name| ["--package", name]));
    run(&mut build, BUILD_LIMIT)?;

    let folder = tempfile::Builder::new().prefix("car-images-").tempdir()?;
    let programs = folder.path().join("programs");
    fs::create_dir(&programs)?;
    let built = target_folder(place)?.join(STATIC).join("debug");
    collect(place, &PROGRAMS, &built, &programs)?;
    let store = Store::new(folder.path().join("store"));
    for name in PROGRAMS {
        let (first, second) = (
            store.build(place, name, &programs)?,
            store.build(place, name, &programs)?,
        );
        ensure!(
            first == second,
            "{name} is {first}, and when built again {second}"
        );
        let size = store.layout(place, name, &folder.path().join(name))?;
        ensure!(size < LARGEST, "the image of {name} has {size} bytes");
        talk(format!("{name}: {first}, {} KiB compressed", size / 1024));
    }
    imports(place, &store, folder.path())?;
    Ok(Outcome::Passed)
}

/// Runs what the chart for a first try renders.
fn imports(place: &Place, store: &Store, folder: &Path) -> Result<()> {
    let staged = Staged::new(place, helm(place, HELMS[0])?)?;
    let chart = charts(&place.root)?
        .into_iter()
        .find(|chart| chart.name == "car-platform");
    let chart = chart.context("there is no chart car-platform")?;
    let example = chart.folder.join("examples/first-try.yaml");
    let values = example.display().to_string();
    let rendered = staged.call(
        place,
        &[
            "template",
            "car",
            &chart.name,
            "--values",
            &values,
            "--set",
            ASSETS,
        ],
    )?;
    let objects = parse(&rendered)?;
    let volumes = folder.join("volumes");
    fs::create_dir(&volumes)?;
    let mut cluster = Cluster {
        place,
        store,
        objects: &objects,
        folder: &volumes,
        network: None,
    };
    let named = |what: &str| format!("car-test-{}-{what}", std::process::id());

    let service = Pod::find(&objects, "StatefulSet", "car-car-service", "car-service")?;
    let network = named("service");
    let mut service = cluster.start(&service, "car-service", &network)?;
    service
        .wait_until(LIMIT, || cluster.said(&network).contains("listening on"))
        .with_context(|| cluster.said(&network))?;
    cluster.network = Some(network.clone());

    let populate = Pod::find(&objects, "Deployment", "car-source", "populate")?;
    expect(
        &cluster,
        &populate,
        "reference-server",
        &named("populate"),
        0,
    )?;
    let source = Pod::find(&objects, "Deployment", "car-source", "inventory")?;
    let name = named("source");
    let mut source = cluster.start(&source, "reference-server", &name)?;
    source
        .wait_until(LIMIT, || cluster.said(&name).contains("http://"))
        .with_context(|| cluster.said(&name))?;

    let test = Pod::find(&objects, "Pod", "car-inventory-test", "connector")?;
    expect(&cluster, &test, "reference-connector", &named("test"), 0)?;

    let import = Pod::find(&objects, "CronJob", "car-inventory", "connector")?;
    let report = volumes.join("volume-car-inventory/report.json");
    stopped(&cluster, &import, &named("stopped"))?;
    expect(
        &cluster,
        &import,
        "reference-connector",
        &named("resumed"),
        0,
    )?;
    let text = read(&report)?;
    let facts: serde_json::Value = serde_json::from_str(&text)?;
    let resumed = facts.get("resumed").and_then(serde_json::Value::as_u64);
    ensure!(
        resumed == Some(1),
        "the import after the stopped one began again: {text}"
    );
    expect(&cluster, &import, "reference-connector", &named("again"), 0)?;

    service.terminate()?;
    let status = service.ended(GRACE)?;
    ensure!(status.success(), "the service ended with {status}");
    Ok(())
}

/// Starts an import, and stops it as a cluster does while it sends.
fn stopped(cluster: &Cluster<'_>, import: &Pod, name: &str) -> Result<()> {
    let mut container = cluster.start(import, "reference-connector", name)?;
    container
        .wait_until(LIMIT, || {
            cluster.said(name).contains("\"phase\":\"vertices\"")
        })
        .with_context(|| cluster.said(name))?;
    container.terminate()?;
    let status = container.ended(GRACE)?;
    ensure!(
        status.code() == Some(INTERRUPTED),
        "the stopped import ended with {status}: {}",
        cluster.said(name)
    );
    Ok(())
}

/// Runs a container, which is to end with an exit code.
fn expect(cluster: &Cluster<'_>, pod: &Pod, program: &str, name: &str, code: i32) -> Result<()> {
    let ended = cluster.run(pod, program, name, LIMIT)?;
    if ended != code {
        bail!(
            "{name} ended with {ended}, not {code}: {}",
            cluster.said(name)
        );
    }
    Ok(())
}
