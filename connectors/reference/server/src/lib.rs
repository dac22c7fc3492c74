#![doc = include_str!("../README.md")]

mod error;
mod http;
mod inventory;
pub mod model;
mod populate;
mod server;
mod store;

pub use self::error::Error;
pub use self::inventory::{Inventoried, inventory};
pub use self::populate::{Populated, populate};
pub use self::server::{Options, Server, router};
