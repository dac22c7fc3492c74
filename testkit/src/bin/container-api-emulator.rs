//! The program: a container API beside nothing, for whoever writes or tries a connector.

use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use car_core::exit::exit_code;
use car_core::secret::Redactor;
use car_testkit::{CallFault as Fault, Emulator, EmulatorOptions};
use clap::Parser;

/// Answers as the container API of a platform, with rows from files.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// Folder with input.jsonl or input.csv, or new, modified, unchanged and deleted; with before
    /// and --delta-key these are made of it and input
    #[arg(long, value_name = "FOLDER")]
    folder: PathBuf,

    /// Folder for output.jsonl, feedback.jsonl and stored files [default: the same]
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,

    /// Columns that tell the rows of before and input apart
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    delta_key: Vec<String>,

    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8099")]
    listen: SocketAddr,

    /// Take reads and writes that are repeated for one, and say so
    #[arg(long)]
    repeatable: bool,

    /// Let calls fail: {"call": "POST /output", "after": 2, "times": 1, "how": {"refuse": 500}}
    #[arg(long, value_name = "JSON", value_parser = fault)]
    fault: Vec<Fault>,
}

fn fault(text: &str) -> Result<Fault, serde_json::Error> {
    serde_json::from_str(text)
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut options = EmulatorOptions::new(arguments.folder);
    options.out = arguments.out;
    options.delta_key = arguments.delta_key;
    options.listen = arguments.listen;
    options.repeatable = arguments.repeatable;
    match Emulator::start(options).await {
        Ok(emulator) => {
            for fault in arguments.fault {
                emulator.fault(fault);
            }
            say(&format!(
                "listening on {0}; the log is at {0}/emulator\n",
                emulator.url()
            ));
            emulator.wait().await;
            ExitCode::SUCCESS
        }
        Err(failure) => {
            say(&car_core::cli::render(
                &failure,
                &Redactor::default(),
                false,
            ));
            ExitCode::from(exit_code(failure.kind()))
        }
    }
}

/// Says something on standard error; when even that fails there is nobody left to tell.
fn say(text: &str) {
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}
