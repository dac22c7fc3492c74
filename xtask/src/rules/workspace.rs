//! What the rules look at: the workspace's crates as `cargo metadata` tells them, and its files
//! as git tells them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::place::{environment, workspace_root};
use crate::process::output;

/// How long cargo or git may take to answer.
const ASK_LIMIT: Duration = Duration::from_secs(120);

/// The workspace's crates and its files.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Its folder.
    pub root: PathBuf,
    /// Its crates.
    pub members: Vec<Member>,
}

/// A crate of the workspace.
#[derive(Debug, Clone)]
pub struct Member {
    /// The package's name.
    pub name: String,
    /// Its folder, relative to the workspace's, with `/`.
    pub folder: String,
    /// What it depends on inside the workspace.
    pub needs: Vec<Need>,
    /// Names of the programs it builds.
    pub programs: Vec<String>,
}

/// A dependency on another crate of the workspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// The other package's name.
    pub name: String,
    /// Whether only tests use it.
    pub only_tests: bool,
}

/// The part a crate plays, told by its folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer<'a> {
    /// The model; no I/O.
    Schema,
    /// The framework.
    Core,
    /// Runs tasks elsewhere than the framework itself does.
    Engine,
    /// The CAR service.
    Service,
    /// What tests share.
    Testkit,
    /// A connector, by its folder's name.
    Connector(&'a str),
    /// The data source that comes with a connector, by the connector's folder.
    Server(&'a str),
    /// Measurements.
    Bench,
    /// Fuzz targets.
    Fuzz,
    /// Project tasks.
    Xtask,
}

impl Member {
    /// The part this crate plays; `None` when its folder is not one of the known.
    #[must_use]
    pub fn layer(&self) -> Option<Layer<'_>> {
        match self.folder.as_str() {
            "schema" => Some(Layer::Schema),
            "core" => Some(Layer::Core),
            "temporal" => Some(Layer::Engine),
            "service" => Some(Layer::Service),
            "testkit" => Some(Layer::Testkit),
            "bench" => Some(Layer::Bench),
            "fuzz" => Some(Layer::Fuzz),
            "xtask" => Some(Layer::Xtask),
            other => match other.strip_prefix("connectors/")?.split_once('/') {
                None => Some(Layer::Connector(other.strip_prefix("connectors/")?)),
                Some((connector, "server")) => Some(Layer::Server(connector)),
                Some(_) => None,
            },
        }
    }
}

impl Workspace {
    /// Asks cargo about the workspace that this program was built from.
    ///
    /// # Errors
    ///
    /// When cargo cannot be asked, or answers what we do not understand.
    pub fn read() -> Result<Self> {
        let root = workspace_root();
        let cargo = environment("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = std::process::Command::new(cargo);
        command
            .args(["metadata", "--format-version", "1", "--no-deps"])
            .current_dir(&root);
        let text = output(&mut command, ASK_LIMIT)?;
        let facts = serde_json::from_str(&text).context("`cargo metadata` wrote no JSON")?;
        Self::from_metadata(root, &facts)
    }

    /// Reads the answer of `cargo metadata --no-deps`.
    ///
    /// # Errors
    ///
    /// When a part that the rules need is missing.
    pub fn from_metadata(root: PathBuf, facts: &Value) -> Result<Self> {
        let packages = list(facts, "packages")?;
        let members = packages.iter().map(|package| member(&root, package));
        let mut members = members.collect::<Result<Vec<_>>>()?;
        let names: Vec<_> = members.iter().map(|member| member.name.clone()).collect();
        for member in &mut members {
            member.needs.retain(|need| names.contains(&need.name));
        }
        if members.is_empty() {
            bail!("`cargo metadata` names no package");
        }
        Ok(Self { root, members })
    }
}

/// The files that git tracks, relative to the workspace's folder, without those that are deleted
/// but not yet committed.
///
/// # Errors
///
/// When git cannot be asked; the rules need a clone, not an archive.
pub fn tracked_files(root: &Path) -> Result<Vec<String>> {
    let mut command = std::process::Command::new("git");
    let names = output(
        command.args(["ls-files", "-z"]).current_dir(root),
        ASK_LIMIT,
    )?;
    let there = |name: &&str| !name.is_empty() && root.join(name).is_file();
    Ok(names.split('\0').filter(there).map(str::to_owned).collect())
}

fn member(root: &Path, package: &Value) -> Result<Member> {
    let name = text(package, "name")?;
    let manifest = PathBuf::from(text(package, "manifest_path")?);
    let folder = manifest
        .parent()
        .and_then(|folder| folder.strip_prefix(root).ok());
    let folder = folder.with_context(|| format!("{name} lies outside of {}", root.display()))?;

    let mut needs = Vec::new();
    for dependency in list(package, "dependencies")? {
        needs.push(Need {
            name: text(dependency, "name")?,
            only_tests: dependency.get("kind").and_then(Value::as_str) == Some("dev"),
        });
    }
    let mut programs = Vec::new();
    for target in list(package, "targets")? {
        if list(target, "kind")?.iter().any(|kind| kind == "bin") {
            programs.push(text(target, "name")?);
        }
    }
    let folder = folder.to_string_lossy().replace('\\', "/");
    Ok(Member {
        name,
        folder,
        needs,
        programs,
    })
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    let found = value.get(key).and_then(Value::as_array);
    found.with_context(|| format!("`cargo metadata` has no list `{key}`"))
}

fn text(value: &Value, key: &str) -> Result<String> {
    let found = value.get(key).and_then(Value::as_str);
    Ok(found
        .with_context(|| format!("`cargo metadata` has no text `{key}`"))?
        .to_owned())
}
