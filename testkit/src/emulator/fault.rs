//! Calls that fail because somebody wants it.

use std::sync::{Mutex, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State as Shared};
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::state::State;

/// Which calls fail, and how.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// How the call begins: `POST /output/output`, or `GET /input`.
    pub call: String,
    /// Calls that succeed before.
    #[serde(default)]
    pub after: u32,
    /// Calls that fail.
    #[serde(default = "one")]
    pub times: u32,
    /// How.
    pub how: How,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// Nothing is done, and this status is answered.
    Refuse(u16),
    /// Everything is done, and this status is answered.
    DoAndRefuse(u16),
    /// Everything is done, and the connection breaks in the middle of the answer.
    Lose,
    /// The answer is no JSON.
    Garble,
}

fn one() -> u32 {
    1
}

/// The calls that came, and those that are to fail.
#[derive(Debug, Default)]
pub(super) struct Faults(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    faults: Vec<Fault>,
    calls: Vec<String>,
}

impl Faults {
    pub(super) fn add(&self, fault: Fault) {
        self.known().faults.push(fault);
    }

    pub(super) fn clear(&self) {
        self.known().faults.clear();
    }

    pub(super) fn calls(&self) -> Vec<String> {
        self.known().calls.clone()
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes a call, and tells how it fails.
    fn next(&self, call: &str) -> Option<How> {
        let mut known = self.known();
        known.calls.push(call.to_owned());
        let fault = known
            .faults
            .iter_mut()
            .find(|fault| fault.times > 0 && call.starts_with(&fault.call))?;
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        fault.times -= 1;
        Some(fault.how)
    }
}

/// Lets a call through, or fail.
pub(super) async fn pass(
    Shared(state): Shared<std::sync::Arc<State>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    if path.starts_with("/emulator") {
        return next.run(request).await;
    }
    let call = format!("{} {path}", request.method());
    let refuse = |status: u16| {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let error = serde_json::json!({"message": "a fault that was asked for", "errors": []});
        (status, axum::Json(error)).into_response()
    };
    match state.faults.next(&call) {
        None => next.run(request).await,
        Some(How::Refuse(status)) => refuse(status),
        Some(How::DoAndRefuse(status)) => {
            drop(next.run(request).await);
            refuse(status)
        }
        Some(How::Lose) => {
            let done = next.run(request).await;
            let broken = futures_util::stream::iter([
                Ok("{\"data\":"),
                Err(std::io::Error::other("a fault that was asked for")),
            ]);
            (done.status(), Body::from_stream(broken)).into_response()
        }
        Some(How::Garble) => {
            let done = next.run(request).await;
            (done.status(), "<html>not what you expect</html>").into_response()
        }
    }
}
