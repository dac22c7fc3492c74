//! How long history is kept.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use serde_json::{Value, json};

use super::App;
use super::extract::JsonBody;
use crate::error::{Error, Result};
use crate::store::ops::retention::{SetPolicy, policy};

/// A policy as it is sent.
#[derive(Debug, Deserialize)]
pub(crate) struct PolicyBody {
    policy_name: String,
    policy_value: Value,
}

/// Answers the policies in force and how often they were applied since the start.
pub(crate) async fn show(State(state): App) -> Result<Json<Value>> {
    let mut conn = state.store.read().await?;
    let policy = policy(conn.as_mut()).await?;
    let mut policies = Vec::new();
    if let Some(days) = policy.days {
        policies.push(json!({ "policy_name": "Time", "policy_value": days }));
    }
    if let Some(bytes) = policy.bytes {
        policies.push(json!({ "policy_name": "DiskUsage", "policy_value": bytes }));
    }
    Ok(Json(
        json!({ "policies": policies, "rounds": state.retention.rounds() }),
    ))
}

pub(crate) async fn set(
    State(state): App,
    JsonBody(body): JsonBody<PolicyBody>,
) -> Result<Json<Value>> {
    let by_time = match body.policy_name.as_str() {
        "Time" => true,
        "DiskUsage" => false,
        other => {
            return Err(Error::bad_request(
                "unknown_policy",
                format!(
                    "there is no policy `{other}`; there are Time (days) and DiskUsage (bytes)"
                ),
            ));
        }
    };
    let value = match &body.policy_value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    };
    let value = value.filter(|value| *value >= 0).ok_or_else(|| {
        Error::bad_request(
            "invalid_policy",
            "`policy_value` must be a whole number of 0 or more: days for Time, bytes for DiskUsage",
        )
    })?;
    state.store.write(SetPolicy { by_time, value }).await?;
    state.retention.wake.notify_one();
    show(State(state)).await
}
