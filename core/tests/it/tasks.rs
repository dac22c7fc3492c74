//! Tasks: one suite for every engine, and what only the embedded one can do.

mod embedded;
mod manager;
mod processes;
mod suite;
mod support;
