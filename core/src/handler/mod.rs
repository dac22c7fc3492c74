//! The data handler: takes what was fetched, gives out what is to be sent.
//!
//! Vertices are checked, told apart and put into batches as they come. Edges are checked and put
//! aside until every vertex is acknowledged, because the service wants both ends first. The
//! handler does no network I/O; the only files it touches are the spill and the quarantine.

mod awaited;
mod batch;
mod data_handler;
mod deduplicate;
mod edges;
mod hash;
mod kept;
mod notes;
mod outgoing;
mod quarantine;
mod rejected;
mod rules;
mod spill;
mod validate;

pub use awaited::Awaited;
pub use batch::{Batch, Header};
pub use data_handler::{DataHandler, Options};
pub use notes::Notes;
pub use quarantine::Quarantine;
pub use rejected::{RejectedRow, RejectedRows};
pub use validate::{RowError, Validator};
