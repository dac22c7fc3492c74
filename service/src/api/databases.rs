//! The tenant's database: whether it is there, making it, repairing it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use car_schema::wire::{Database, Databases, JobStarted};
use uuid::Uuid;

use super::App;
use crate::error::Result;
use crate::store::ops::{self, setup};

pub(crate) async fn show(State(state): App) -> Result<Json<Databases>> {
    let snapshot = state.ready().await?;
    let mut conn = state.store.read().await?;
    let tables = setup::tables(conn.as_mut()).await?;
    let (present, missing): (Vec<_>, Vec<_>) = snapshot
        .layout
        .tables()
        .iter()
        .partition(|table| tables.contains(&table.current()));
    let names = |tables: Vec<&crate::store::Table>| {
        tables
            .into_iter()
            .map(|table| table.name.clone())
            .collect::<Vec<_>>()
    };
    let missing = names(missing);
    Ok(Json(Databases {
        databases: vec![Database {
            name: "car".into(),
            graph_name: "assets".into(),
            is_ready: missing.is_empty(),
            missing_collections: missing,
            // Indexes are made in one transaction with their tables.
            collections_without_indexes: Vec::new(),
            collections: names(present),
        }],
    }))
}

pub(crate) async fn create(State(state): App) -> Result<Json<JobStarted>> {
    let job_id = ensure(&state).await?;
    Ok(Json(JobStarted { job_id }))
}

/// Whatever is to be repaired: what should be there is made where it is missing.
pub(crate) async fn repair(State(state): App) -> Result<Json<JobStarted>> {
    state.ready().await?;
    let job_id = ensure(&state).await?;
    Ok(Json(JobStarted { job_id }))
}

async fn ensure(state: &crate::state::AppState) -> Result<String> {
    let _changing = state.changing.lock().await;
    let snapshot = state.refresh().await?;
    let job = Uuid::now_v7().to_string();
    let operation = setup::CreateDatabase {
        layout: Arc::clone(&snapshot.layout),
        job: job.clone(),
    };
    state.store.write(operation).await?;
    state.refresh().await?;
    Ok(job)
}

/// Runs a write as a job: a failure becomes the job's state, not the answer's.
pub(crate) async fn as_job<O: ops::Operation>(
    state: &crate::state::AppState,
    kind: &'static str,
    make: impl FnOnce(String) -> O,
) -> Result<(Json<JobStarted>, Option<O::Output>)> {
    let job_id = Uuid::now_v7().to_string();
    let done = state.store.write(make(job_id.clone())).await;
    let output = match done {
        Ok(output) => Some(output),
        Err(error) if error.status().is_server_error() => return Err(error),
        Err(error) => {
            state
                .store
                .write(ops::FailJob {
                    id: job_id.clone(),
                    kind,
                    error: error.message().to_owned(),
                })
                .await?;
            None
        }
    };
    Ok((Json(JobStarted { job_id }), output))
}
