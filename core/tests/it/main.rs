//! One binary for all integration tests of the framework crate.

// Helpers are tests too in the eyes of clippy, and may unwrap.
#![cfg(test)]

mod bad_input;
mod cli;
mod config;
#[cfg(feature = "exchange")]
mod exchange;
mod exit_codes;
mod handler;
mod limit;
mod plan;
mod promises;
mod requests;
mod retry;
#[cfg(feature = "saga")]
mod saga;
mod secret;
mod serve;
mod state;
mod support;
mod tasks;
mod validator;
