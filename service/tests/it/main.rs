//! Tests of the service over real HTTP on the loopback.

mod graph;
mod protocol;
mod query;
mod support;
