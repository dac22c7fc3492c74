//! Finding the programs of the workspace.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Returns the path of a program of the workspace, from the same target folder and profile as
/// the running test.
///
/// Builds it first where it is missing. `cargo test --workspace` and `cargo nextest run
/// --workspace` build all of them anyway; after a change, `cargo test -p` of another package
/// alone uses the program as it was built last. A package's own program is better found with
/// `env!("CARGO_BIN_EXE_…")`.
///
/// # Panics
///
/// When it cannot be built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let folder = profile_folder();
    let path = folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    if !path.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--package", name, "--bin", name]);
        if folder.file_name().is_some_and(|profile| profile != "debug") {
            build.arg("--profile").args(folder.file_name());
        }
        let built = build.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(built.unwrap().success(), "`{name}` cannot be built");
        assert!(
            path.exists(),
            "`{name}` was built, but not to {}",
            path.display()
        );
    }
    path
}

/// Returns the folder that everything is built into.
pub(crate) fn target_folder() -> PathBuf {
    profile_folder().parent().unwrap().to_owned()
}

/// Returns the folder with the programs of the running test's profile.
fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    // target/debug/deps/it-0123456789abcdef
    test.parent().and_then(Path::parent).unwrap().to_owned()
}
