//! Tests of the reference server over real HTTP, real files and real processes.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop with the place and the value"
)]

mod access;
mod bad_input;
mod delta;
mod load;
mod page;
mod paging;
mod process;
mod replica;
mod routes;
mod support;
