//! Tests of the file connector: its real binary between real files and a real service.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop with the place and the value"
)]

mod bad_input;
mod changes;
mod configurations;
mod conformance;
mod exchange;
mod formats;
mod odd_files;
#[cfg(feature = "temporal")]
mod on_temporal;
mod payments;
mod remote;
mod series;
mod support;
mod web;
