//! The `cargo xtask` program.

fn main() -> std::process::ExitCode {
    xtask::main()
}
