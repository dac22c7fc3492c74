//! What extensions ask of their properties beyond the type: unique values and defaults.

use car_schema::{Extension, ExtensionSchema, Model, PropertyExtension, PropertyType};

use crate::error::{Error, Result};

/// Returns the properties that extensions add, with the names of collection and property. What
/// the core model has belongs to all connectors, and an extension cannot ask more of it.
pub(crate) fn added(
    extensions: &[Extension],
) -> impl Iterator<Item = (String, &str, &PropertyExtension)> {
    let core = Model::core();
    extensions
        .iter()
        .flat_map(|extension| properties(&extension.schema))
        .filter(move |(collection, name, _)| {
            core.get(collection)
                .is_none_or(|collection| collection.field(name).is_none())
        })
}

fn properties(
    schema: &ExtensionSchema,
) -> impl Iterator<Item = (String, &str, &PropertyExtension)> {
    let vertices = schema
        .vertices
        .iter()
        .map(|vertex| (vertex.name.clone(), &vertex.properties));
    let edges = schema
        .edges
        .iter()
        .map(|edge| (edge.name(), &edge.properties));
    vertices.chain(edges).flat_map(|(collection, properties)| {
        properties
            .iter()
            .map(move |(name, property)| (collection.clone(), name.as_str(), property))
    })
}

/// Refuses what the service cannot keep to.
///
/// # Errors
///
/// When a property is to be counted up: the number of a row would not be the same in every
/// store, and its sender could not tell it.
pub(crate) fn check(schema: &ExtensionSchema) -> Result<()> {
    match properties(schema).find(|(_, _, property)| property.ty == PropertyType::Bigserial) {
        None => Ok(()),
        Some((collection, name, _)) => Err(Error::bad_request(
            "invalid_extension",
            format!(
                "property `{name}` of `{collection}` has the type bigserial, and this service does not count rows; use bigint and send the number"
            ),
        )),
    }
}
