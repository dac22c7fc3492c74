//! Sources, their save points and their full-import sessions.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use car_schema::is_key;
use car_schema::wire::{JobStarted, SessionPatch, SweepPreview};
use serde_json::{Map, Value};

use super::App;
use super::databases::as_job;
use super::extract::{JsonBody, Parameters, Segments};
use crate::auth::Role;
use crate::error::{Error, Result};
use crate::state::AppState;
use crate::store::ops::keep::Keep;
use crate::store::ops::session::{CloseSession, OpenSession, preview};
use crate::store::ops::source::{PatchSource, document};

/// What the name of a source must be like.
pub(super) const KEY_RULE: &str = "the name of a source has 1 to 254 characters: letters, digits and _ : @ = ; ! ' % - . ( ) + , $ *";

pub(crate) async fn show(
    State(state): App,
    Segments(source): Segments<String>,
) -> Result<Json<Value>> {
    let mut conn = state.store.read().await?;
    document(conn.as_mut(), &source).await.map(Json)
}

pub(crate) async fn show_by_key(State(state): App, parameters: Parameters) -> Result<Json<Value>> {
    show(State(state), Segments(key(&parameters)?)).await
}

pub(crate) async fn patch(
    State(state): App,
    Extension(role): Extension<Role>,
    Segments(source): Segments<String>,
    JsonBody(body): JsonBody<Map<String, Value>>,
) -> Result<Json<Value>> {
    role.check_source(&source)?;
    change(&state, source, body).await
}

pub(crate) async fn patch_by_key(
    State(state): App,
    Extension(role): Extension<Role>,
    parameters: Parameters,
    JsonBody(body): JsonBody<Map<String, Value>>,
) -> Result<Json<Value>> {
    let source = key(&parameters)?;
    role.check_source(&source)?;
    change(&state, source, body).await
}

fn key(parameters: &Parameters) -> Result<String> {
    parameters
        .get("key")
        .map(str::to_owned)
        .ok_or_else(|| Error::bad_request("missing_parameter", "name the source with `key=`"))
}

async fn change(state: &AppState, key: String, body: Map<String, Value>) -> Result<Json<Value>> {
    let mut set = Vec::new();
    for (name, value) in body {
        let column = match name.as_str() {
            "model_state_id" => "model_state_id",
            "name" => "name",
            "description" => "description",
            "product_link" => "product_link",
            _ => {
                return Err(Error::bad_request(
                    "unknown_field",
                    format!(
                        "`{name}` of a source cannot be changed; model_state_id, name, description and product_link can"
                    ),
                ));
            }
        };
        let value = match value {
            // The protocol clears a save point with an empty text.
            Value::String(text) if text.is_empty() => None,
            Value::String(text) if text.contains('\0') => {
                return Err(Error::bad_request(
                    "invalid_field",
                    format!("`{name}` contains a zero character"),
                ));
            }
            Value::String(text) => Some(text),
            Value::Null => None,
            _ => {
                return Err(Error::bad_request(
                    "invalid_field",
                    format!("`{name}` must be text"),
                ));
            }
        };
        set.push((column, value));
    }
    let operation = PatchSource {
        key: key.clone(),
        set,
    };
    state.store.write(operation).await?;
    let mut conn = state.store.read().await?;
    document(conn.as_mut(), &key).await.map(Json)
}

pub(crate) async fn session(
    State(state): App,
    Segments(source): Segments<String>,
) -> Result<Json<SweepPreview>> {
    let snapshot = state.ready().await?;
    let mut conn = state.store.read().await?;
    preview(conn.as_mut(), &snapshot.layout, &source)
        .await
        .map(Json)
}

/// Opens a session. One that is open begins anew, unless `resume=true` asks to go on with it.
pub(crate) async fn open(
    State(state): App,
    Extension(role): Extension<Role>,
    Segments(source): Segments<String>,
    parameters: Parameters,
) -> Result<Json<JobStarted>> {
    role.check_source(&source)?;
    let snapshot = state.ready().await?;
    if !is_key(&source) {
        return Err(Error::bad_request("invalid_source", KEY_RULE));
    }
    let resume = parameters.get("resume") == Some("true");
    as_job(&state, "open_session", |job| OpenSession {
        model: snapshot.version,
        source,
        resume,
        job,
    })
    .await
    .map(|(started, _)| started)
}

pub(crate) async fn close(
    State(state): App,
    Extension(role): Extension<Role>,
    Segments(source): Segments<String>,
) -> Result<Json<JobStarted>> {
    role.check_source(&source)?;
    let snapshot = state.ready().await?;
    let (started, retired) = as_job(&state, "close_session", |job| CloseSession {
        layout: Arc::clone(&snapshot.layout),
        model: snapshot.version,
        source: source.clone(),
        job,
    })
    .await?;
    let count: u64 = retired.iter().flat_map(|counts| counts.values()).sum();
    state.meter.retired(count);
    tracing::info!(target: "audit", source, count, "a full-import session was closed");
    Ok(started)
}

/// Keeps rows out of the sweep: the source has them, though they could not be reported.
pub(crate) async fn keep(
    State(state): App,
    Extension(role): Extension<Role>,
    Segments(source): Segments<String>,
    JsonBody(rows): JsonBody<SessionPatch>,
) -> Result<Json<BTreeMap<String, u64>>> {
    role.check_source(&source)?;
    let snapshot = state.ready().await?;
    let operation = Keep {
        layout: Arc::clone(&snapshot.layout),
        model: snapshot.version,
        source,
        rows,
    };
    state.store.write(operation).await.map(Json)
}
