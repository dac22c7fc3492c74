//! One binary for all integration tests of the framework crate.

mod secret;
