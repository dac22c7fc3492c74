//! The program.

use std::process::ExitCode;

use fulfillment_connector::FulfillmentConnector;

fn main() -> ExitCode {
    car_core::cli::main::<FulfillmentConnector>()
}
