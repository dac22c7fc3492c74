//! Sagas: the two modes, middleware, the log, services, the cache.

mod bad_input;
mod cache;
mod chain;
mod container;
mod first_match;
mod log;
mod providers;
mod support;
mod weaknesses;
