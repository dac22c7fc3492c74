//! Rules that the workspace keeps about itself, checked by this crate's tests.
//!
//! Each rule returns what breaks it, one sentence each, naming the file and what to do.

pub mod dependencies;
pub mod files;
pub mod layout;
pub mod links;
mod workspace;

pub use workspace::{Layer, Member, Need, Workspace, tracked_files};
