//! `cargo xtask new-connector NAME`: a connector of one's own, copied from the reference.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::place::Place;
use crate::rules::tracked_files;
use crate::say::result;

/// The connector that is copied, and the folder in it that is not: its data source.
const MODEL: &str = "connectors/reference/";
const MODEL_SERVER: &str = "connectors/reference/server/";

/// Copies the reference connector to `connectors/NAME`, with its names replaced, and makes it a
/// member of the workspace.
///
/// # Errors
///
/// When the name is no good or taken, or a file cannot be read or written.
pub fn new_connector(place: &Place, name: &str) -> Result<()> {
    create(&place.root, name)?;
    result(format!(
        "created connectors/{name}, a copy of the reference connector"
    ));
    result("its tests pass as they are; then, in this order:");
    let files = [
        ("Cargo.toml, README.md", "what it is"),
        ("src/lib.rs", "its title, what it can do, its scopes"),
        (
            "src/config.rs",
            "what it needs to be told about your source",
        ),
        ("src/client.rs", "how your source is asked"),
        ("src/map.rs", "what its records mean in the graph"),
    ];
    for (file, about) in files {
        result(format!("  {file:<24} {about}"));
    }
    result(format!("check it with: cargo test -p {name}-connector"));
    Ok(())
}

/// Does the work in the workspace at `root`.
///
/// # Errors
///
/// As [`new_connector`].
pub fn create(root: &Path, name: &str) -> Result<()> {
    ensure!(
        is_good(name),
        "`{name}` is no good as a name: use lower-case letters, digits and single `-`, \
         starting with a letter"
    );
    let folder = root.join("connectors").join(name);
    ensure!(!folder.exists(), "{} exists already", folder.display());

    let files: Vec<_> = tracked_files(root)?
        .into_iter()
        .filter(|path| path.starts_with(MODEL) && !path.starts_with(MODEL_SERVER))
        .collect();
    ensure!(
        !files.is_empty(),
        "git tracks no file in {MODEL}: nothing to copy"
    );

    let manifest_path = root.join("Cargo.toml");
    let manifest = read(&manifest_path)?;
    let manifest = with_member(&manifest, name)
        .with_context(|| format!("{} lists no connector", manifest_path.display()))?;

    for path in files {
        let to = root.join(renamed(&path, name));
        if let Some(parent) = to.parent() {
            fs::create_dir_all(parent)
                .with_context(|| format!("cannot create {}", parent.display()))?;
        }
        let text = renamed(&read(&root.join(&path))?, name);
        fs::write(&to, text).with_context(|| format!("cannot write {}", to.display()))?;
    }
    // Last: until here the workspace is as it was.
    fs::write(&manifest_path, manifest)
        .with_context(|| format!("cannot write {}", manifest_path.display()))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| format!("cannot read {} as text", path.display()))
}

fn is_good(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.split('-').all(|part| {
            !part.is_empty()
                && part
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
        })
}

/// The text with the reference's names replaced, but not those of its data source.
fn renamed(text: &str, name: &str) -> String {
    let camel: String = name.split('-').map(capitalised).collect();
    text.replace("reference-connector", &format!("{name}-connector"))
        .replace(
            "reference_connector",
            &format!("{}_connector", name.replace('-', "_")),
        )
        .replace("ReferenceConnector", &format!("{camel}Connector"))
        .replace(MODEL, &format!("connectors/{name}/"))
        .replace(
            &format!("connectors/{name}/server"),
            "connectors/reference/server",
        )
}

fn capitalised(part: &str) -> String {
    let mut letters = part.chars();
    letters
        .next()
        .map(|first| first.to_ascii_uppercase())
        .into_iter()
        .chain(letters)
        .collect()
}

/// The workspace's manifest with one more member, after the last connector.
fn with_member(manifest: &str, name: &str) -> Option<String> {
    let last = manifest.rfind("\n    \"connectors/")? + 1;
    let end = last + manifest.get(last..)?.find('\n')? + 1;
    let (before, after) = manifest.split_at_checked(end)?;
    Some(format!("{before}    \"connectors/{name}\",\n{after}"))
}
