//! States of jobs. Jobs are done before they are answered, so none is ever under way.

use axum::Json;
use axum::extract::State;
use car_schema::wire::{JobState, JobStatus};

use super::App;
use super::extract::{Parameters, Segments};
use crate::error::{Error, Result};
use crate::store::ops::json_texts;

pub(crate) async fn one(
    State(state): App,
    Segments(id): Segments<String>,
) -> Result<Json<JobStatus>> {
    let mut found = find(&state, std::slice::from_ref(&id)).await?;
    found
        .pop()
        .map(Json)
        .ok_or_else(|| Error::not_found("unknown_job", format!("there is no job `{id}`")))
}

/// Answers `{status, jobs}`: the state that holds for all, and each one's.
pub(crate) async fn many(
    State(state): App,
    parameters: Parameters,
) -> Result<Json<serde_json::Value>> {
    let ids = parameters.list("ids");
    if ids.is_empty() {
        return Err(Error::bad_request(
            "missing_parameter",
            "name the jobs with `ids=a,b`",
        ));
    }
    let found = find(&state, &ids).await?;
    if let Some(missing) = ids
        .iter()
        .find(|id| !found.iter().any(|job| job.id.as_ref() == Some(id)))
    {
        return Err(Error::not_found(
            "unknown_job",
            format!("there is no job `{missing}`"),
        ));
    }
    let failed = found.iter().find(|job| job.status == JobState::Error);
    let status = if failed.is_some() {
        JobState::Error
    } else {
        JobState::Complete
    };
    Ok(Json(serde_json::json!({
        "status": status,
        "error": failed.and_then(|job| job.error.clone()),
        "jobs": found,
    })))
}

async fn find(state: &crate::state::AppState, ids: &[String]) -> Result<Vec<JobStatus>> {
    let mut conn = state.store.read().await?;
    let sql = format!(
        "SELECT id, status, error FROM jobs WHERE id IN {}",
        conn.dialect().texts(1)
    );
    let list = json_texts(ids.iter().map(String::as_str));
    let rows = conn.fetch(sql, vec![list]).await?;
    Ok(rows
        .iter()
        .map(|row| JobStatus {
            id: row.str(0).map(str::to_owned),
            status: match row.str(1) {
                Some("COMPLETE") => JobState::Complete,
                Some("INPROGRESS") => JobState::InProgress,
                Some(_) | None => JobState::Error,
            },
            error: row.str(2).map(str::to_owned),
        })
        .collect())
}
