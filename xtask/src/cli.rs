//! The verbs of `cargo xtask`.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::Result;
use clap::builder::PossibleValuesParser;
use clap::{Parser, Subcommand};

use crate::checks::{Choice, STEPS};
use crate::place::Place;
use crate::say::talk;
use crate::{bench, charts, checks, demo, dist, new_connector, setup};

/// Project tasks.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run all checks, as CI does
    Test {
        /// Run this step only; may be given more than once
        #[arg(long, value_name = "STEP", value_delimiter = ',', value_parser = step_names())]
        only: Vec<String>,
        /// Stop at the first step that fails
        #[arg(long)]
        fail_fast: bool,
        /// List the steps
        #[arg(long)]
        list: bool,
    },
    /// Install what the checks need, into a cache folder of our own
    Setup {
        /// Only tell what is there and what is missing
        #[arg(long)]
        check: bool,
        /// Also what only `dist` needs: the means to build static programs
        #[arg(long)]
        all: bool,
    },
    /// Show the whole system on this machine, from source to graph
    Demo(demo::Options),
    /// Measure speed and memory
    Bench {
        /// Arguments of the measurements
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Start a connector of your own as a copy of the reference
    NewConnector {
        /// Name of the data source: lower-case letters, digits and `-`
        name: String,
    },
    /// Write anew what is recorded of the Helm charts: rendered examples, tables of values
    Snapshots,
    /// Build images and run them as the charts say: the step `images`, also for other programs
    Images(checks::Images),
    /// Build the programs as they are shipped into dist/, with checksums
    Dist,
}

fn step_names() -> PossibleValuesParser {
    PossibleValuesParser::new(STEPS.iter().map(|step| step.name))
}

/// Reads the arguments, does what they say and returns the exit code: 0, 1 when a task failed,
/// 2 for wrong arguments.
#[must_use]
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(arguments.verb) {
        Ok(code) => code,
        Err(error) => {
            talk(format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(verb: Verb) -> Result<ExitCode> {
    let place = Place::find()?;
    match verb {
        Verb::Test { list: true, .. } => checks::list(),
        Verb::Test {
            only,
            fail_fast,
            list: false,
        } => {
            checks::test(&place, STEPS, &Choice { only, fail_fast })?;
        }
        Verb::Setup { check, all } => setup::setup(&place, check, all)?,
        Verb::Demo(options) => return Ok(demo::demo(&place, &options)),
        Verb::Bench { arguments } => bench::bench(&place, &arguments)?,
        Verb::NewConnector { name } => new_connector::new_connector(&place, &name)?,
        Verb::Snapshots => charts::write_made(&place, checks::helm(&place, "helm-4")?)?,
        Verb::Images(chosen) => checks::images(&place, &chosen)?,
        Verb::Dist => dist::dist(&place)?,
    }
    Ok(ExitCode::SUCCESS)
}
