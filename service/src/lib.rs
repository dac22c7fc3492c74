//! The CAR service: keeps the graph of connected assets and risks, answers imports and queries.
//!
//! It is a library first. [`Service::builder`] opens a data folder and gives an axum `Router`;
//! [`Server::start`] puts it on an address. The binary `car-service` adds a command line.
//!
//! How an import travels: `ingest` reads and checks the body against the model, the writer of
//! `store` applies many imports in one durable commit, and only then comes the answer. What
//! leaves the graph goes to history, so every query can also be asked for an earlier time.

mod admin;
mod api;
mod auth;
#[cfg(feature = "cli")]
pub mod cli;
mod error;
mod extra;
mod folder;
mod graphql;
mod ingest;
mod linger;
mod meter;
mod migrate;
mod pages;
mod retention;
mod server;
mod service;
mod state;
mod store;
mod time;
mod tls;
mod transfer;

pub use admin::{Admin, KeyInfo, Place};
pub use auth::Credentials;
pub use error::{Error, Result};
pub use folder::StartError;
pub use server::{Options, RunningServer, Server};
pub use service::{Service, ServiceBuilder};
pub use tls::TlsFiles;
