//! `cargo xtask dist`: the programs as they are shipped, with their checksums.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::place::Place;
use crate::process::{output, run};
use crate::rules::{Layer, Member, Workspace};
use crate::say::{result, talk};

/// How long building everything for size and speed may take.
const BUILD_LIMIT: Duration = Duration::from_secs(2 * 60 * 60);
/// How long cargo may take to tell a path.
const ASK_LIMIT: Duration = Duration::from_secs(120);
/// The file of checksums, in the form that `sha256sum --check` reads.
const CHECKSUMS: &str = "SHA256SUMS";

/// Builds every program with the `dist` profile into `dist/`.
///
/// # Errors
///
/// When a program cannot be built or written.
pub fn dist(place: &Place) -> Result<()> {
    let workspace = Workspace::read()?;
    let members: Vec<_> = workspace
        .members
        .iter()
        .filter(|member| is_shipped(member))
        .collect();
    ensure!(
        !members.is_empty(),
        "no crate of the workspace has a program to ship"
    );

    let mut build = place.cargo();
    build.args(["build", "--profile", "dist", "--locked", "--bins"]);
    for member in &members {
        build.args(["--package", &member.name]);
    }
    run(&mut build, BUILD_LIMIT)?;

    let built = target_folder(place)?.join("dist");
    let shipped = place.root.join("dist");
    fs::create_dir_all(&shipped).with_context(|| format!("cannot create {}", shipped.display()))?;
    let mut checksums = String::new();
    for program in members.iter().flat_map(|member| &member.programs) {
        let (from, to) = (built.join(program), shipped.join(program));
        fs::copy(&from, &to)
            .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
        let sum = sha256(&to)?;
        let size = to
            .metadata()
            .with_context(|| format!("cannot read {}", to.display()))?
            .len();
        talk(format!("{program}: {} KiB", size / 1024));
        writeln!(checksums, "{sum}  {program}")?;
    }
    let path = shipped.join(CHECKSUMS);
    fs::write(&path, checksums).with_context(|| format!("cannot write {}", path.display()))?;
    result(shipped.display());
    Ok(())
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
