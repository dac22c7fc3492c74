//! Tests of the model, its rows and its import schema.

mod envelope;
mod extension;
mod import_schema;
mod rows;
