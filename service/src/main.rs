//! The program `car-service`: see `car_service::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    car_service::cli::main()
}
