//! Sagas recorded on a Temporal server, one workflow each.
//!
//! The workflow is the record, and does nothing by itself: whoever has the claim does the steps.
//! It is told of claims and records by updates, one after the other, and answers when they are in
//! its history.

mod alive;
mod error;
mod log;
mod message;
mod record;
mod records;
mod start;
mod workflow;

pub use log::{LogOptions, TemporalLog};
