//! Answers that are longer than memory should hold: a task reads the database chunk by chunk and
//! hands the text to the connection, never more than a few chunks ahead.

use std::future::Future;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use tokio::sync::mpsc;

use crate::error::ApiError;

/// Longest wait for a client that does not read; then its answer is cut off, so that it does not
/// hold a connection and a snapshot of the database for ever.
const STALLED: Duration = Duration::from_secs(60);
const AHEAD: usize = 4;

/// Where a task writes the text of an answer.
pub(super) struct Sink {
    sender: mpsc::Sender<io::Result<Bytes>>,
}

/// The client went away or does not read.
pub(super) struct Gone;

/// Why a stream ended early.
pub(super) enum Stop {
    Gone,
    Failed(ApiError),
}

impl From<Gone> for Stop {
    fn from(Gone: Gone) -> Self {
        Self::Gone
    }
}

impl From<ApiError> for Stop {
    fn from(error: ApiError) -> Self {
        Self::Failed(error)
    }
}

impl Sink {
    pub(super) async fn send(&self, text: impl Into<Bytes>) -> Result<(), Gone> {
        let sent = self.sender.send_timeout(Ok(text.into()), STALLED).await;
        sent.map_err(|_| Gone)
    }
}

/// Starts `write` and answers with what it sends. When it fails the connection is broken off, so
/// that a client never takes half an answer for a whole one.
pub(super) fn answer<F, W>(write: W) -> Response
where
    W: FnOnce(Sink) -> F,
    F: Future<Output = Result<(), Stop>> + Send + 'static,
{
    let (sender, receiver) = mpsc::channel(AHEAD);
    let failure = sender.clone();
    let work = write(Sink { sender });
    tokio::spawn(async move {
        if let Err(Stop::Failed(error)) = work.await {
            tracing::error!(code = error.code, message = %error.message, "an answer was cut off");
            let cut = io::Error::other("the answer could not be completed");
            // Nobody is left to tell when this fails too.
            drop(failure.send_timeout(Err(cut), STALLED).await);
        }
    });
    let body = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|item| (item, receiver))
    });
    let mut response = Response::new(Body::from_stream(body));
    *response.status_mut() = StatusCode::OK;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
