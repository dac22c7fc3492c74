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
use serde_json::Value;

use super::{Deed, Shared};
use crate::record::{Exchange, Reply, operation};

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
    let deed = shared.rules.lock().unwrap().next(name, &body);
    let exchange = Exchange {
        method: head.method.to_string(),
        target,
        operation: operation(&head.headers),
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
    let known = exchanges.get(earlier..).unwrap_or_default();
    let all: Vec<Parameters> = known.iter().map(Parameters::of).collect();
    let at = Parameters::of(exchange).page_before(&all)?;
    known.get(at).map(|known| known.reply.clone())
}

/// What a request asks for.
struct Parameters {
    /// Method, path and name of the call.
    of: String,
    /// Each as `name=value`.
    list: Vec<String>,
}

impl Parameters {
    /// Reads them from the query and the body: a form, or the members of a JSON object.
    fn of(exchange: &Exchange) -> Self {
        let target = exchange.target.as_str();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let mut list: Vec<String> = Vec::new();
        let form = std::str::from_utf8(&exchange.body).unwrap_or_default();
        match serde_json::from_slice::<serde_json::Map<String, Value>>(&exchange.body) {
            Ok(members) => {
                list.extend(
                    members
                        .iter()
                        .map(|(name, value)| format!("{name}={value}")),
                );
            }
            Err(_) => list.extend(form.split('&').map(str::to_owned)),
        }
        list.extend(query.split('&').map(str::to_owned));
        list.retain(|pair| !pair.is_empty());
        Self {
            of: format!("{} {path} {:?}", exchange.method, exchange.operation),
            list,
        }
    }

    /// Finds the request for the page before, among those that were made.
    fn page_before(&self, all: &[Self]) -> Option<usize> {
        all.iter().rposition(|page| {
            let mut shared = page.list.clone();
            shared.retain(|pair| self.list.contains(pair));
            // What differs says where in a list to go on if there is a request without it; else
            // the two are for different lists.
            let is_begun = |first: &Self| first.of == self.of && first.list == shared;
            self.follows(page) && (page.list == shared || all.iter().any(is_begun))
        })
    }

    /// Tells whether this is for the page after another: the same path, and the same parameters
    /// but for one that is other or new.
    fn follows(&self, page: &Self) -> bool {
        let (list, before) = (&self.list, &page.list);
        let same = before.iter().filter(|pair| list.contains(pair)).count();
        self.of == page.of
            && same > 0
            && before.len() <= list.len()
            && list.len() <= same + 1
            && same < list.len()
    }
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
    use super::*;

    fn asked(target: &str, body: &'static str) -> Parameters {
        Parameters::of(&Exchange {
            method: "POST".to_owned(),
            target: target.to_owned(),
            operation: None,
            body: Bytes::from_static(body.as_bytes()),
            reply: Reply::default(),
        })
    }

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
            let follows = asked(next, "").follows(&asked(page, ""));
            assert_eq!(follows, expected, "{page} {next}");
        }
    }

    #[test]
    fn the_page_before_is_of_the_same_list() {
        let all = [
            asked("/", r#"{"of":"a","max":5}"#),
            asked("/", r#"{"of":"a","max":5,"token":"1"}"#),
        ];
        for (next, expected) in [
            (r#"{"of":"a","max":5,"token":"1"}"#, Some(0)),
            (r#"{"of":"a","max":5,"token":"2"}"#, Some(1)),
            (r#"{"of":"b","max":5}"#, None),
        ] {
            assert_eq!(asked("/", next).page_before(&all), expected, "{next}");
        }
    }

    #[test]
    fn parameters_may_be_in_the_body() {
        for (page, next, expected) in [
            ("Action=List&Max=5", "Action=List&Max=5&Token=7", true),
            ("Action=List&Max=5", "Action=Other&Max=5&Token=7", false),
            (r#"{"max":5}"#, r#"{"max":5,"token":"7"}"#, true),
            (r#"{"max":5}"#, r#"{"max":5}"#, false),
        ] {
            let follows = asked("/", next).follows(&asked("/", page));
            assert_eq!(follows, expected, "{page} {next}");
        }
    }
}
