//! `cargo xtask bench`: the measurements of the `bench` crate, built as they must be.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::Result;

use crate::place::Place;
use crate::process::run;

/// How long the measurements may take, with the build.
const LIMIT: Duration = Duration::from_secs(4 * 60 * 60);

/// What is measured, and what measures it.
const PROGRAMS: [&str; 3] = ["reference-connector", "car-service", "car-bench"];

/// Builds the measurements for speed and runs them with the given arguments.
///
/// # Errors
///
/// When the build or a measurement fails.
pub fn bench(place: &Place, arguments: &[OsString]) -> Result<()> {
    let mut build = place.cargo();
    build.args(["build", "--release"]);
    build.args(PROGRAMS.iter().flat_map(|program| ["--package", program]));
    run(&mut build, LIMIT)?;
    let mut command = place.cargo();
    command.args(["run", "--release", "--package", "car-bench", "--"]);
    run(command.args(arguments), LIMIT)
}
