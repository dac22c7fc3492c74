//! Rows exchanged with an emulated platform, over HTTP.

mod bad_input;
mod log;
mod modes;
mod sample;
mod support;
