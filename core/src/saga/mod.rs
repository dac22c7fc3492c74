//! Work in several steps on systems that cannot roll back: steps, their compensation, and the
//! record that survives a crash.
//!
//! A [`Transaction`] is one step. A [`Saga`] has steps and one of two modes:
//!
//! | | [first match](Saga::first_match) | [chain](Saga::chain) |
//! |---|---|---|
//! | does | the first step that applies | all that apply, in order |
//! | a step fails | its compensation answers | it and those before it are undone in reverse |
//! | kept | nothing: a step leaves its trace in the request | each step, before and after |
//! | a crash | the next delivery chooses anew | the next delivery goes on, or undoes |
//!
//! Around deliveries, and around each step, stands [middleware]; steps may come from a
//! [container] with the services that they need.
//!
//! # The promise of a chain
//!
//! A chain ends with all of its steps done, or with none of them left, whatever fails and
//! whenever the process dies, as long as
//!
//! - a step that is done twice with the same [key](Context::key) is done once, and the same holds
//!   for its compensation; and
//! - a step that fails says by the [effect](crate::Failure::effect) whether it wrote.
//!
//! A compensation that fails again and again leaves the chain [stuck](Status::Stuck), for a
//! person to look at; so does nothing else.
//!
//! # Example
//!
//! ```
//! use std::sync::Arc;
//!
//! use car_core::saga::{Delivery, MemoryLog, NoMatch, Response, Saga, Status, Step};
//! use car_core::{Failure, FailureKind};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
//! let saga = Saga::<Vec<String>>::chain("order", NoMatch::Skip)
//!     .step(
//!         Step::new("reserve")
//!             .execute_now(|order: &mut Vec<String>, context| {
//!                 order.push(context.key());
//!                 Ok(Response::done())
//!             })
//!             .compensate_now(|order, _, _| {
//!                 order.clear();
//!                 Ok(Response::done())
//!             }),
//!     )
//!     .step(Step::new("pay").execute_now(|_, _| {
//!         Err(Failure::new(FailureKind::Source, "the card is not accepted"))
//!     }))
//!     .log(Arc::new(MemoryLog::new()))
//!     .build()?;
//!
//! let done = saga.deliver(Delivery::new("PR-1", Vec::new())).await?;
//! assert_eq!(done.response, Response::fail("the card is not accepted"));
//! assert_eq!(done.status(), Some(Status::Undone));
//! assert!(done.request.is_empty());
//! # Ok::<(), Failure>(())
//! # }).unwrap();
//! ```

mod attempt;
mod build;
pub mod cache;
mod chain;
pub mod container;
mod context;
mod deliver;
mod desk;
mod event;
mod first_match;
mod log;
pub mod middleware;
mod progress;
pub mod providers;
mod report;
mod response;
mod transaction;
mod view;

pub use build::{BuildError, Mode, NoMatch, Request, Saga, SagaBuilder, UndoPolicy};
pub use chain::abandon;
pub use context::{Context, Phase};
pub use deliver::{Delivered, Delivery};
pub use desk::{OpenSagas, OpeningSagas, Rounds, SagaDesk};
pub use event::{Entry, Event};
#[cfg(feature = "postgres")]
pub use log::PostgresLog;
pub use log::{
    CLAIM_TTL, Claim, Claimed, ClaimedBy, LogError, MemoryLog, SagaLog, SqliteLog, Summary, Then,
};
pub use progress::{Misfit, Progress, Status, StepState, StepStatus, Todo};
pub use report::{RecordReport, SagaReport, StepReport};
pub use response::{Response, SHORTEST_SLOW_WAIT, SHORTEST_WAIT, Wait};
pub use transaction::{BoxFuture, Compensation, Step, Transaction};
pub use view::{SagaView, list_text, show_text};
