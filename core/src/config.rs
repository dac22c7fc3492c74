//! Settings: where values come from, and what is said when one is wrong.
//!
//! A value is taken from the first place that has one: flag, environment variable, secret file,
//! YAML file, default. All five go through the same parser, so that a value means the same
//! wherever it stands, and every error names the setting and the place.
//!
//! [`Catalog`] is made from the settings structs; [`Catalog::read`] reads the command line,
//! [`Catalog::load`] the rest.

mod argv;
mod catalog;
mod common;
mod credentials;
mod document;
mod environment;
mod load;
mod origin;
mod page;
mod refusal;
mod units;
mod yaml;

pub use catalog::{Catalog, Kind, Setting};
pub use common::{Common, LogFormat};
pub use credentials::CarCredentials;
pub use document::schema;
pub use environment::Environment;
#[cfg(feature = "fuzzing")]
pub(crate) use load::from_yaml;
pub use load::{CommandLine, Loaded, Refused};
pub use origin::Origin;
pub use page::page;
pub use units::{ByteSize, Limit, Share, Span, UnitError};
