//! Tasks on a Temporal server: the suite of all engines, and what only this one can meet.

// Helpers are tests too in the eyes of clippy, and may unwrap.
#![cfg(test)]

mod on_temporal;
mod own;
#[cfg(feature = "saga")]
mod saga;
mod server;
mod support;

/// The suite that the framework has for its engines.
#[path = "../../../core/tests/it/tasks"]
mod tasks {
    #[expect(
        dead_code,
        unused_imports,
        unused_macros,
        reason = "tests of engines that go by the clock of their machine"
    )]
    pub(crate) mod suite;
    #[expect(dead_code, reason = "what only the embedded engine's tests use")]
    pub(crate) mod support;
}
