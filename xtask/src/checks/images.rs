//! The images: built twice to the same digest, then run from what charts render, confined as they
//! say: the service on a file and on PostgreSQL, a source, and connectors that import into it.
//!
//! Unless static programs are asked for, they have the programs that other checks have built
//! already, with the libraries of this machine: nothing is compiled again.

mod beside;
mod connectors;
mod first_try;
mod postgresql;
mod workers;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_yaml::Value;

use super::Outcome;
use super::charts::{HELMS, helm};
use super::steps::{BUILD_LIMIT, BUILT, program};
use crate::charts::{Staged, charts};
use crate::dist::{STATIC, programs_of, shipped_members, target_folder};
use crate::images::{Cluster, Container, LARGEST, Pod, Store, collect, object, parse, text};
use crate::place::Place;
use crate::process::{output, run};
use crate::rules::Workspace;
use crate::say::talk;

/// The programs whose images are always built: a source, the service and a connector.
const PROGRAMS: [&str; 3] = ["reference-server", "car-service", "reference-connector"];
/// Assets of the source: enough that an import can be stopped before its end.
const ASSETS: usize = 4000;
/// How long a container may take to do what it is to do.
const LIMIT: Duration = Duration::from_secs(180);
/// How long a cluster waits after SIGTERM, before it kills.
const GRACE: Duration = Duration::from_secs(30);
/// Tag of the images.
const TAG: &str = "test";
/// Tag of an image of the same program that is another image, as after an upgrade.
const NEXT: &str = "next";
/// What a service says when it can be called.
const LISTENING: &str = "listening on";

/// Which images are built and run.
#[derive(Debug, Default, clap::Args)]
pub struct Images {
    /// Of programs beside service, source and reference only this one, such as `file-connector`;
    /// may be given more than once [default: all]
    #[arg(long, value_name = "PROGRAM", value_delimiter = ',')]
    image: Vec<String>,
    /// Build static programs, as they are shipped, and hold the size of their images against its
    /// limit
    #[arg(long = "static", conflicts_with = "programs")]
    is_static: bool,
    /// Folder with programs; those of the `dev` profile are built otherwise
    #[arg(long, value_name = "FOLDER")]
    programs: Option<PathBuf>,
}

/// What the scenarios share.
struct Scene<'a> {
    place: &'a Place,
    store: &'a Store,
    staged: &'a Staged,
    folder: &'a Path,
}

/// Checks the images.
///
/// # Errors
///
/// When one cannot be built, differs when it is built again, or does not do its work.
pub(super) fn images_step(place: &Place) -> Result<Outcome> {
    let Some(refusal) = check(place, &Images::default())? else {
        return Ok(Outcome::Passed);
    };
    // A container of a container may have no right to make more: that says nothing about this
    // project, so it is a visible skip even in CI. The images are built then, and not run.
    talk(refusal);
    let why = "the images are the same when built again; this machine runs no containers";
    Ok(Outcome::Skipped(why.to_owned()))
}

/// Checks the images, also of other programs, as a command.
///
/// # Errors
///
/// As the step; also when this machine runs no containers.
pub fn command(place: &Place, chosen: &Images) -> Result<()> {
    match check(place, chosen)? {
        None => Ok(()),
        Some(refusal) => bail!("this machine runs no containers: {refusal}"),
    }
}

/// Builds images and runs them, or tells why this machine does not let it.
fn check(place: &Place, chosen: &Images) -> Result<Option<String>> {
    let mut lint = program(place, "hadolint")?;
    run(lint.arg("deployment/docker/Dockerfile"), LIMIT)?;
    let workspace = Workspace::read()?;
    let mut names = programs_of(&shipped_members(&workspace)?);
    if let Some(unknown) = chosen
        .image
        .iter()
        .find(|name| !names.contains(&name.as_str()))
    {
        bail!(
            "there is no program {unknown}; there are {}",
            names.join(", ")
        );
    }
    let wanted =
        |name: &&str| chosen.image.is_empty() || chosen.image.iter().any(|one| one == name);
    names.retain(|name| PROGRAMS.contains(name) || wanted(name));
    let built = match &chosen.programs {
        Some(folder) => folder.clone(),
        None => compile(place, &names, chosen.is_static)?,
    };
    let folder = tempfile::Builder::new().prefix("car-images-").tempdir()?;
    // A database has its socket in here, as a user of its own.
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o711))?;
    let programs = folder.path().join("programs");
    fs::create_dir(&programs)?;
    let all_static = collect(place, &names, &built, &programs)?;
    let store = Store::new(folder.path().join("store"));
    for name in &names {
        let build = |tag| store.build(place, name, tag, &programs, Some(tag));
        let (first, second) = (build(TAG)?, build(TAG)?);
        ensure!(
            first == second,
            "{name} is {first}, and when built again {second}"
        );
        if all_static {
            let size = store.layout(place, name, TAG, &folder.path().join(name))?;
            ensure!(size < LARGEST, "the image of {name} has {size} bytes");
            talk(format!("{name}: {first}, {} KiB compressed", size / 1024));
        }
    }
    talk(format!(
        "{} images are the same when built again",
        names.len()
    ));
    if let Some(refusal) = store.refusal(place, PROGRAMS[2], TAG)? {
        return Ok(Some(refusal));
    }
    let next = store.build(place, "reference-connector", NEXT, &programs, Some(NEXT))?;
    talk(format!("reference-connector after an upgrade: {next}"));

    let staged = Staged::new(place, helm(place, HELMS[0])?)?;
    let scene = Scene {
        place,
        store: &store,
        staged: &staged,
        folder: folder.path(),
    };
    first_try::imports(&scene)?;
    talk("on a file: imported, stopped, gone on, gone on beside the state of a newer version");
    postgresql::rolls(&scene)?;
    // Those that are shipped are built without it.
    if !all_static {
        workers::work(&scene)?;
    }
    connectors::import(&scene, &names)?;
    Ok(None)
}

/// Builds the programs, and returns their folder.
fn compile(place: &Place, names: &[&str], is_static: bool) -> Result<PathBuf> {
    let mut build = place.cargo();
    build.arg("build");
    let mut folder = target_folder(place)?;
    if is_static {
        build.args(["--locked", "--bins", "--target", STATIC]);
        build.args(names.iter().flat_map(|name| ["--package", name]));
        folder.push(STATIC);
    } else {
        // As the tests do, so that it is there already.
        build.args(BUILT);
    }
    run(&mut build, BUILD_LIMIT)?;
    Ok(folder.join("debug"))
}

impl<'a> Scene<'a> {
    /// Renders an example of the umbrella chart, as the release `car`, with other values on top.
    fn render(&self, example: &str, others: &[&str]) -> Result<Vec<Value>> {
        let all = charts(&self.place.root)?;
        let chart = all.into_iter().find(|chart| chart.name == "car-platform");
        let chart = chart.context("there is no chart car-platform")?;
        let values = chart.folder.join("examples").join(example);
        let values = values.display().to_string();
        let mut arguments = vec!["template", "car", &chart.name, "--values", &values];
        for other in others {
            arguments.extend(["--set", other]);
        }
        parse(&self.staged.call(self.place, &arguments)?)
    }

    /// Makes a cluster without containers, whose volumes are below a folder of the test's.
    fn cluster<'b>(
        &'b self,
        objects: &'b [Value],
        volumes: &'b Path,
        others: &'b [&'b str],
    ) -> Result<Cluster<'b>> {
        fs::create_dir_all(volumes)?;
        fs::set_permissions(volumes, fs::Permissions::from_mode(0o711))?;
        Ok(Cluster {
            place: self.place,
            store: self.store,
            objects,
            folder: volumes,
            network: None,
            tag: TAG,
            others,
        })
    }
}

/// A name for a container that no other run has.
fn named(what: &str) -> String {
    format!("car-test-{}-{what}", std::process::id())
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

/// Fills a source, and starts it as `name`.
fn source<'a>(cluster: &Cluster<'a>, objects: &[Value], name: &str) -> Result<Container<'a>> {
    let program = "reference-server";
    let populate = Pod::find(objects, "Deployment", "car-source", "populate")?;
    expect(cluster, &populate, program, &format!("{name}-fill"), 0)?;
    let source = Pod::find(objects, "Deployment", "car-source", "inventory")?;
    cluster.start_until(&source, program, name, "http://", LIMIT)
}

/// Asks a replica how many assets there are.
fn assets_of(replica: &Container<'_>, objects: &[Value]) -> Result<usize> {
    let secret = object(objects, "Secret", "car-car-service-credentials");
    let secret = secret.context("no credentials are rendered")?;
    let of = |key: &str| text(secret, &format!("stringData.{key}")).unwrap_or_default();
    let user = format!("{}:{}", of("CAR_SERVICE_KEY"), of("CAR_SERVICE_PASSWORD"));
    let query = format!("query={{ asset(limit: {}) {{ external_id }} }}", ASSETS + 1);
    let mut ask = replica.beside("curl")?;
    ask.args(["--silent", "--show-error", "--fail", "--get"]);
    ask.args(["--user", &user, "--data-urlencode", &query]);
    ask.arg("http://127.0.0.1:8110/api/car/v3/query");
    let answer: serde_json::Value = serde_json::from_str(&output(&mut ask, LIMIT)?)?;
    let assets = answer
        .pointer("/data/asset")
        .and_then(serde_json::Value::as_array);
    Ok(assets
        .with_context(|| format!("no assets in {answer}"))?
        .len())
}
