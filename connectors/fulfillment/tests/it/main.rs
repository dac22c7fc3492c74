//! Tests of the fulfilment connector: its real binary between a platform, a vendor and a CAR
//! service.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop with the place and the value"
)]

mod bad_input;
mod cli;
mod configurations;
mod conformance;
mod import;
mod lifecycle;
#[cfg(feature = "temporal")]
mod on_temporal;
mod postgres;
mod purchase;
mod serve;
mod support;
mod webhook;
