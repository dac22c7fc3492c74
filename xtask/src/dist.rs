//! `cargo xtask dist`: what is shipped: programs, what they are made of, their pages, images and
//! charts, with checksums.

mod sbom;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::charts::{Staged, charts, entries};
use crate::images::{LARGEST, Store, collect};
use crate::place::Place;
use crate::process::{output, run};
use crate::rules::{Layer, Member, Workspace};
use crate::say::{result, talk};
use crate::tools::Tool;

/// How long building everything for size and speed may take.
const BUILD_LIMIT: Duration = Duration::from_secs(2 * 60 * 60);
/// How long cargo may take to tell a path, and a program a page.
const ASK_LIMIT: Duration = Duration::from_secs(120);
/// The file of checksums, in the form that `sha256sum --check` reads.
const CHECKSUMS: &str = "SHA256SUMS";
/// What programs that need nothing of a system are built for.
pub(crate) const STATIC: &str = "x86_64-unknown-linux-musl";
/// What images are called while they are made; a layout has no tag.
const TAG: &str = "dist";
/// Shells that programs have completions for.
const SHELLS: [&str; 3] = ["bash", "fish", "zsh"];

/// Builds every program with the `dist` profile into `dist/`, and what goes with them.
///
/// # Errors
///
/// When a program cannot be built, or a file not written.
pub fn dist(place: &Place) -> Result<()> {
    let workspace = Workspace::read()?;
    let members = shipped_members(&workspace)?;
    let shipped = place.root.join("dist");
    if shipped.exists() {
        fs::remove_dir_all(&shipped)
            .with_context(|| format!("cannot remove {}", shipped.display()))?;
    }
    let is_static = missing(place, &["musl", "musl-tools"]).is_empty();
    let built = build(place, &members, is_static)?;
    let programs = shipped.join("bin");
    fs::create_dir_all(&programs)
        .with_context(|| format!("cannot create {}", programs.display()))?;
    let names = programs_of(&members);
    for name in &names {
        let (from, to) = (built.join(name), programs.join(name));
        fs::copy(&from, &to)
            .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        talk(format!("{name}: {} KiB", to.metadata()?.len() / 1024));
    }
    contents(place, &members, &shipped.join("sbom"))?;
    pages(place, &members, &shipped)?;
    if is_static {
        images(place, &names, &built, &shipped.join("images"))?;
    } else {
        talk("no images: they need static programs, for which `cargo xtask setup` installs musl");
    }
    packages(place, &shipped.join("charts"))?;

    let mut checksums = String::new();
    sum_folder(&shipped, "", &mut checksums)?;
    write(&shipped.join(CHECKSUMS), &checksums)?;
    result(shipped.display());
    Ok(())
}

/// Builds the programs and returns their folder.
fn build(place: &Place, members: &[&Member], is_static: bool) -> Result<PathBuf> {
    let mut build = place.cargo();
    build.args(["build", "--profile", "dist", "--locked", "--bins"]);
    for member in members {
        build.args(["--package", &member.name]);
    }
    let mut folder = target_folder(place)?;
    if is_static {
        build.args(["--target", STATIC]);
        folder.push(STATIC);
    }
    run(&mut build, BUILD_LIMIT)?;
    Ok(folder.join("dist"))
}

/// Writes what each program is made of.
fn contents(place: &Place, members: &[&Member], folder: &Path) -> Result<()> {
    let mut ask = place.cargo();
    ask.args(["metadata", "--format-version", "1", "--locked"]);
    ask.args(["--filter-platform", STATIC]);
    let metadata: Value = serde_json::from_str(&output(&mut ask, ASK_LIMIT)?)
        .context("`cargo metadata` wrote no JSON")?;
    let lock = crate::charts::read(&place.root.join("Cargo.lock"))?;
    for member in members {
        let document = sbom::of(&member.name, &metadata, &lock)?;
        let name = format!("{}.cdx.json", member.name);
        write(
            &folder.join(name),
            &serde_json::to_string_pretty(&document)?,
        )?;
    }
    Ok(())
}

/// Writes the manual pages and completions of connectors.
fn pages(place: &Place, members: &[&Member], shipped: &Path) -> Result<()> {
    for member in members {
        if !matches!(member.layer(), Some(Layer::Connector(_))) {
            continue;
        }
        for name in &member.programs {
            let program = shipped.join("bin").join(name);
            let page = output(place.command(&program).arg("man"), ASK_LIMIT)?;
            write(&shipped.join(format!("man/{name}.1")), &page)?;
            for shell in SHELLS {
                let script = output(
                    place.command(&program).args(["completions", shell]),
                    ASK_LIMIT,
                )?;
                write(
                    &shipped.join(format!("completions/{name}.{shell}")),
                    &script,
                )?;
            }
        }
    }
    Ok(())
}

/// Writes the images as OCI layouts.
fn images(place: &Place, names: &[&str], built: &Path, folder: &Path) -> Result<()> {
    if let Some(name) = missing(place, &["buildah"]).first() {
        talk(format!(
            "no images: they need {name}, which `cargo xtask setup` installs"
        ));
        return Ok(());
    }
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let scratch = tempfile::tempdir()?;
    let all_static = collect(place, names, built, scratch.path())?;
    ensure!(all_static, "images need static programs");
    let store = Store::new(scratch.path().join("store"));
    for name in names {
        let digest = store.build(place, name, TAG, scratch.path(), None)?;
        let size = store.layout(place, name, TAG, &folder.join(name))?;
        talk(format!("{name}: {digest}, {} KiB compressed", size / 1024));
        ensure!(size < LARGEST, "the image of {name} has {size} bytes");
    }
    Ok(())
}

/// Packs the charts.
fn packages(place: &Place, folder: &Path) -> Result<()> {
    let Some(helm) = Tool::named("helm-4").and_then(|tool| tool.program(place)) else {
        talk("no charts: they need helm-4, which `cargo xtask setup` installs");
        return Ok(());
    };
    let staged = Staged::new(place, helm)?;
    let folder = folder.display().to_string();
    for chart in charts(&place.root)? {
        staged.call(place, &["package", &chart.name, "--destination", &folder])?;
    }
    Ok(())
}

fn missing<'a>(place: &Place, tools: &[&'a str]) -> Vec<&'a str> {
    let there = |name: &&str| {
        Tool::named(name)
            .and_then(|tool| tool.found(place))
            .is_some()
    };
    tools.iter().copied().filter(|name| !there(name)).collect()
}

fn write(path: &Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Adds a line for each file below a folder.
fn sum_folder(folder: &Path, path: &str, checksums: &mut String) -> Result<()> {
    for entry in entries(folder)? {
        let name = entry.file_name().unwrap_or_default().to_string_lossy();
        if entry.is_dir() {
            sum_folder(&entry, &format!("{path}{name}/"), checksums)?;
        } else {
            writeln!(checksums, "{}  {path}{name}", sha256(&entry)?)?;
        }
    }
    Ok(())
}

/// The crates whose programs are shipped.
///
/// # Errors
///
/// When there are none.
pub(crate) fn shipped_members(workspace: &Workspace) -> Result<Vec<&Member>> {
    let all = workspace.members.iter();
    let members: Vec<_> = all.filter(|member| is_shipped(member)).collect();
    ensure!(
        !members.is_empty(),
        "no crate of the workspace has a program to ship"
    );
    Ok(members)
}

/// The names of their programs.
pub(crate) fn programs_of<'a>(members: &[&'a Member]) -> Vec<&'a str> {
    let programs = members.iter().flat_map(|member| &member.programs);
    programs.map(String::as_str).collect()
}

fn is_shipped(member: &Member) -> bool {
    let ours_alone = matches!(
        member.layer(),
        Some(Layer::Bench | Layer::Xtask | Layer::Testkit)
    );
    !ours_alone && !member.programs.is_empty()
}

/// Returns the folder that cargo builds into.
pub(crate) fn target_folder(place: &Place) -> Result<PathBuf> {
    let mut command = place.cargo();
    command.args(["metadata", "--format-version", "1", "--no-deps"]);
    let facts: Value = serde_json::from_str(&output(&mut command, ASK_LIMIT)?)
        .context("`cargo metadata` wrote no JSON")?;
    let folder = facts.get("target_directory").and_then(Value::as_str);
    Ok(folder
        .context("`cargo metadata` names no target folder")?
        .into())
}

fn sha256(path: &Path) -> Result<String> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut text = String::new();
    for byte in Sha256::digest(bytes) {
        write!(text, "{byte:02x}")?;
    }
    Ok(text)
}
