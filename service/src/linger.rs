//! Lets a refused caller read the answer.
//!
//! A connection that is closed with bytes of the caller unread is reset by the operating system,
//! and the reset often overtakes the answer: a caller with a wrong key or a body over the limit
//! would see a broken connection instead of the reason. So what a handler left of the body is
//! read and thrown away, within limits, before the answer goes out.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use axum::extract::Request;
use axum::http::header::EXPECT;
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::poll_fn;

/// Most bytes that are thrown away for one request.
const BYTES: usize = 64 << 20;
/// Longest time for that.
const TIME: Duration = Duration::from_secs(5);

/// A body that the handler and this module take turns to read.
#[derive(Clone)]
struct Shared(Arc<Mutex<Reading>>);

struct Reading {
    stream: BodyDataStream,
    ended: bool,
}

impl Shared {
    fn new(body: Body) -> Self {
        Self(Arc::new(Mutex::new(Reading {
            stream: body.into_data_stream(),
            ended: false,
        })))
    }

    fn poll_next(&self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, axum::Error>>> {
        let mut reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reading.ended {
            return Poll::Ready(None);
        }
        let next = reading.stream.poll_next_unpin(context);
        reading.ended = matches!(next, Poll::Ready(None | Some(Err(_))));
        next
    }

    fn body(&self) -> Body {
        let shared = self.clone();
        Body::from_stream(poll_fn(move |context| shared.poll_next(context)))
    }

    async fn drain(self) {
        let mut rest = poll_fn(move |context| self.poll_next(context));
        let mut left = BYTES;
        while let Some(Ok(part)) = rest.next().await {
            match left.checked_sub(part.len()) {
                Some(fewer) => left = fewer,
                None => return,
            }
        }
    }
}

/// Answers once the request's body was read, by the handler or here.
pub(crate) async fn linger(request: Request, next: Next) -> Response {
    // Who asks first sends no body before the answer.
    if request.headers().contains_key(EXPECT) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let shared = Shared::new(body);
    let request = Request::from_parts(parts, shared.body());
    let response = next.run(request).await;
    if tokio::time::timeout(TIME, shared.drain()).await.is_err() {
        tracing::debug!("the rest of a refused body did not arrive in time");
    }
    response
}
