//! The program as people type it.

use std::process::{Command, Output};

use xtask::checks::STEPS;

fn xtask(arguments: &[&str], cache: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
    command.env("CAR_CACHE_DIR", cache).env_remove("CI");
    command.args(arguments).output().unwrap()
}

#[test]
fn steps_are_listed_on_stdout() {
    let output = xtask(&["test", "--list"], "/nowhere");
    let listed = String::from_utf8(output.stdout).unwrap();
    let names: Vec<_> = listed
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    assert_eq!(
        names,
        STEPS.iter().map(|step| step.name).collect::<Vec<_>>()
    );
    assert!(output.status.success());
}

#[test]
fn wrong_arguments_end_with_2_and_name_what_is_possible() {
    let output = xtask(&["test", "--only", "nope"], "/nowhere");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(said.contains("nope") && said.contains("clippy"), "{said}");
}

#[test]
fn a_skip_is_said_in_the_summary() {
    let folder = tempfile::tempdir().unwrap();
    let cache = folder.path().to_str().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
        .args(["test", "--only", "deny,unused"])
        .env("CAR_CACHE_DIR", cache)
        .env("PATH", "")
        .env_remove("CI")
        .output()
        .unwrap();
    let summary = String::from_utf8(output.stdout).unwrap();
    assert!(
        summary.contains("without cargo-deny, which `cargo xtask setup` installs"),
        "{summary}"
    );
    assert!(
        summary.ends_with("steps: 0 passed, 0 failed, 2 skipped\n"),
        "{summary}"
    );
    assert!(output.status.success());
}

#[test]
fn setup_check_installs_nothing_and_fails_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let output = xtask(&["setup", "--check"], folder.path().to_str().unwrap());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("jwcrypto"), "{said}");
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}
