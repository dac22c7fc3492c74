//! Measures what an import costs, what its checkpoints cost (`checkpoints`), and what the service
//! costs (`service`).
//!
//! A source that answers from memory, a sink that discards, and the connector between them, each
//! a process of its own, so that the connector's CPU time and memory are its own. Times on a
//! shared machine vary; CPU seconds vary less, and everything that is compared is measured in one
//! run.

mod checkpoints;
mod measure;
mod run;
mod service;
mod sink;
mod source;

use std::path::PathBuf;

use anyhow::Context;
use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Measures the import: objects per CPU-second, memory, growth")]
struct Cli {
    #[command(subcommand)]
    part: Option<Part>,

    /// Numbers of assets to import, one measurement each.
    #[arg(long, value_delimiter = ',', default_value = "1000,20000,100000")]
    assets: Vec<u64>,

    /// Runs of each measurement; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=50))]
    runs: u32,

    /// Also import into the embedded service.
    #[arg(long)]
    service: bool,

    /// Folder with the programs to measure; this program's own by default.
    #[arg(long)]
    binaries: Option<PathBuf>,

    /// Further arguments of the connector, such as `--concurrency=1`.
    #[arg(last = true)]
    arguments: Vec<String>,
}

#[derive(Subcommand)]
enum Part {
    /// Measures the service: ingestion beside its bare database, queries, pages, start, memory.
    Service(service::Plan),
    /// Measures what checkpoints cost: imports with a state and without, in turns.
    Checkpoints(checkpoints::Plan),
    /// Serves a made inventory from memory.
    #[command(hide = true)]
    Source {
        /// How many assets.
        assets: u64,
    },
    /// Answers as a CAR service does and forgets everything.
    #[command(hide = true)]
    Sink,
}

fn own_folder() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe()?;
    Ok(own
        .parent()
        .context("this program has no folder")?
        .to_owned())
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    match cli.part {
        Some(Part::Source { assets }) => source::serve(assets),
        Some(Part::Sink) => sink::serve(),
        Some(Part::Checkpoints(plan)) => checkpoints::all(&plan, own_folder()?),
        Some(Part::Service(plan)) => service::all(&plan, own_folder()?),
        None => run::all(&run::Plan {
            assets: cli.assets,
            runs: cli.runs,
            service: cli.service,
            binaries: match cli.binaries {
                Some(folder) => folder,
                None => own_folder()?,
            },
            arguments: cli.arguments,
        }),
    }
}
