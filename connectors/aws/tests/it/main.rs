//! Tests of the connector as a user runs it: the real binary, an AWS that answers, a real service.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a helper that cannot go on fails its test, a skipped test says so"
)]

mod changes;
mod cli;
mod configurations;
mod conformance;
mod defects;
mod estate;
mod failures;
mod fake;
mod full;
mod moto;
mod policy;
mod speed;
mod support;
