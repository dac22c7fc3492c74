//! The program.

use std::process::ExitCode;

use aws_connector::AwsConnector;

fn main() -> ExitCode {
    car_core::cli::main::<AwsConnector>()
}
