//! Tasks and sagas on a Temporal server: for connectors on more than one machine.
//!
//! [`TemporalEngine`] is a [`TaskEngine`](car_core::tasks::TaskEngine) that keeps nothing itself.
//! The server keeps tasks, time and retries; each process with the engine can do any step of the
//! connectors that it has started.
//!
//! | Ours | Temporal's |
//! |---|---|
//! | a task | a workflow that stays open, `PREFIX/CONNECTOR/TASK` by name |
//! | scheduling a new task | starting the workflow; a second one of its name is refused |
//! | scheduling a known one, retry, pause, resume, stop | an update of the workflow |
//! | a step | an activity on the queue of its connector, with heartbeats; tried once, since how often is for the task's policy to say |
//! | waits, periods, cron expressions, jitter, missed runs | timers of the workflow |
//! | children | workflows of their own, started by an activity once the outcome is stored |
//! | waiting for a child | a signal from it |
//! | a long past | continue-as-new |
//! | task and history | queries; lists by visibility, then a query each |
//!
//! # What differs from the embedded engine
//!
//! - The clock is the server's. No clock of a worker is read, so none can jump.
//! - A limit counts per process.
//! - [`tasks`](car_core::tasks::TaskEngine::tasks) may lag behind by the moments that the
//!   server's visibility does. The latest made come first; a task whose history was begun anew
//!   counts as made then.
//! - An outcome takes at most 1.9 MB, children included: the server takes no more in one piece.
//! - Children are there shortly after the state is, not in the same moment. Once the outcome is
//!   stored they come, whatever happens meanwhile.
//! - Failed attempts: 50 are kept of a task, their texts cut at 500 characters.
//! - A process that is stopped for longer than the heartbeat, and then goes on, may be at a step
//!   that another one is at too, until its next heartbeat.
//! - What the server has just given to a process that ends goes on after the heartbeat, or at once
//!   where the server has `frontend.enableCancelWorkerPollsOnShutdown`.
//! - Descriptors, states and errors are readable for whoever may read the server's namespace.
//!   Settings of connectors are not among them: they stay in the store of the process.
#![cfg_attr(
    feature = "saga",
    doc = "
# Sagas

[`TemporalLog`] is a [`SagaLog`](car_core::saga::SagaLog) whose sagas are workflows, one each."
)]

mod address;
mod called;
mod children;
mod engine;
mod list;
mod machine;
mod message;
#[cfg(feature = "saga")]
mod saga;
mod server;
mod shared;
mod start;
mod steps;
mod timer;
mod worker;
#[expect(
    missing_docs,
    reason = "the macros of the SDK make constants of methods"
)]
mod workflow;

pub use address::Address;
pub use engine::{Temporal, TemporalEngine, TemporalOptions};
#[doc(hidden)]
pub use message::{Ahead, Input};
#[cfg(feature = "saga")]
pub use saga::{LogOptions, TemporalLog};
#[doc(hidden)]
pub use workflow::TaskWorkflow;
