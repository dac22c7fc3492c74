//! Tasks: one suite for every engine, and what only the embedded one can do.

mod embedded;
pub(crate) mod manager;
mod processes;
mod suite;
pub(crate) mod support;
