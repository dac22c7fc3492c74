//! Reports of runs: handed in by connectors, read by people.

use axum::extract::State;
use axum::{Extension, Json};
use car_schema::is_key;
use serde::Deserialize;
use serde::Serialize;
use serde_json::value::RawValue;

use super::App;
use super::extract::{Body, Parameters, Segments};
use crate::auth::Role;
use crate::error::{Error, Result};
use crate::store::ops::run::{self, KeepRun, Run};

/// Largest report, in bytes.
const LARGEST: usize = 1 << 20;

/// What every report has; the rest is kept as it is.
#[derive(Deserialize)]
struct Head {
    report: String,
    outcome: String,
    exit_code: u8,
    started_at: i64,
    #[serde(default)]
    source: Option<String>,
}

pub(crate) async fn keep(
    State(state): App,
    Extension(role): Extension<Role>,
    Segments(source): Segments<String>,
    Body(body): Body,
) -> Result<Json<serde_json::Value>> {
    role.check_source(&source)?;
    if !is_key(&source) {
        return Err(Error::bad_request(
            "invalid_source",
            super::sources::KEY_RULE,
        ));
    }
    if body.len() > LARGEST {
        return Err(Error::new(
            axum::http::StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            format!("the report of a run has at most {LARGEST} bytes"),
        ));
    }
    let invalid = |reason: String| Error::bad_request("invalid_report", reason);
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(invalid("the body is not an object".into()));
    }
    let head: Head = serde_json::from_slice(&body)
        .map_err(|error| invalid(format!("the body is not the report of a run: {error}")))?;
    if !is_key(&head.report) {
        return Err(invalid(
            "`report` must be the key of a report: 1 to 254 letters, digits and some marks".into(),
        ));
    }
    if head.outcome.is_empty() || head.outcome.len() > 100 || head.outcome.contains('\0') {
        return Err(invalid("`outcome` must have 1 to 100 bytes".into()));
    }
    if head.source.is_some_and(|of| of != source) {
        return Err(invalid("`source` is not the one in the address".into()));
    }
    let document = String::from_utf8(body.into())
        .map_err(|_| invalid("the body is not valid UTF-8".into()))?;
    let report = head.report.clone();
    let operation = KeepRun {
        source,
        run: Run {
            report: head.report,
            started: head.started_at,
            outcome: head.outcome,
            exit_code: head.exit_code.into(),
            document,
        },
    };
    state.store.write(operation).await?;
    Ok(Json(serde_json::json!({ "report": report })))
}

/// Reports, newest first.
#[derive(Serialize)]
pub(crate) struct Runs {
    runs: Vec<Box<RawValue>>,
}

pub(crate) async fn list(
    State(state): App,
    Extension(role): Extension<Role>,
    Segments(source): Segments<String>,
    parameters: Parameters,
) -> Result<Json<Runs>> {
    if matches!(role, Role::Connector(_)) {
        role.check_source(&source)?;
    }
    let limit = parameters.number("limit", 20, run::KEPT)?;
    let mut conn = state.store.read().await?;
    let runs = run::latest(conn.as_mut(), &source, limit)
        .await?
        .into_iter()
        .map(Run::into_json)
        .collect::<Result<_>>()?;
    Ok(Json(Runs { runs }))
}
