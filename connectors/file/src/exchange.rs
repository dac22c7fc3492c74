//! Rows in and out: a directory as data source, columns changed, rows to a directory or an
//! address, changes likewise.
//!
//! These modes carry rows as they are; what they mean in a graph is for imports.

mod endpoint;
mod export;
mod export_delta;
mod source;
mod template;
mod transform;

use car_core::exchange::Modes;

/// Returns the modes of the connector.
pub(crate) fn modes() -> Modes {
    Modes::none()
        .data_source(source::open)
        .data_service(transform::open)
        .export(export::open)
        .export_delta(export_delta::open)
}
