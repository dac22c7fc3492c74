//! What tests of connectors share: the real peers in process, the connector's real binary, and a
//! network that fails on demand.
//!
//! - [`Service`] is a CAR service on a loopback port; [`Service::graph`] reads everything that a
//!   source has in it back as a [`Graph`], a value that can be compared.
//! - [`ReferenceSource`] is a reference server on a loopback port, with calls to change it.
//! - [`Program`] runs a connector's binary as a user would, and [`Ended`] is what came of it:
//!   exit code, both streams, run report. [`Running`] can be killed or stopped in between.
//! - [`Proxy`] stands between two peers and holds, cuts, slows or drops their connections at an
//!   exact byte or request, so that a test of a crash needs no sleep.
//! - [`HttpProxy`] understands requests: the n-th one, or those that a test names, are refused,
//!   cut short, delayed, doubled, reordered, or answered with what a test wants.
//! - [`Recording`] keeps what passed through an [`HttpProxy`] in a readable file without secrets,
//!   and [`Replay`] is a server that answers from it.
//! - [`saga::SagaDriver`] makes everything go wrong around a saga, and looks at what is left.
//! - [`Emulator`] is the container API of a platform, with rows from files; the program
//!   `container-api-emulator` is the same.
//! - [`conformance!`] stamps one suite of tests for every connector.
//! - [`python`] finds the interpreter with what stands in for services of others.
//! - [`Chromium`] opens pages, uses them by keyboard, and tells what axe finds wrong with them.
//! - [`ServiceProcess`] is the service as a process of its own, for tests that kill it.
//! - [`Serving`] is a connector that stays up, with calls to install, wait for and look at tasks.
//! - [`assert_connection_page`] compares the files of the connection page with the settings.
//!
//! Everything here panics when it cannot go on: it is for tests, as a dev-dependency. Every wait
//! has a limit, and says what it waited for.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop with the place and the value"
)]

mod binary;
mod browser;
pub mod conformance;
mod connection_page;
mod emulator;
mod folder;
mod graph;
mod http_proxy;
mod program;
mod proxy;
mod python;
mod query;
mod record;
pub mod saga;
mod service;
mod service_process;
mod serving;
mod setting;
mod source;
mod wait;

pub use binary::binary;
pub use browser::{Chromium, Form};
pub use connection_page::assert_connection_page;
pub use emulator::{Emulator, EmulatorOptions, Fault as CallFault, How, LogEntry};
pub use folder::TestFolder;
pub use graph::{Fields, Graph};
pub use http_proxy::{At, Deed, HttpProxy};
pub use program::{Ended, Program, Running, Signal};
pub use proxy::{Fault, Proxy};
pub use python::python;
pub use record::{Recording, Replay};
pub use service::{Credentials, Service};
pub use service_process::ServiceProcess;
pub use serving::Serving;
pub use setting::{cases, postgres_server, seed, sim_seed, sim_seeds, temporal_server};
pub use source::ReferenceSource;
pub use wait::within;
