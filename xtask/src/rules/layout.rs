//! What every crate has, and what every connector has: the same files, so that who knows one
//! connector knows them all.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::{Layer, Workspace};

/// What lies in the folder of every connector; a trailing `/` means a folder with
/// files.
const OF_A_CONNECTOR: [&str; 9] = [
    "README.md",
    "configurations/",
    "src/client.rs",
    "src/config.rs",
    "src/error.rs",
    "src/lib.rs",
    "src/main.rs",
    "src/map.rs",
    "tests/it/main.rs",
];

/// Names crates without the shared lints and connectors without one of their files.
///
/// # Errors
///
/// When a crate's `Cargo.toml` cannot be read.
pub fn violations(workspace: &Workspace) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for member in &workspace.members {
        let folder = workspace.root.join(&member.folder);
        let path = folder.join("Cargo.toml");
        let manifest =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if !has_shared_lints(&manifest) {
            found.push(format!(
                "{}/Cargo.toml lacks `[lints]` with `workspace = true`",
                member.folder
            ));
        }
        if !matches!(member.layer(), Some(Layer::Connector(_))) {
            continue;
        }
        for name in OF_A_CONNECTOR {
            let there = match name.strip_suffix('/') {
                Some(name) => has_files(&folder.join(name)),
                None => folder.join(name).is_file(),
            };
            if !there {
                found.push(format!("the connector {} lacks {name}", member.folder));
            }
        }
    }
    Ok(found)
}

/// Whether a folder has something in it: git keeps no empty ones.
fn has_files(folder: &Path) -> bool {
    folder
        .read_dir()
        .is_ok_and(|mut entries| entries.next().is_some())
}

/// Whether a `Cargo.toml` takes its lints from the workspace.
#[must_use]
pub fn has_shared_lints(manifest: &str) -> bool {
    let mut section = "";
    manifest.lines().map(str::trim).any(|line| {
        if line.starts_with('[') {
            section = line;
        }
        let compact: String = line.split_whitespace().collect();
        (section == "[lints]" && compact == "workspace=true") || compact == "lints.workspace=true"
    })
}
