//! One request on its way to the server and back.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Request, Response};

use super::{Deed, Shared};
use crate::record::{Exchange, Reply};

type Body = BoxBody<Bytes, io::Error>;

/// Longest that a request waits for another one.
const PATIENCE: Duration = Duration::from_secs(1);

/// Headers of one connection, which a proxy makes anew.
const OF_A_CONNECTION: [&str; 6] = [
    "connection",
    "content-length",
    "keep-alive",
    "te",
    "transfer-encoding",
    "upgrade",
];

/// Answers a request. An error ends the connection without an answer.
pub(super) async fn answer(
    shared: &Arc<Shared>,
    request: Request<Incoming>,
) -> io::Result<Response<Body>> {
    let (head, body) = request.into_parts();
    let target = head
        .uri
        .path_and_query()
        .map_or("/", |target| target.as_str())
        .to_owned();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    let name = format!("{} {target}", head.method);
    let deed = shared.rules.lock().unwrap().next(name);
    let exchange = Exchange {
        method: head.method.to_string(),
        target,
        body: body.clone(),
        reply: Reply::default(),
    };
    let fetch = || fetch(shared, &exchange, &head.headers);
    let reply = match &deed {
        Deed::Pass | Deed::Truncate | Deed::Halve | Deed::Drip(..) => fetch().await?,
        Deed::Answer(status) => Reply::text(*status, "the proxy says so"),
        Deed::RetryAfter(status, seconds) => {
            let mut reply = Reply::text(*status, "the proxy says so");
            reply
                .headers
                .push(("retry-after".to_owned(), seconds.to_string()));
            reply
        }
        Deed::Text(text) => Reply::text(200, text),
        Deed::Reset => return Err(io::ErrorKind::ConnectionReset.into()),
        Deed::AnswerLost => {
            fetch().await?;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Deed::Hold => {
            shared.held.send_modify(|held| *held += 1);
            std::future::pending().await
        }
        Deed::Delay(time) => {
            tokio::time::sleep(*time).await;
            fetch().await?
        }
        Deed::Twice => {
            fetch().await?;
            fetch().await?
        }
        Deed::LastAnswer => match last_answer(shared, &exchange) {
            Some(reply) => reply,
            None => fetch().await?,
        },
        Deed::AfterAnother => {
            let mut answered = shared.answered.subscribe();
            let before = *answered.borrow();
            let another = answered.wait_for(|answered| *answered > before);
            // Nobody to wait for is no failure.
            drop(tokio::time::timeout(PATIENCE, another).await);
            fetch().await?
        }
    };
    let response = respond(&reply, &deed);
    let exchange = Exchange { reply, ..exchange };
    shared.exchanges.lock().unwrap().push(exchange);
    shared.answered.send_modify(|answered| *answered += 1);
    response
}

/// Asks the server.
async fn fetch(
    shared: &Shared,
    exchange: &Exchange,
    headers: &hyper::HeaderMap,
) -> io::Result<Reply> {
    let url = format!("http://{}{}", shared.upstream, exchange.target);
    let method =
        reqwest::Method::from_bytes(exchange.method.as_bytes()).map_err(io::Error::other)?;
    let mut request = shared.http.request(method, url).body(exchange.body.clone());
    for (name, value) in headers {
        if !OF_A_CONNECTION.contains(&name.as_str()) {
            request = request.header(name, value);
        }
    }
    let response = request.send().await.map_err(io::Error::other)?;
    let status = response.status().as_u16();
    let headers = response
        .headers()
        .iter()
        .filter(|(name, _)| !OF_A_CONNECTION.contains(&name.as_str()))
        .map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            (name.to_string(), value)
        })
        .collect();
    let body = response.bytes().await.map_err(io::Error::other)?;
    Ok(Reply {
        status,
        headers,
        body,
    })
}

/// Returns the answer of the page before, if this request is for a following one.
fn last_answer(shared: &Shared, exchange: &Exchange) -> Option<Reply> {
    let earlier = shared.earlier.load(Ordering::Relaxed);
    let exchanges = shared.exchanges.lock().unwrap();
    let before = exchanges
        .iter()
        .skip(earlier)
        .rfind(|known| known.method == exchange.method && follows(&known.target, &exchange.target));
    before.map(|known| known.reply.clone())
}

/// Tells whether one request is for the page after another: the same path, and the same
/// parameters but for one that is other or new.
fn follows(page: &str, next: &str) -> bool {
    let (Some((path, page)), Some((other, next))) = (page.split_once('?'), next.split_once('?'))
    else {
        return false;
    };
    let next: Vec<&str> = next.split('&').collect();
    let page: Vec<&str> = page.split('&').collect();
    let same = page.iter().filter(|pair| next.contains(pair)).count();
    path == other
        && same > 0
        && page.len() <= next.len()
        && next.len() <= same + 1
        && same < next.len()
}

fn respond(reply: &Reply, deed: &Deed) -> io::Result<Response<Body>> {
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(io::Error::other)?;
        let value = HeaderValue::from_str(value).map_err(io::Error::other)?;
        response = response.header(name, value);
    }
    let half = reply.body.slice(..reply.body.len() / 2);
    let body = match deed {
        Deed::Truncate => {
            response = response.header("content-length", reply.body.len().max(1));
            let broken = Err(io::ErrorKind::ConnectionReset.into());
            stream_body(stream::iter([Ok(half), broken]))
        }
        Deed::Halve => whole(half),
        Deed::Drip(bytes, pause) => {
            let (bytes, pause) = ((*bytes).max(1), *pause);
            let pieces: Vec<Bytes> = reply
                .body
                .chunks(bytes)
                .map(Bytes::copy_from_slice)
                .collect();
            stream_body(stream::iter(pieces).then(move |piece| async move {
                tokio::time::sleep(pause).await;
                Ok(piece)
            }))
        }
        _ => whole(reply.body.clone()),
    };
    response.body(body).map_err(io::Error::other)
}

pub(crate) fn whole(body: Bytes) -> Body {
    http_body_util::Full::new(body)
        .map_err(|never| match never {})
        .boxed()
}

fn stream_body(pieces: impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static) -> Body {
    BodyExt::boxed(StreamBody::new(pieces.map(|piece| piece.map(Frame::data))))
}

#[cfg(test)]
mod tests {
    use super::follows;

    #[test]
    fn the_next_page_differs_in_one_parameter() {
        for (page, next, expected) in [
            ("/a?limit=3", "/a?limit=3&after=7", true),
            ("/a?limit=3&after=7", "/a?limit=3&after=9", true),
            ("/a?limit=3", "/a?limit=3", false),
            ("/a?limit=3", "/b?limit=3&after=7", false),
            ("/a?limit=3", "/a?pk=7", false),
            ("/a?pk=6", "/a?pk=7", false),
            ("/a", "/a?after=7", false),
        ] {
            assert_eq!(follows(page, next), expected, "{page} {next}");
        }
    }
}
