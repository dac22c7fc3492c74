//! The client of the CAR service.
//!
//! [`CarCall`] is the one narrow thing that the layers decorate; [`CarClient`] puts the words of
//! the protocol on top of it.

mod address;
mod call;
mod client;
mod compare;
mod edges;
mod http;
mod source;
mod stats;
mod status;

pub use address::BaseAddress;
pub use call::{Answer, Call, CarCall, Method};
pub use client::{CarClient, DatabaseState, Options};
pub use edges::End;
pub use http::HttpCall;
pub use source::SourceState;
pub(crate) use source::lists;
pub use stats::CallStats;
