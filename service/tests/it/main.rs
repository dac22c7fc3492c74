//! Tests of the service over real HTTP on the loopback.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a helper that cannot go on fails its test, a skipped test says so"
)]

mod database_url;
mod graph;
mod kills;
mod known;
mod limits;
mod migrate;
mod openapi;
mod oracle;
mod own_server;
mod pages;
mod peer;
mod process;
mod properties;
mod protocol;
mod queries;
mod query;
mod runs;
mod scopes;
mod support;
mod upgrade;
mod vanishing;
