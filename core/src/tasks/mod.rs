//! Tasks: work that goes on after the process that began it.
//!
//! A connector that stays up has tasks: read this directory every ten seconds, take in this file
//! once. A task is named by a [descriptor](TaskDescriptor), written as [steps](Task::step) that
//! take the stored state and give the next one, and kept by an [engine](TaskEngine) that owns
//! looping, state, time and retries. Killed anywhere, it goes on from the last step whose outcome
//! was stored; a step whose outcome was not is done again, so what it does outside must bear
//! that.
//!
//! | The engine owns | The author says |
//! |---|---|
//! | when: [`Schedule`], and what scheduling a known task means: [`Restart`] | descriptor, schedule, policy: [`TaskSpec`] |
//! | attempts, waits, time limits: [`Policy`] | whether a failure may be tried again: [`Retry`](crate::failure::Retry) |
//! | state, children, history | one step: [`Task::step`] gives an [`Outcome`] |
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//! use std::time::Duration;
//!
//! use async_trait::async_trait;
//! use car_core::Failure;
//! use car_core::tasks::{
//!     Outcome, SqliteEngine, Step, Task, TaskDescriptor, TaskEngine, TaskSpec,
//! };
//!
//! /// Counts to three, one step each.
//! struct Count;
//!
//! #[async_trait]
//! impl Task for Count {
//!     async fn step(&self, step: Step) -> Result<Outcome, Failure> {
//!         let count: u32 = step.state::<u32>()? + 1;
//!         let outcome = if count < 3 { Outcome::again() } else { Outcome::done() };
//!         outcome.with_state(&count)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Failure> {
//! # let folder = tempfile::tempdir().map_err(|error| Failure::new(car_core::FailureKind::General, "no folder").because(error))?;
//! # let path = folder.path().join("tasks.db");
//! let engine = SqliteEngine::open(&path).await?;
//! let resolve = |_: &TaskDescriptor| Ok(Arc::new(Count) as Arc<dyn Task>);
//! engine.start("counter", 4, Arc::new(resolve)).await?;
//! let task = TaskSpec::of("count to three")?;
//! let done = engine.run("counter", task, Duration::from_secs(60)).await?;
//! let task = engine.task("counter", &done.id).await?;
//! assert_eq!(task.state, Some(3.into()));
//! engine.close().await?;
//! # Ok(())
//! # }
//! ```

mod connector;
mod descriptor;
mod engine;
mod error;
mod execute;
mod ingest;
mod manager;
mod policy;
mod schedule;
mod sqlite;
mod step;
mod store;
mod view;

pub use connector::{ConnectorContext, HIDDEN, Provider, TaskConnector};
pub use descriptor::{LARGEST_DESCRIPTOR, TaskDescriptor, TaskId};
pub use engine::{Counts, EngineKind, Health, ScheduleEffect, Scheduled, TaskEngine};
pub use error::TaskError;
pub use execute::{Attempted, attempt};
pub use ingest::{CarAccess, Ingester};
pub use manager::{ConnectorError, ConnectorView, Manager, ManagerOptions};
pub use policy::Policy;
pub use schedule::{CatchUp, Overlap, Recurring, Restart, SHORTEST_PERIOD, Schedule, When};
pub use sqlite::{ConnectorRow, Phase, SqliteEngine, SqliteOptions};
pub use step::{
    LARGEST_STATE, MOST_CHILDREN, Next, Outcome, Resolve, SpecParts, Step, Task, TaskSpec, Waited,
};
pub use store::ConnectorStore;
pub use view::{
    Activity, AttemptView, Listing, RunOutcome, RunView, Status, TaskHistory, TaskPage, TaskView,
};
