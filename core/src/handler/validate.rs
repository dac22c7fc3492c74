//! Checks rows against the import schema that the service sends.

use serde_json::Value;
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
        let mut collections = QuickMap::default();
        for (name, collection) in properties {
            let Some(items) = collection.get("items") else {
                continue; // `source` and `report` are no lists
            };
            let check = match Rules::compile(items) {
                Some(rules) => Check::Rules(rules),
                None => Check::Schema(Box::new(jsonschema::validator_for(items).map_err(
                    |error| {
                        unusable()
                            .with("collection", name)
                            .because(error.to_string())
                    },
                )?)),
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
