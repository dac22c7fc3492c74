//! Programs are run with a limit, without input, and their failures name the call.

use std::process::Command;
use std::time::Duration;

use xtask::process::{describe, output, run, run_lines};

const ENOUGH: Duration = Duration::from_secs(60);

fn shell(script: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", script]);
    command
}

#[test]
fn lines_of_both_streams_come_in_order() {
    let mut lines = Vec::new();
    run_lines(&mut shell("echo a; echo b >&2; printf c"), ENOUGH, |line| {
        lines.push(line.to_owned());
    })
    .unwrap();
    assert_eq!(lines, ["a", "b", "c"]);
}

#[test]
fn a_failure_names_the_call_and_its_code_and_what_it_said() {
    let said = format!(
        "{:#}",
        output(&mut shell("echo no disk >&2; exit 3"), ENOUGH).unwrap_err()
    );
    assert!(
        said.starts_with("no disk: `sh -c") && said.contains("exit status: 3"),
        "{said}"
    );
    assert!(run(&mut shell("exit 3"), ENOUGH).is_err());
    assert!(run_lines(&mut shell("exit 3"), ENOUGH, |_| {}).is_err());
    let absent = format!(
        "{:#}",
        run(&mut Command::new("/no/such-program"), ENOUGH).unwrap_err()
    );
    assert!(
        absent.starts_with("cannot start `such-program`"),
        "{absent}"
    );
}

#[test]
fn what_runs_too_long_is_ended() {
    let none = Duration::ZERO;
    for error in [
        run(&mut shell("exec sleep 600"), none).unwrap_err(),
        run_lines(&mut shell("exec sleep 600"), none, |_| {}).unwrap_err(),
        output(&mut shell("exec sleep 600"), none).unwrap_err(),
    ] {
        assert_eq!(
            error.to_string(),
            "`sh -c exec sleep 600` was ended after its limit of 0 s"
        );
    }
}

#[test]
fn there_is_no_standard_input() {
    assert_eq!(output(&mut shell("cat"), ENOUGH).unwrap(), "");
}

#[test]
fn a_call_is_described_as_typed() {
    let mut command = Command::new("/usr/bin/cargo");
    assert_eq!(
        describe(command.args(["fmt", "--check"])),
        "`cargo fmt --check`"
    );
}
