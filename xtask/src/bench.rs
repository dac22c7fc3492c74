//! `cargo xtask bench`: the measurements of the `bench` crate, built as they must be.

use std::ffi::OsString;
use std::time::Duration;

use anyhow::Result;

use crate::place::{Place, environment};
use crate::postgres::Postgres;
use crate::process::run;
use crate::say::talk;

/// How long the measurements may take, with the build.
const LIMIT: Duration = Duration::from_secs(4 * 60 * 60);

/// The measurement that also looks at a PostgreSQL server, and what names the server to it.
const SERVICE: &str = "service";
const DATABASE: &str = "CAR_BENCH_DATABASE_URL";

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
    let wanted = arguments.iter().any(|argument| argument == SERVICE);
    let postgres = if wanted && environment(DATABASE).is_none() {
        let postgres = Postgres::start(place, true)?;
        if postgres.is_none() {
            talk("PostgreSQL is not installed: `cargo xtask setup` does that");
        }
        postgres
    } else {
        None
    };
    let mut command = place.cargo();
    if let Some(postgres) = &postgres {
        command.env(DATABASE, postgres.url());
    }
    command.args(["run", "--release", "--package", "car-bench", "--"]);
    run(command.args(arguments), LIMIT)
}
