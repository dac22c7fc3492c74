//! The steps of `cargo xtask test`, in order. To add a check, add an entry here, and what it
//! needs to the table of tools.

use std::io::IsTerminal as _;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::api::api;
use super::charts::charts_step;
use super::images::images_step;
use super::{Outcome, Step, TestCount};
use crate::place::Place;
use crate::postgres::Postgres;
use crate::process::{output, run, run_lines};
use crate::say::talk;
use crate::temporal::Temporal;
use crate::tools::{TEST_AXE, TEST_PYTHON, Tool, test_axe, test_python};

/// Names the server for the tests of the service.
const TEST_POSTGRES: &str = "CAR_SERVICE_TEST_POSTGRES";

/// Names the Temporal server for the tests of tasks on it, and its program.
const TEST_TEMPORAL: &str = "CAR_TEST_TEMPORAL";
const TEST_TEMPORAL_PROGRAM: &str = "CAR_TEST_TEMPORAL_PROGRAM";

/// How long a step that compiles may take, from nothing and on two cores.
pub(super) const BUILD_LIMIT: Duration = Duration::from_secs(40 * 60);
/// How long a step that only reads may take.
const READ_LIMIT: Duration = Duration::from_secs(5 * 60);
/// How long fetching the list of known vulnerabilities may take.
const FETCH_LIMIT: Duration = Duration::from_secs(2 * 60);

/// All steps.
pub const STEPS: &[Step] = &[
    Step {
        name: "fmt",
        about: "formatting",
        needs: &["rustfmt"],
        wants: &[],
        run: fmt,
    },
    Step {
        name: "clippy",
        about: "lints, all targets, warnings are errors",
        needs: &["clippy"],
        wants: &[],
        run: clippy,
    },
    Step {
        name: "doc",
        about: "API documentation, warnings are errors",
        needs: &[],
        wants: &[],
        run: doc,
    },
    Step {
        name: "deny",
        about: "dependencies: bans, licences, sources",
        needs: &["cargo-deny"],
        wants: &[],
        run: deny,
    },
    Step {
        name: "advisories",
        about: "dependencies: known vulnerabilities",
        needs: &["cargo-deny"],
        wants: &[],
        run: advisories,
    },
    Step {
        name: "unused",
        about: "dependencies that nothing uses",
        needs: &["cargo-shear"],
        wants: &[],
        run: unused,
    },
    Step {
        name: "tests",
        about: "unit and integration tests of all crates, and the rules of the workspace",
        needs: &[],
        wants: &[
            "jwcrypto",
            "car-connector-framework",
            "postgresql",
            "chromium",
            "axe-core",
            "moto[server]",
            "temporal",
        ],
        run: tests,
    },
    Step {
        name: "api",
        about: "answers of the service and of `serve` to made calls, against their OpenAPI documents; numbers",
        needs: &["schemathesis", "promql-parser"],
        wants: &[],
        run: api,
    },
    Step {
        name: "doctests",
        about: "examples in the API documentation",
        needs: &[],
        wants: &[],
        run: doctests,
    },
    Step {
        name: "charts",
        about: "Helm charts: both majors, examples, bad values, schemas of Kubernetes, security, queries",
        needs: &[
            "helm-3",
            "helm-4",
            "kubernetes-validate",
            "checkov",
            "promql-parser",
        ],
        wants: &[],
        run: charts_step,
    },
    Step {
        name: "images",
        about: "images: the same when built again, at work from what a chart renders, stopped",
        needs: &["hadolint", "buildah", "podman", "runc", "helm-4"],
        wants: &["postgresql", "moto[server]", "temporal"],
        run: images_step,
    },
];

/// What all steps that compile have in common, so that they share their artifacts.
pub(super) const WHOLE: [&str; 3] = ["--workspace", "--all-features", "--locked"];

/// What gives programs, from the artifacts of the tests: without the tests, what they need would be
/// left out of what all depend on, and that compiled once more.
pub(super) const BUILT: [&str; 5] = [
    "--workspace",
    "--all-features",
    "--locked",
    "--bins",
    "--tests",
];

fn fmt(place: &Place) -> Result<Outcome> {
    run(place.cargo().args(["fmt", "--all", "--check"]), READ_LIMIT)
        .context("`cargo fmt` mends it")?;
    Ok(Outcome::Passed)
}

fn clippy(place: &Place) -> Result<Outcome> {
    let lints = ["--all-targets", "--keep-going", "--", "-D", "warnings"];
    run(
        place.cargo().arg("clippy").args(WHOLE).args(lints),
        BUILD_LIMIT,
    )?;
    Ok(Outcome::Passed)
}

fn doc(place: &Place) -> Result<Outcome> {
    let mut command = place.cargo();
    command
        .args(["doc", "--no-deps", "--keep-going"])
        .args(WHOLE)
        .env("RUSTDOCFLAGS", "-D warnings");
    run(&mut command, BUILD_LIMIT)?;
    Ok(Outcome::Passed)
}

fn deny(place: &Place) -> Result<Outcome> {
    let mut command = program(place, "cargo-deny")?;
    command.args(["--workspace", "--locked", "check", "--hide-inclusion-graph"]);
    run(command.args(["bans", "licenses", "sources"]), READ_LIMIT)
        .context("see deny.toml for what is allowed")?;
    Ok(Outcome::Passed)
}

fn advisories(place: &Place) -> Result<Outcome> {
    // The list lies on a public host that not every machine reaches: that says nothing about
    // this project, so it is a visible skip even in CI.
    if let Err(error) = output(
        program(place, "cargo-deny")?.args(["fetch", "db"]),
        FETCH_LIMIT,
    ) {
        talk(format!("{error:#}"));
        let why = "the list of known vulnerabilities cannot be fetched from here";
        return Ok(Outcome::Skipped(why.to_owned()));
    }
    let mut command = program(place, "cargo-deny")?;
    command.args([
        "--workspace",
        "--locked",
        "check",
        "--disable-fetch",
        "advisories",
    ]);
    run(&mut command, READ_LIMIT)?;
    Ok(Outcome::Passed)
}

fn unused(place: &Place) -> Result<Outcome> {
    run(
        program(place, "cargo-shear")?.args(["--locked", "--deny-warnings"]),
        READ_LIMIT,
    )?;
    Ok(Outcome::Passed)
}

fn tests(place: &Place) -> Result<Outcome> {
    let mut command = match Tool::named("cargo-nextest").and_then(|tool| tool.program(place)) {
        Some(nextest) => {
            let mut command = place.command(nextest);
            command.args(["nextest", "run", "--no-fail-fast"]);
            command
        }
        None => {
            let mut command = place.cargo();
            // Not the default targets: those would run the doctests here too.
            command.args(["test", "--no-fail-fast", "--lib", "--bins", "--tests"]);
            command
        }
    };
    let python = test_python(place);
    if python.exists() {
        command.env(TEST_PYTHON, python);
    }
    if let Some(axe) = test_axe(place) {
        command.env(TEST_AXE, axe);
    }
    // Stops when the tests are through.
    let postgres = Postgres::start(place, false)?;
    if let Some(postgres) = &postgres {
        command.env(TEST_POSTGRES, postgres.url());
    }
    let temporal = Temporal::start(place)?;
    if let Some(temporal) = &temporal {
        command.env(TEST_TEMPORAL, temporal.address());
        command.env(TEST_TEMPORAL_PROGRAM, temporal.program());
    }
    match count_tests(command.args(WHOLE))? {
        Outcome::Tested(TestCount {
            passed: 0,
            failed: 0,
            ..
        }) => bail!("no test ran"),
        outcome => Ok(outcome),
    }
}

fn doctests(place: &Place) -> Result<Outcome> {
    count_tests(
        place
            .cargo()
            .args(["test", "--doc", "--no-fail-fast"])
            .args(WHOLE),
    )
}

/// Runs a test runner, shows what it says and counts its tests.
fn count_tests(command: &mut Command) -> Result<Outcome> {
    if std::io::stderr().is_terminal() {
        // The runner sees only our pipe and would leave its colours out.
        command.env("CARGO_TERM_COLOR", "always");
    }
    let mut count = TestCount::default();
    let ended = run_lines(command, BUILD_LIMIT, |line| {
        talk(line);
        count.read_line(line);
    });
    match ended {
        Ok(()) => Ok(Outcome::Tested(count)),
        // The count of failures is the news; the exit code says nothing more.
        Err(_) if count.failed > 0 => Ok(Outcome::Tested(count)),
        Err(error) => Err(error),
    }
}

pub(super) fn program(place: &Place, name: &str) -> Result<Command> {
    match Tool::named(name).and_then(|tool| tool.program(place)) {
        Some(path) => Ok(place.command(path)),
        None => bail!("{name} is missing: `cargo xtask setup` installs it"),
    }
}
