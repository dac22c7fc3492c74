//! A new connector is the reference connector under another name.

use std::fs;
use std::path::Path;
use std::process::Command;

use xtask::new_connector::create;

const MANIFEST: &str = "[workspace]\nmembers = [\n    \"core\",\n    \"connectors/reference\",\n    \
    \"connectors/reference/server\",\n    \"xtask\",\n]\n";

fn workspace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    write("Cargo.toml", MANIFEST);
    write(
        "connectors/reference/Cargo.toml",
        "name = \"reference-connector\"\n",
    );
    write(
        "connectors/reference/src/lib.rs",
        "pub struct ReferenceConnector; // by reference\n",
    );
    write(
        "connectors/reference/README.md",
        "in connectors/reference/src and connectors/reference/server\n",
    );
    write(
        "connectors/reference/server/Cargo.toml",
        "name = \"reference-server\"\n",
    );
    let git = |arguments: &[&str]| {
        let status = Command::new("git")
            .args(arguments)
            .current_dir(folder.path())
            .status();
        assert!(status.unwrap().success());
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    folder
}

fn read(root: &Path, name: &str) -> String {
    fs::read_to_string(root.join(name)).unwrap()
}

#[test]
fn names_are_replaced_and_the_workspace_has_one_more_member() {
    let folder = workspace();
    let root = folder.path();
    create(root, "my-scanner").unwrap();
    assert_eq!(
        read(root, "connectors/my-scanner/Cargo.toml"),
        "name = \"my-scanner-connector\"\n"
    );
    assert_eq!(
        read(root, "connectors/my-scanner/src/lib.rs"),
        "pub struct MyScannerConnector; // by reference\n"
    );
    assert_eq!(
        read(root, "connectors/my-scanner/README.md"),
        "in connectors/my-scanner/src and connectors/reference/server\n"
    );
    assert!(!root.join("connectors/my-scanner/server").exists());
    let expected = MANIFEST.replace(
        "    \"xtask\"",
        "    \"connectors/my-scanner\",\n    \"xtask\"",
    );
    assert_eq!(read(root, "Cargo.toml"), expected);
}

#[test]
fn a_bad_or_taken_name_changes_nothing() {
    let folder = workspace();
    for name in [
        "",
        "../evil",
        "My",
        "a--b",
        "-a",
        "a-",
        "1a",
        "a b",
        "reference",
    ] {
        assert!(create(folder.path(), name).is_err(), "{name}");
    }
    assert_eq!(read(folder.path(), "Cargo.toml"), MANIFEST);
    assert_eq!(
        fs::read_dir(folder.path().join("connectors"))
            .unwrap()
            .count(),
        1
    );
}
