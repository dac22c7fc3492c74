//! `cargo xtask demo`: the whole system on this machine, from source to graph.

use std::process::ExitCode;

use crate::place::Place;
use crate::say::talk;

/// What to show.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Made assets to load besides this machine's inventory
    #[arg(long, default_value_t = 1000)]
    pub assets: u64,
    /// End after the last step instead of staying up
    #[arg(long)]
    pub exit: bool,
}

/// Runs the demo. Not built yet: says so and ends with 2.
#[must_use]
pub fn demo(_place: &Place, _options: &Options) -> ExitCode {
    talk("error: the demo is not built yet");
    ExitCode::from(2)
}
