//! The program.

use std::process::ExitCode;

use reference_connector::ReferenceConnector;

fn main() -> ExitCode {
    car_core::cli::main::<ReferenceConnector>()
}
