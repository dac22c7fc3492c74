//! Imports: checked, applied and on disk before the answer.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::http::StatusCode;
use axum::{Extension, Json};
use bytes::Bytes;
use car_schema::wire::{ImportFailure, ImportStarted, ImportStatus};
use uuid::Uuid;

use super::App;
use super::extract::{Body, Parameters, Segments};
use crate::auth::{Role, forbidden};
use crate::error::{Error, Result};
use crate::ingest::{Parsed, parse};
use crate::state::{AppState, Snapshot};
use crate::store::ops::import::Import;
use crate::store::ops::refused::{Refuse, list as list_refused};
use crate::store::ops::{DATABASE_NOT_CREATED, MODEL_CHANGED, json_texts};

/// Bodies from this size on are read on a thread of their own.
const LARGE: usize = 64 << 10;

pub(crate) async fn import(
    State(state): App,
    Extension(role): Extension<Role>,
    Body(body): Body,
) -> Result<Json<ImportStarted>> {
    let applied = again(&state, |snapshot| {
        apply(&state, &role, snapshot, body.clone())
    });
    match applied.await {
        Ok(id) => Ok(Json(ImportStarted {
            id,
            status: "COMPLETE".into(),
        })),
        Err(error) => {
            if error.status() == StatusCode::BAD_REQUEST && error.code() != DATABASE_NOT_CREATED {
                refuse(&state, &role, &body, &error).await;
            }
            Err(error)
        }
    }
}

/// Does a write by the model in force, and once more when the model changed meanwhile.
pub(super) async fn again<T, F: Future<Output = Result<T>>>(
    state: &AppState,
    write: impl Fn(Arc<Snapshot>) -> F,
) -> Result<T> {
    let snapshot = state.ready().await?;
    match write(snapshot).await {
        Err(error) if error.code() == MODEL_CHANGED => write(state.refresh().await?).await,
        other => other,
    }
}

/// Reads a body; a large one on a thread of its own.
pub(super) async fn apart<T: Send + 'static>(
    body: Bytes,
    read: impl FnOnce(&[u8]) -> Result<T> + Send + 'static,
) -> Result<T> {
    if body.len() < LARGE {
        return read(&body);
    }
    tokio::task::spawn_blocking(move || read(&body))
        .await
        .map_err(|error| Error::internal("read the import", error))?
}

/// Keeps the error of an import that was refused, for people who look after the connector.
async fn refuse(state: &AppState, role: &Role, body: &[u8], error: &Error) {
    #[derive(serde::Deserialize)]
    struct Header {
        source: Option<car_schema::Source>,
    }
    let source = serde_json::from_slice::<Header>(body)
        .ok()
        .and_then(|header| header.source)
        .map(|source| source.key)
        // Nobody shall fill the list of a source of others.
        .filter(|key| role.check_source(key).is_ok());
    let operation = Refuse {
        id: Uuid::now_v7().to_string(),
        source,
        code: error.code(),
        message: error.message().to_owned(),
    };
    if let Err(error) = state.store.write(operation).await {
        tracing::warn!(error = %crate::error::chain(&error), "the error of an import was not kept");
    }
}

async fn apply(
    state: &AppState,
    role: &Role,
    snapshot: Arc<Snapshot>,
    body: Bytes,
) -> Result<String> {
    let begun = Instant::now();
    let rules = Arc::clone(&snapshot);
    let Parsed {
        source,
        report,
        batches,
    } = apart(body, move |body| parse(body, &rules.rules)).await?;
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

/// Lists imports that were refused, newest first.
pub(crate) async fn refused(
    State(state): App,
    Extension(role): Extension<Role>,
    parameters: Parameters,
) -> Result<Json<serde_json::Value>> {
    if matches!(role, Role::Connector(_)) {
        return Err(forbidden("this key may not see the imports of others"));
    }
    let limit = parameters.number("limit", 100, 1_000)?;
    let mut conn = state.store.read().await?;
    let imports = list_refused(conn.as_mut(), limit).await?;
    Ok(Json(serde_json::json!({ "imports": imports })))
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
        "SELECT id, error FROM imports WHERE id IN {}",
        conn.dialect().texts(1)
    );
    let list = json_texts(ids.iter().map(String::as_str));
    let rows = conn.fetch(sql, vec![list]).await?;
    let error_imports = ids
        .into_iter()
        .filter_map(|id| {
            let (error, status_code) = match rows.iter().find(|row| row.str(0) == Some(&id)) {
                Some(row) => (row.str(1)?.to_owned(), 400),
                None => (format!("there is no import `{id}`"), 404),
            };
            Some(ImportFailure {
                id,
                error,
                status_code,
            })
        })
        .collect();
    Ok(Json(ImportStatus {
        error_imports,
        incomplete_imports: Vec::new(),
    }))
}
