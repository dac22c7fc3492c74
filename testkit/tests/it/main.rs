//! Tests of the testkit, and tests that need both the engine and the service.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop with the place and the value"
)]

mod exchange;
mod http_proxy;
mod recording;
mod saga;
mod saga_subject;
mod simulation;
