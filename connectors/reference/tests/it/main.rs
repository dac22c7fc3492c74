//! Tests of the reference connector: its real binary between a real source and a real service.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop with the place and the value"
)]

mod changes;
mod crash;
mod edit;
mod expected;
mod full;
mod stop;
mod support;
