//! Checks rows against the import schema that the service sends.

use jsonschema::Registry;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use thiserror::Error;

use super::hash::QuickMap;
use super::rules::Rules;
use crate::failure::{Failure, FailureKind};

/// Fields that the framework adds to edges unless the row has them.
const ADDED: [&str; 4] = ["report", "source", "active", "timestamp"];

/// Checks rows, per collection.
#[derive(Debug)]
pub struct Validator {
    collections: QuickMap<String, Check>,
}

#[derive(Debug)]
enum Check {
    Rules(Rules),
    Schema(Box<jsonschema::Validator>),
}

/// Why a row is not what the model asks for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum RowError {
    /// The service has no such collection.
    #[error("the service does not know the collection")]
    UnknownCollection,
    /// A field is missing or has a value that it may not have.
    #[error("{0}")]
    Invalid(String),
}

/// What the check found out about a valid row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Valid {
    /// Which of [`ADDED`] the row has already.
    pub(super) has: [bool; 4],
}

impl Validator {
    /// Compiles an import schema.
    ///
    /// # Errors
    ///
    /// When the document is not an import schema.
    pub fn compile(schema: &Value) -> Result<Self, Failure> {
        let unusable = || {
            Failure::new(
                FailureKind::CarUnexpected,
                "the CAR service's import schema cannot be used",
            )
        };
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            return Err(unusable().because("it has no `properties`"));
        };
        let mut document: Option<Registry<'_>> = None;
        let mut collections = QuickMap::default();
        for (name, collection) in properties {
            let Some(items) = collection.get("items") else {
                continue; // `source` and `report` are no lists
            };
            let check = match Rules::compile(items) {
                Some(rules) => Check::Rules(rules),
                None => {
                    let wrong = |error: String| unusable().with("collection", name).because(error);
                    let document = match &document {
                        Some(document) => document,
                        None => document.insert(register(schema).map_err(wrong)?),
                    };
                    Check::Schema(Box::new(items_of(document, name).map_err(wrong)?))
                }
            };
            collections.insert(name.clone(), check);
        }
        Ok(Self { collections })
    }

    /// Checks a row.
    ///
    /// # Errors
    ///
    /// Says which field is wrong and why.
    pub fn check(&self, collection: &str, json: &[u8]) -> Result<(), RowError> {
        self.examine(collection, json).map(drop)
    }

    pub(super) fn examine(&self, collection: &str, json: &[u8]) -> Result<Valid, RowError> {
        match self.collections.get(collection) {
            None => Err(RowError::UnknownCollection),
            Some(Check::Rules(rules)) => {
                let present = rules.check(json).map_err(RowError::Invalid)?;
                Ok(Valid {
                    has: ADDED.map(|name| rules.has(present, name)),
                })
            }
            Some(Check::Schema(schema)) => {
                let row: Value = serde_json::from_slice(json)
                    .map_err(|error| RowError::Invalid(error.to_string()))?;
                if let Some(error) = schema.iter_errors(&row).next() {
                    let place = error.instance_path().to_string();
                    return Err(RowError::Invalid(
                        format!("{place} {error}").trim().to_owned(),
                    ));
                }
                Ok(Valid {
                    has: ADDED.map(|name| row.get(name).is_some()),
                })
            }
        }
    }
}

/// Name under which the whole import schema is known to its parts.
const DOCUMENT: &str = "urn:import-schema";

/// Makes the whole import schema known, so that its parts may refer to each other.
fn register(schema: &Value) -> Result<Registry<'static>, String> {
    let mut document = schema.clone();
    if let Some(document) = document.as_object_mut() {
        // The name that the service gives it would take precedence over ours.
        document.remove("$id");
    }
    Registry::new()
        .add(DOCUMENT, document)
        .and_then(jsonschema::RegistryBuilder::prepare)
        .map_err(|error| error.to_string())
}

/// Compiles the part of the import schema that describes a collection's rows.
fn items_of(document: &Registry<'_>, collection: &str) -> Result<jsonschema::Validator, String> {
    let escaped = collection.replace('~', "~0").replace('/', "~1");
    let segment = utf8_percent_encode(&escaped, NON_ALPHANUMERIC);
    let part = json!({ "$ref": format!("{DOCUMENT}#/properties/{segment}/items") });
    jsonschema::options()
        .with_registry(document)
        .build(&part)
        .map_err(|error| error.to_string())
}
