//! Rows in files, and what changed between two of them.

mod delta;
mod files;
