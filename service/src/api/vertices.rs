//! Single vertices and edges: retiring, patching, the old look-ups.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use car_schema::Identity;
use serde_json::{Map, Value, json};

use super::App;
use super::extract::{JsonBody, Parameters, Segments};
use crate::auth::{Role, forbidden};
use crate::error::{Error, Result};
use crate::store::ops::patch::PatchRows;
use crate::store::ops::retire::RetireVertices;
use crate::store::ops::retire_edge::RetireEdge;
use crate::store::{self, Table};

fn unknown(collection: &str) -> Error {
    Error::not_found(
        "unknown_collection",
        format!("there is no collection `{collection}`"),
    )
}

/// Retires vertices: `external_ids=` or `keys=`, either for every collection; or one edge:
/// `from=` and `to=`.
///
/// A value that is an identity as it stands is taken whole; any other is a list with commas.
pub(crate) async fn retire(
    State(state): App,
    Extension(role): Extension<Role>,
    Segments((source, collection)): Segments<(String, String)>,
    parameters: Parameters,
) -> Result<Json<BTreeMap<String, u64>>> {
    role.check_source(&source)?;
    let snapshot = state.ready().await?;
    if let (Some(from), Some(to)) = (parameters.get("from"), parameters.get("to")) {
        let operation = RetireEdge {
            layout: Arc::clone(&snapshot.layout),
            model: snapshot.version,
            source,
            collection,
            from: from.to_owned(),
            to: to.to_owned(),
        };
        return state.store.write(operation).await.map(Json);
    }
    let values: Vec<String> = parameters
        .all_literal(Identity::ExternalId.delete_parameter())
        .chain(parameters.all_literal(Identity::Key.delete_parameter()))
        .map(str::to_owned)
        .collect();
    if values.is_empty() {
        return Err(Error::bad_request(
            "missing_parameter",
            "name the vertices with `external_ids=a,b` or `keys=a,b`, an edge with `from=a&to=b`",
        ));
    }
    let (key, vertices) = (source.clone(), collection.clone());
    let operation = RetireVertices {
        layout: Arc::clone(&snapshot.layout),
        model: snapshot.version,
        source,
        collection,
        values,
    };
    let counts = state.store.write(operation).await?;
    let count: u64 = counts.values().sum();
    state.meter.retired(count);
    tracing::info!(target: "audit", source = key, collection = vertices, count, "entities were retired");
    Ok(Json(counts))
}

/// Changes fields of a vertex (`external_id=`) or an edge (`source=&from=&to=`).
pub(crate) async fn patch(
    State(state): App,
    Extension(role): Extension<Role>,
    Segments(collection): Segments<String>,
    parameters: Parameters,
    JsonBody(body): JsonBody<Map<String, Value>>,
) -> Result<Json<Value>> {
    // Without a source the change is for those of all sources.
    match (&role, parameters.get("source")) {
        (Role::Admin, _) => {}
        (_, Some(source)) => role.check_source(source)?,
        (_, None) => return Err(forbidden("name your own source with `source=`")),
    }
    let snapshot = state.ready().await?;
    let table = snapshot
        .layout
        .get(&collection)
        .ok_or_else(|| unknown(&collection))?;
    let rules = snapshot
        .rules
        .get(&collection)
        .ok_or_else(|| unknown(&collection))?;
    let matching = matching(table, &parameters)?;
    let (mut set, mut properties) = (Vec::new(), Map::new());
    for (name, value) in body {
        if table.fields.iter().any(|field| field.name == name) {
            let stored = rules.check_json(&name, value).map_err(|reason| {
                Error::bad_request("invalid_field", format!("`{name}` {reason}"))
            })?;
            set.push((name, stored));
        } else if name.starts_with('_')
            || matches!(name.as_str(), "external_id" | "source" | "tag" | "untag")
        {
            return Err(Error::bad_request(
                "unknown_field",
                format!("`{name}` cannot be changed here"),
            ));
        } else {
            properties.insert(name, value);
        }
    }
    let operation = PatchRows {
        layout: Arc::clone(&snapshot.layout),
        model: snapshot.version,
        collection: collection.clone(),
        matching,
        source: parameters.get("source").map(str::to_owned),
        set,
        properties,
    };
    let changed = state.store.write(operation).await?;
    if changed == 0 {
        return Err(Error::not_found(
            "unknown_entity",
            format!("no `{collection}` matches the parameters"),
        ));
    }
    Ok(Json(json!({ "changed": changed })))
}

fn matching(table: &Table, parameters: &Parameters) -> Result<Vec<(&'static str, String)>> {
    let get = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| parameters.get(name))
            .map(str::to_owned)
            .ok_or_else(|| {
                Error::bad_request(
                    "missing_parameter",
                    format!("name the entity with `{}=`", names.first().unwrap_or(&"")),
                )
            })
    };
    let Some((from, to)) = &table.ends else {
        return Ok(vec![("_id", get(&["external_id", "key", "_key"])?)]);
    };
    let end = |value: String, collection: &str| {
        value
            .strip_prefix(&format!("{collection}/"))
            .map_or(value.clone(), str::to_owned)
    };
    Ok(vec![
        ("_from", end(get(&["from"])?, from)),
        ("_to", end(get(&["to"])?, to)),
    ])
}

/// The old look-up by attributes: `GET /v2/asset?name=a`.
pub(crate) async fn list(
    State(state): App,
    Segments(collection): Segments<String>,
    parameters: Parameters,
) -> Result<Json<Vec<Value>>> {
    let snapshot = state.ready().await?;
    let table = snapshot
        .layout
        .get(&collection)
        .ok_or_else(|| unknown(&collection))?;
    let mut conn = state.store.read().await?;
    store::lookup::by_attributes(conn.as_mut(), table, parameters.iter())
        .await
        .map(Json)
}

/// The old look-up of neighbours.
pub(crate) async fn graph(
    State(state): App,
    Segments((collection, id)): Segments<(String, String)>,
) -> Result<Json<Value>> {
    let snapshot = state.ready().await?;
    let table = snapshot
        .layout
        .get(&collection)
        .filter(|table| !table.is_edge())
        .ok_or_else(|| unknown(&collection))?;
    let mut conn = state.store.read().await?;
    store::lookup::neighbours(conn.as_mut(), &snapshot.layout, table, &id)
        .await
        .map(Json)
}
