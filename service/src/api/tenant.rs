//! Wiping the tenant, in two steps so that it cannot happen by a slip.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};

use super::App;
use super::extract::Parameters;
use crate::auth::{equal, random, token_hash};
use crate::error::{Error, Result};
use crate::store::ops::now;
use crate::store::ops::setup::ClearDatabase;
use crate::store::ops::token::{KeepToken, TakeToken};

/// How long a token can be used.
const LIFE: Duration = Duration::from_secs(60);

pub(crate) async fn clear_token(State(state): App) -> Result<Json<Value>> {
    let token = random(24);
    let life = i64::try_from(LIFE.as_millis()).unwrap_or_default();
    let kept = KeepToken {
        hash: token_hash(&token),
        until: now().saturating_add(life),
    };
    state.store.write(kept).await?;
    Ok(Json(
        json!({ "token": token, "expires_in": LIFE.as_secs() }),
    ))
}

pub(crate) async fn clear(State(state): App, parameters: Parameters) -> Result<Json<Value>> {
    let given = token_hash(parameters.get("token").unwrap_or_default());
    // Taken out whatever is given: a token that was guessed at is worth nothing any more.
    let known = state.store.write(TakeToken).await?;
    let valid = known.is_some_and(|known| equal(&known, &given));
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
    tracing::warn!(target: "audit", "the tenant's database was cleared");
    Ok(Json(json!({ "status": "COMPLETE" })))
}
