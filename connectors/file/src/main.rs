//! The program.

use std::process::ExitCode;

use file_connector::FileConnector;

fn main() -> ExitCode {
    car_core::cli::main::<FileConnector>()
}
