//! Project tasks behind `cargo xtask`: one list of checks that people and CI share, the tools
//! they need, and the rules that the workspace keeps about itself.
//!
//! A library with a thin binary, so that the rules run as ordinary tests.

pub mod bench;
pub mod charts;
pub mod checks;
mod cli;
pub mod demo;
pub mod dist;
pub mod docs;
pub mod images;
pub mod new_connector;
pub mod place;
mod postgres;
pub mod process;
mod queries;
pub mod rules;
pub mod say;
pub mod setup;
mod temporal;
pub mod tools;

pub use cli::main;
