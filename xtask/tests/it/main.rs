//! The rules that the workspace keeps about itself, and that the rules and checks themselves
//! notice what they are there for.

// Helpers are tests too in the eyes of clippy, and may unwrap.
#![cfg(test)]

mod checks;
mod cli;
mod configurations;
mod deployment;
mod docs;
mod new_connector;
mod process;
mod rules;
mod workspace;
