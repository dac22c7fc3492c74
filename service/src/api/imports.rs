//! Imports: checked, applied and on disk before the answer.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::{Extension, Json};
use bytes::Bytes;
use car_schema::wire::{ImportFailure, ImportStarted, ImportStatus};
use uuid::Uuid;

use super::App;
use super::extract::{Body, Parameters, Segments};
use crate::auth::Role;
use crate::error::{Error, Result};
use crate::ingest::{Parsed, parse};
use crate::state::{AppState, Snapshot};
use crate::store::ops::import::Import;
use crate::store::ops::{MODEL_CHANGED, json_texts};

/// Bodies from this size on are read on a thread of their own.
const LARGE: usize = 64 << 10;

pub(crate) async fn import(
    State(state): App,
    Extension(role): Extension<Role>,
    Body(body): Body,
) -> Result<Json<ImportStarted>> {
    let snapshot = state.ready().await?;
    let id = match apply(&state, &role, snapshot, body.clone()).await {
        // The model changed between reading and writing: read again by the new one.
        Err(error) if error.code() == MODEL_CHANGED => {
            let snapshot = state.refresh().await?;
            apply(&state, &role, snapshot, body).await?
        }
        other => other?,
    };
    Ok(Json(ImportStarted {
        id,
        status: "COMPLETE".into(),
    }))
}

async fn apply(
    state: &AppState,
    role: &Role,
    snapshot: Arc<Snapshot>,
    body: Bytes,
) -> Result<String> {
    let begun = Instant::now();
    let parsed = if body.len() < LARGE {
        parse(&body, &snapshot.rules)?
    } else {
        let snapshot = Arc::clone(&snapshot);
        tokio::task::spawn_blocking(move || parse(&body, &snapshot.rules))
            .await
            .map_err(|error| Error::internal("read the import", error))??
    };
    let Parsed {
        source,
        report,
        batches,
    } = parsed;
    role.check_source(&source.key)?;
    let id = Uuid::now_v7().to_string();
    let key = source.key.clone();
    let applied = state
        .store
        .write(Import {
            layout: Arc::clone(&snapshot.layout),
            model: snapshot.version,
            id: id.clone(),
            source,
            report,
            batches,
        })
        .await?;
    state.meter.import(applied, begun.elapsed());
    tracing::info!(
        target: "audit",
        import = id,
        source = key,
        created = applied.created,
        changed = applied.changed,
        unchanged = applied.unchanged,
        "an import was applied"
    );
    Ok(id)
}

pub(crate) async fn one(
    State(state): App,
    Segments(id): Segments<String>,
) -> Result<Json<ImportStatus>> {
    status(&state, vec![id]).await
}

pub(crate) async fn many(State(state): App, parameters: Parameters) -> Result<Json<ImportStatus>> {
    let ids = parameters.list("ids");
    if ids.is_empty() {
        return Err(Error::bad_request(
            "missing_parameter",
            "name the imports with `ids=a,b`",
        ));
    }
    status(&state, ids).await
}

/// Imports that are not there are errors: a client must not take them as done.
async fn status(state: &AppState, ids: Vec<String>) -> Result<Json<ImportStatus>> {
    let mut conn = state.store.read().await?;
    let sql = format!(
        "SELECT id FROM imports WHERE id IN {}",
        conn.dialect().texts(1)
    );
    let list = json_texts(ids.iter().map(String::as_str));
    let rows = conn.fetch(sql, vec![list]).await?;
    let error_imports = ids
        .into_iter()
        .filter(|id| !rows.iter().any(|row| row.str(0) == Some(id)))
        .map(|id| ImportFailure {
            error: format!("there is no import `{id}`"),
            id,
            status_code: 404,
        })
        .collect();
    Ok(Json(ImportStatus {
        error_imports,
        incomplete_imports: Vec::new(),
    }))
}
