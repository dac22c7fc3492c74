//! The measurements run from end to end, at sizes that say nothing but that they work.

use std::process::Command;

/// Address of a PostgreSQL server to measure on as well.
const POSTGRES: &str = "CAR_SERVICE_TEST_POSTGRES";

#[expect(
    clippy::disallowed_methods,
    reason = "tests have no settings but these"
)]
fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[test]
fn the_service_is_measured_on_both_stores() {
    let service = car_testkit::binary("car-service");
    let mut command = Command::new(env!("CARGO_BIN_EXE_car-bench"));
    command.args(["service", "--entities", "2000", "--small", "200"]);
    command.args(["--import", "50", "--runs", "3", "--binaries"]);
    command.arg(service.parent().unwrap());
    let postgres = setting(POSTGRES);
    match &postgres {
        Some(url) => {
            command.env("CAR_BENCH_DATABASE_URL", url);
        }
        None => {
            assert!(
                setting("CI").is_none_or(|value| value != "true"),
                "CI needs {POSTGRES}: the address of a PostgreSQL server"
            );
            println!("SKIPPED for PostgreSQL: set {POSTGRES} to the address of a server");
        }
    }
    let output = command.output().unwrap();
    let (out, said) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert!(output.status.success(), "{out}{said}");
    for what in [
        "ingestion over HTTP, 4000 rows",
        "GraphQL, 3 levels, 100 assets",
        "filter by an indexed field",
        "page: overview",
        "page: risk",
        "sweep of 200 of 2000 entities",
        "ready, full",
        "idle, full",
    ] {
        let found = |store: &str| {
            out.lines()
                .any(|line| line.contains(store) && line.contains(what))
        };
        assert!(found("SQLite"), "{what}:\n{out}");
        assert!(postgres.is_none() || found("PostgreSQL"), "{what}:\n{out}");
    }
}

#[test]
fn checkpoints_are_measured_beside_imports_without() {
    let service = car_testkit::binary("car-service");
    assert!(car_testkit::binary("reference-connector").exists());
    let mut command = Command::new(env!("CARGO_BIN_EXE_car-bench"));
    command.args(["checkpoints", "--assets", "50", "--runs", "2", "--binaries"]);
    command.arg(service.parent().unwrap());
    let output = command.output().unwrap();
    let (out, said) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    assert!(output.status.success(), "{out}{said}");
    for what in ["--state none: ", "--state FILE: ", "checkpoints take "] {
        assert!(out.contains(what), "{out}");
    }
}
