//! Tests of the model, its rows and its import schema.

// Helpers are tests too in the eyes of clippy, and may unwrap.
#![cfg(test)]

mod envelope;
mod extension;
mod import_schema;
mod rows;
