//! One binary for all integration tests of the framework crate.

// Helpers are tests too in the eyes of clippy, and may unwrap.
#![cfg(test)]

mod secret;
