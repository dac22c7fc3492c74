//! The program `car-service`: see `car_service::cli`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// Queries and imports are made of many small pieces. The allocator of a static binary is slow at
/// these, and that of the system not quick.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    car_service::cli::main()
}
