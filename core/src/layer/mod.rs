//! Layers around the narrow call trait: each adds one thing to every call.

mod count;
mod retry;
pub mod stack;
mod timeout;

pub(crate) use retry::or_cancelled;
pub use retry::{Backoff, Wait};
