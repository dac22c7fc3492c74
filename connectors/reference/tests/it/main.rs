//! Tests of the reference connector: its real binary between a real source and a real service.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop with the place and the value"
)]

mod capability;
mod changes;
mod cli;
mod configurations;
mod conformance;
mod crash;
mod edit;
mod expected;
mod fake;
mod full;
mod gate;
mod limits;
mod odd;
mod pages;
mod peers;
mod plan;
mod rejects;
mod resume;
mod serve;
mod stop;
mod support;
