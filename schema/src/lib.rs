//! The model of connected assets and risks (CAR), in one place.
//!
//! Every collection of the graph, its fields, limits and keys are written down once, in
//! [`vertices`] and [`edges`]. From these tables come the typed rows that connectors emit, the
//! [import schema](import_schema) that a service sends to its clients, and the tables that the
//! service keeps. The crate does no I/O.
//!
//! - [`Model`] describes collections at run time: the core ones plus a tenant's [`Extension`]s.
//! - [`Row`] is what an author emits; [`GenericVertex`] and [`GenericEdge`] serve extensions.
//! - [`Envelope`] is what travels to `POST /imports`.
//! - [`wire`] holds the other documents of the protocol, [`WireError`] among them.

#[macro_use]
mod macros;

mod collection;
pub mod edges;
mod envelope;
mod extension;
mod generic;
mod import_schema;
mod model;
mod row;
mod row_end;
pub mod vertices;
pub mod wire;

pub use collection::{Collection, EdgeEnd, Field, FieldType, Identity, Kind, Limits};
pub use envelope::{Envelope, EnvelopeError, Report, Source};
pub use extension::{
    EdgeExtension, Extension, ExtensionError, ExtensionSchema, OneOf, PropertyExtension,
    PropertyType, PropertyValidation, RangeRule, RegexRule, VertexExtension,
};
pub use generic::{EndRef, GenericEdge, GenericVertex};
pub use import_schema::{import_schema, is_key};
pub use model::Model;
pub use row::{Row, RowKey};
pub use wire::WireError;

/// A JSON object, as rows carry in `properties`, `xref_properties` and custom fields.
pub type Object = serde_json::Map<String, serde_json::Value>;
