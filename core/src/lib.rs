//! The connector framework: everything that connectors share.
//!
//! A connector implements [`connector::Connector`] and hands its type to [`cli::main`]; the
//! engine in [`engine`] does the rest: it chooses between a full and an incremental import, reads
//! pages, checks and sends rows, retires what is gone and keeps the save point.
//!
//! Data flows one way: source → client → map → [`handler`] → [`engine`] → CAR service
//! ([`car`], behind the [layers](layer)).

pub mod car;
pub mod cli;
pub mod config;
pub mod connector;
pub mod engine;
#[cfg(feature = "exchange")]
pub mod exchange;
pub mod exit;
pub mod failure;
#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;
pub mod handler;
pub mod http;
pub mod layer;
pub mod limit;
pub mod progress;
pub mod record;
pub mod report;
#[cfg(feature = "saga")]
pub mod saga;
pub mod secret;
#[cfg(feature = "serve")]
pub mod serve;
pub mod state;
#[cfg(feature = "tasks")]
pub mod tasks;
pub mod telemetry;

pub use failure::{Effect, Failure, FailureKind, Retry};

/// The samples of the pages for authors, compiled and run as tests.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../guide-build-connectors.md")]
    struct Guide;

    #[doc = include_str!("../../best-practices.md")]
    struct BestPractices;
}
