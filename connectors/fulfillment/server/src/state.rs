//! What both sides know, and how they say no.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use subtle::ConstantTimeEq as _;

/// What both sides know.
#[derive(Debug, Clone)]
pub struct Shared(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: String,
    token: String,
    state: Mutex<State>,
}

/// A refusal.
pub(crate) type Refusal = (StatusCode, Json<Value>);

#[derive(Debug, Default)]
pub(crate) struct State {
    /// Requests and tier config requests, by collection and id.
    pub(crate) requests: BTreeMap<(Collection, String), Value>,
    /// Things of the vendor, by kind and key; those that were deleted stay as `None`.
    pub(crate) things: BTreeMap<(String, String), Option<Value>>,
    pub(crate) faults: Vec<Fault>,
    pub(crate) number: u64,
}

/// What the platform has requests of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Collection {
    Assets,
    TierConfigs,
}

/// Something that goes wrong at the vendor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fault {
    /// Kind of the things; any, if there is none.
    #[serde(default)]
    pub(crate) kind: Option<String>,
    /// Method of the calls: `PUT`, `POST` or `DELETE`; any, if there is none.
    #[serde(default)]
    pub(crate) method: Option<String>,
    pub(crate) mode: FaultMode,
    /// How many calls.
    pub(crate) times: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FaultMode {
    /// Says no (422); nothing is done.
    Refuse,
    /// Says that it cannot (503); nothing is done.
    Unavailable,
    /// Does it, and then says that something broke (502).
    LoseAnswer,
    /// Does it, and never answers.
    Hang,
}

impl Shared {
    /// Makes both sides, empty.
    #[must_use]
    pub fn new(key: String, token: String) -> Self {
        Self(Arc::new(Inner {
            key,
            token,
            state: Mutex::default(),
        }))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn platform(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        allowed(headers, &self.0.key)
    }

    pub(crate) fn vendor(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        allowed(headers, &format!("Bearer {}", self.0.token))
    }
}

fn allowed(headers: &HeaderMap, expected: &str) -> Result<(), Refusal> {
    let given = headers
        .get(header::AUTHORIZATION)
        .map_or(&[][..], |value| value.as_bytes());
    if bool::from(given.ct_eq(expected.as_bytes())) {
        return Ok(());
    }
    Err(refusal(
        StatusCode::UNAUTHORIZED,
        "AUTH_001",
        "the credentials are not known",
    ))
}

pub(crate) fn refusal(status: StatusCode, code: &str, reason: &str) -> Refusal {
    (
        status,
        Json(json!({"error_code": code, "errors": [reason]})),
    )
}

pub(crate) fn not_found() -> Refusal {
    refusal(
        StatusCode::NOT_FOUND,
        "NOT_FOUND",
        "there is no such object",
    )
}
