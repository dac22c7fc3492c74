//! Whether the service answers, and whether what it needs does.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use car_schema::wire::{Features, Health};
use serde_json::{Value, json};

use super::App;
use crate::state::AppState;
use crate::store::ops::run::{self, LastRun};

/// What this service can do beyond the old protocol.
const FEATURES: Features = Features {
    scopes: true,
    content_hashes: true,
    compare: true,
    run_reports: true,
    edge_deletion: true,
    sweep_preview: true,
    keep_rows: true,
};

pub(crate) async fn health() -> Json<Health> {
    Json(Health {
        status: "ok".into(),
        version: env!("CARGO_PKG_VERSION").into(),
        features: FEATURES,
    })
}

/// Answers in the format of Prometheus.
pub(crate) async fn metrics(State(state): App) -> crate::Result<impl IntoResponse> {
    // What the process itself counts is worth telling while its store is away.
    let latest = last_runs(&state)
        .await
        .inspect_err(|error| {
            tracing::warn!(%error, "the latest runs are told as they were known before");
        })
        .ok();
    let text = state
        .meter
        .render(latest)
        .map_err(|error| crate::Error::internal("write its numbers", error))?;
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(CONTENT_TYPE, kind)], text))
}

async fn last_runs(state: &AppState) -> crate::Result<Vec<LastRun>> {
    run::ends(state.store.read().await?.as_mut()).await
}

/// Asks the store to read and to write, and says how that went.
pub(crate) async fn all(State(state): App) -> (StatusCode, Json<Value>) {
    let read = match state.store.read().await {
        Ok(mut conn) => conn.fetch("SELECT 1".into(), Vec::new()).await.map(|_| ()),
        Err(error) => Err(error),
    };
    let write = state.store.write(crate::store::ops::Touch).await;
    let tell = |result: &crate::Result<()>| match result {
        Ok(()) => json!({ "status": "ok" }),
        Err(error) => json!({ "status": "error", "error": error.message() }),
    };
    let good = read.is_ok() && write.is_ok();
    let body = json!({
        "status": if good { "ok" } else { "error" },
        "version": env!("CARGO_PKG_VERSION"),
        "checks": { "store_read": tell(&read), "store_write": tell(&write) },
    });
    let status = if good {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(body))
}
