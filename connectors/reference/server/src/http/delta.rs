//! `GET /delta/`: what changed between two states, whole or in pages.

use axum::extract::{RawQuery, State};
use axum::http::header::LINK;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use serde_json::Value;
use sqlx::sqlite::SqliteConnection;

use super::App;
use super::request::{self, MAX_LIMIT, Parameters};
use super::stream::{self, Sink, Stop};
use crate::error::ApiError;
use crate::model::Collection;
use crate::store::changes::{self, Part, Window};

/// Rows of the change log per statement; bounds the text that is in memory at a time.
const STEP: i64 = 500;

/// A page covers `limit` rows of the change log, so it holds at most that many entries, and its
/// cost is the same at the start and at the end of a long log. `after` is the number of the last
/// row that the page before covered.
pub(super) async fn get(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let base = request::base(&headers)?;
    let parameters = Parameters::new(query.as_deref(), &["from", "to", "limit", "after"])?;
    let limit = parameters.number("limit", 1, MAX_LIMIT)?;
    let after = parameters.number("after", 0, i64::MAX)?;
    let from = parameters.get("from").ok_or_else(|| {
        ApiError::bad(
            "bad_parameter",
            "`from` is required: the state id that the delta starts at",
        )
    })?;
    let mut tx = app.store.readers.begin().await?;
    let (from, to) = app
        .store
        .delta_range(&mut tx, from, parameters.get("to"))
        .await?;
    let low = after.unwrap_or(from);
    if !(from..=to).contains(&low) {
        return Err(ApiError::bad(
            "bad_parameter",
            "`after` is outside the delta; follow the `next` link of the page before",
        ));
    }
    let high = limit.map_or(to, |limit| to.min(low.saturating_add(limit)));
    let (from_name, to_name) = (app.store.state_name(from), app.store.state_name(to));
    let link = limit.filter(|_| high < to).map(|limit| {
        format!(
            "<{base}/delta/?from={from_name}&to={to_name}&limit={limit}&after={high}>; \
             rel=\"next\""
        )
    });
    let window = Window { from, low, high };
    let head = format!(
        "{{\"from\":{},\"to\":{},\"collections\":{{",
        Value::from(from_name),
        Value::from(to_name)
    );
    let mut response = stream::answer(|sink| async move {
        sink.send(head).await?;
        write(&sink, &mut tx, &base, window).await
    });
    if let Some(link) = link {
        let link = HeaderValue::from_str(&link)
            .map_err(|_| ApiError::bad("bad_host", "the `Host` header cannot be used in a link"))?;
        response.headers_mut().insert(LINK, link);
    }
    Ok(response)
}

async fn write(
    sink: &Sink,
    connection: &mut SqliteConnection,
    base: &str,
    window: Window,
) -> Result<(), Stop> {
    let touched = changes::touched(connection, window).await?;
    for (at, collection) in touched.iter().copied().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        sink.send(format!("{comma}\"{}\":{{\"updates\":[", collection.name))
            .await?;
        list(
            sink,
            connection,
            collection,
            Part::Updates,
            base,
            window,
            "",
        )
        .await?;
        sink.send("],\"deletions\":[").await?;
        list(
            sink,
            connection,
            collection,
            Part::Deletions,
            base,
            window,
            "",
        )
        .await?;
        sink.send("]}").await?;
    }
    sink.send("},\"removed_links\":[").await?;
    let mut comma = "";
    for collection in touched {
        for at in 0..collection.relations.len() {
            let part = Part::RemovedLinks(at);
            comma = list(sink, connection, collection, part, base, window, comma).await?;
        }
    }
    Ok(sink.send("]}").await?)
}

/// Writes one list and returns what separates it from a following one.
async fn list(
    sink: &Sink,
    connection: &mut SqliteConnection,
    collection: &Collection,
    part: Part,
    base: &str,
    window: Window,
    mut comma: &'static str,
) -> Result<&'static str, Stop> {
    let mut low = window.low;
    while low < window.high {
        let high = window.high.min(low + STEP);
        let step = Window {
            low,
            high,
            ..window
        };
        if let Some(text) = changes::part(connection, collection, part, base, step).await? {
            sink.send(comma.to_owned() + &text).await?;
            comma = ",";
        }
        low = high;
    }
    Ok(comma)
}
