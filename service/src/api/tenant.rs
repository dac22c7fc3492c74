//! Wiping the tenant, in two steps so that it cannot happen by a slip.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::App;
use super::extract::Parameters;
use crate::error::{Error, Result};
use crate::store::ops::setup::ClearDatabase;

/// How long a token can be used.
const LIFE: Duration = Duration::from_secs(60);

/// The token given out last.
#[derive(Debug, Default)]
pub(crate) struct ClearToken(tokio::sync::Mutex<Option<(String, Instant)>>);

pub(crate) async fn clear_token(State(state): App) -> Json<Value> {
    let token = crate::auth::random(24);
    *state.clear_token.0.lock().await = Some((token.clone(), Instant::now()));
    Json(json!({ "token": token, "expires_in": LIFE.as_secs() }))
}

pub(crate) async fn clear(State(state): App, parameters: Parameters) -> Result<Json<Value>> {
    let given = parameters.get("token").unwrap_or_default();
    // Taken out whatever is given: a token that was guessed at is worth nothing any more.
    let known = state.clear_token.0.lock().await.take();
    let valid = known.is_some_and(|(token, since)| token == given && since.elapsed() <= LIFE);
    if !valid {
        return Err(Error::new(
            axum::http::StatusCode::FORBIDDEN,
            "invalid_token",
            "the token is wrong, used or older than a minute; get one with GET /v3/clearDbToken",
        ));
    }
    let _changing = state.changing.lock().await;
    state.store.write(ClearDatabase).await?;
    state.refresh().await?;
    tracing::warn!("the tenant's database was cleared");
    Ok(Json(json!({ "status": "COMPLETE" })))
}
