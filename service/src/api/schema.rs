//! Extensions of the model, and the schemas made from it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use car_schema::wire::{Extensions, ImportSchemaDocument};
use car_schema::{Extension, FieldType, Model};
use uuid::Uuid;

use super::App;
use super::extract::{JsonBody, Parameters, Segments};
use crate::error::{Error, Result};
use crate::extra;
use crate::graphql;
use crate::state::Snapshot;
use crate::store::ops::schema::ChangeExtension;

pub(crate) async fn all(State(state): App) -> Result<Json<Extensions>> {
    let snapshot = state.refresh().await?;
    Ok(Json(Extensions {
        schemas: snapshot.extensions.clone(),
    }))
}

pub(crate) async fn one(
    State(state): App,
    Segments(key): Segments<String>,
) -> Result<Json<Extension>> {
    let snapshot = state.refresh().await?;
    snapshot
        .extensions
        .iter()
        .find(|extension| extension.key == key)
        .cloned()
        .map(Json)
        .ok_or_else(|| unknown(&key))
}

fn unknown(key: &str) -> Error {
    Error::not_found(
        "unknown_extension",
        format!("there is no extension `{key}`"),
    )
}

pub(crate) async fn put(
    State(state): App,
    JsonBody(extension): JsonBody<Extension>,
) -> Result<(StatusCode, Json<Extension>)> {
    let (status, extension) = store_extension(&state, extension).await?;
    Ok((status, Json(extension)))
}

/// Stores an extension unless it is there in the same version; an older one is refused.
pub(crate) async fn store_extension(
    state: &crate::state::AppState,
    extension: Extension,
) -> Result<(StatusCode, Extension)> {
    let version = extension
        .version_number()
        .map_err(|error| invalid(&error))?;
    if Uuid::parse_str(&extension.key).is_err() {
        return Err(Error::bad_request(
            "invalid_extension",
            format!("key `{}` is not a UUID", extension.key),
        ));
    }
    extra::check(&extension.schema)?;
    let _changing = state.changing.lock().await;
    let snapshot = state.refresh().await?;
    let known = snapshot
        .extensions
        .iter()
        .find(|known| known.key == extension.key);
    if let Some(known) = known {
        let stored = known.version_number().map_err(|error| invalid(&error))?;
        if version == stored {
            return Ok((StatusCode::OK, known.clone()));
        }
        if version < stored {
            return Err(Error::new(
                StatusCode::CONFLICT,
                "older_version",
                format!(
                    "extension `{}` is stored in version {stored}; version {version} is older and was not taken",
                    extension.key
                ),
            ));
        }
    }
    let status = if known.is_some() {
        StatusCode::OK
    } else {
        StatusCode::CREATED
    };
    let mut extensions = snapshot.extensions.clone();
    extensions.retain(|known| known.key != extension.key);
    extensions.push(extension.clone());
    change(
        state,
        &snapshot,
        &extension.key,
        Some(extension.clone()),
        extensions,
    )
    .await?;
    tracing::info!(target: "audit", extension = extension.key, owner = extension.owner, version, "an extension was stored");
    Ok((status, extension))
}

pub(crate) async fn remove(
    State(state): App,
    Segments(key): Segments<String>,
) -> Result<StatusCode> {
    let _changing = state.changing.lock().await;
    let snapshot = state.refresh().await?;
    let mut extensions = snapshot.extensions.clone();
    extensions.retain(|known| known.key != key);
    if extensions.len() == snapshot.extensions.len() {
        return Err(unknown(&key));
    }
    change(&state, &snapshot, &key, None, extensions).await?;
    tracing::info!(target: "audit", extension = key, "an extension was taken away");
    Ok(StatusCode::NO_CONTENT)
}

/// Stores the change. Tables of what is no longer in the model stay, with their rows, so that
/// putting the extension back brings everything back.
async fn change(
    state: &crate::state::AppState,
    before: &Snapshot,
    key: &str,
    extension: Option<Extension>,
    extensions: Vec<Extension>,
) -> Result<()> {
    let after = Snapshot::new(before.version, before.created, extensions)?;
    check_types(&before.model, &after.model)?;
    if extension.is_some() {
        graphql::check(&after.layout)?;
    }
    state
        .store
        .write(ChangeExtension {
            model: before.version,
            layout: Arc::clone(&after.layout),
            key: key.to_owned(),
            extension,
        })
        .await?;
    state.refresh().await?;
    Ok(())
}

/// Refuses a property that changes its type: its column keeps the values of before.
fn check_types(before: &Model, after: &Model) -> Result<()> {
    for collection in after.collections() {
        let Some(known) = before.get(&collection.name) else {
            continue;
        };
        for field in &collection.fields {
            let class = |ty: FieldType| match ty {
                FieldType::Number => 0,
                FieldType::Integer => 1,
                FieldType::Boolean => 2,
                FieldType::Text => 3,
                FieldType::Object | FieldType::Texts | FieldType::Any => 4,
            };
            if known
                .field(&field.name)
                .is_some_and(|known| class(known.ty) != class(field.ty))
            {
                return Err(Error::new(
                    StatusCode::CONFLICT,
                    "type_changed",
                    format!(
                        "property `{}` of `{}` has another type already; give the new one another name",
                        field.name, collection.name
                    ),
                ));
            }
        }
    }
    Ok(())
}

fn invalid(error: &car_schema::ExtensionError) -> Error {
    Error::bad_request("invalid_extension", error.to_string())
}

pub(crate) async fn import_schema(
    State(state): App,
    parameters: Parameters,
) -> Result<Json<ImportSchemaDocument>> {
    let version = parameters.get("version").unwrap_or("v2");
    if !matches!(version, "v2" | "v3") {
        return Err(Error::bad_request(
            "unknown_version",
            format!("there is no import schema `{version}`; there are v2 and v3"),
        ));
    }
    let snapshot = state.refresh().await?;
    Ok(Json(ImportSchemaDocument {
        version: version.to_owned(),
        schema: car_schema::import_schema(&snapshot.model),
    }))
}

pub(crate) async fn extension_schema() -> Json<serde_json::Value> {
    Json(extension_document())
}

/// Returns the JSON schema of extensions.
pub(crate) fn extension_document() -> serde_json::Value {
    let types = [
        "text",
        "numeric",
        "boolean",
        "integer",
        "bigint",
        "jsonb",
        "timestamp",
        "inet",
        "macaddr",
        "float",
    ];
    let property = serde_json::json!({
        "type": "object",
        "required": ["type"],
        "additionalProperties": false,
        "properties": {
            "type": { "enum": types },
            "indexed": { "type": "boolean" },
            "required": { "type": "boolean" },
            "unique": { "type": "boolean" },
            "default": {},
            "description": { "type": "string" },
            "validation": {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "regex": {
                        "type": "object", "required": ["pattern"],
                        "properties": {
                            "pattern": { "type": "string" },
                            "error_message": { "type": "string" },
                        },
                    },
                    "range": {
                        "type": "object",
                        "properties": {
                            "minimum": { "type": "number" },
                            "maximum": { "type": "number" },
                            "error_message": { "type": "string" },
                        },
                    },
                },
            },
        },
    });
    let properties = serde_json::json!({ "type": "object", "additionalProperties": property });
    let validation = serde_json::json!({
        "type": "object",
        "properties": {
            "oneOf": {
                "type": "array",
                "items": { "type": "array", "items": { "type": "string" } },
            },
        },
    });
    serde_json::json!({
        "type": "object",
        "required": ["key", "owner", "version", "schema"],
        "properties": {
            "key": { "type": "string", "format": "uuid" },
            "owner": { "type": "string" },
            "version": { "type": "string", "pattern": "^[0-9]+$" },
            "schema": {
                "type": "object",
                "properties": {
                    "vertices": { "type": "array", "items": {
                        "type": "object", "required": ["name"],
                        "properties": {
                            "name": { "type": "string" },
                            "properties": properties,
                            "validation": validation,
                        },
                    } },
                    "edges": { "type": "array", "items": {
                        "type": "object", "required": ["end1", "end2"],
                        "properties": {
                            "end1": { "type": "string" },
                            "end2": { "type": "string" },
                            "properties": properties,
                            "validation": validation,
                        },
                    } },
                },
            },
        },
    })
}
