//! What a connector asks before it sends: which rows are known, what an import would change, what
//! the source has.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use axum::extract::State;
use axum::{Extension, Json};
use bytes::Bytes;
use car_schema::wire::{Changed, Comparison, KnownRows, Unchanged};

use super::App;
use super::extract::{Body, Parameters, Segments};
use super::imports::{again, apart};
use crate::auth::Role;
use crate::error::{Error, Result};
use crate::ingest::{Parsed, Rules, check_header, parse, raw_hash};
use crate::state::{AppState, Snapshot};
use crate::store::compare;
use crate::store::ops::import::Applied;
use crate::store::ops::source;
use crate::store::ops::unchanged::{self, Claim};

pub(crate) async fn unchanged(
    State(state): App,
    Extension(role): Extension<Role>,
    Body(body): Body,
) -> Result<Json<Changed>> {
    again(&state, |snapshot| {
        report(&state, &role, snapshot, body.clone())
    })
    .await
    .map(Json)
}

async fn report(
    state: &AppState,
    role: &Role,
    snapshot: Arc<Snapshot>,
    body: Bytes,
) -> Result<Changed> {
    let begun = Instant::now();
    let rules = Arc::clone(&snapshot);
    let (body, claims) = apart(body, move |body| read_claims(body, &rules.rules)).await?;
    role.check_source(&body.source.key)?;
    let operation = unchanged::Unchanged {
        layout: Arc::clone(&snapshot.layout),
        model: snapshot.version,
        source: body.source,
        report: body.report,
        claims,
    };
    let (changed, known) = state.store.write(operation).await?;
    let applied = Applied {
        unchanged: known,
        ..Applied::default()
    };
    state.meter.import(applied, begun.elapsed());
    Ok(changed)
}

type Claims = BTreeMap<usize, Vec<Claim>>;

/// Reads the rows that a sender believes to be known.
fn read_claims(body: &[u8], rules: &Rules) -> Result<(Unchanged, Claims)> {
    let mut body: Unchanged = serde_json::from_slice(body).map_err(|error| {
        Error::bad_request("invalid_body", format!("the body cannot be read: {error}"))
    })?;
    check_header(&body.source, &body.report)?;
    let mut claims = Claims::new();
    for (name, rows) in std::mem::take(&mut body.rows) {
        let collection = rules.get(&name).ok_or_else(|| unknown_collection(&name))?;
        let claims = claims.entry(collection.table).or_default();
        for (place, row) in rows.into_iter().enumerate() {
            let claim = claim(row, collection.ends.is_some(), collection.fingerprint);
            claims.push(claim.ok_or_else(|| {
                let form = if collection.ends.is_some() {
                    "[from, to, hash]"
                } else {
                    "[identity, hash]"
                };
                Error::bad_request(
                    "invalid_row",
                    format!(
                        "row {place} of `{name}` must be {form}, with a hash of 32 hexadecimal digits"
                    ),
                )
            })?);
        }
    }
    Ok((body, claims))
}

fn claim(row: Vec<String>, edge: bool, fingerprint: u64) -> Option<Claim> {
    let (id, to, hash) = if edge {
        let [from, to, hash] = <[String; 3]>::try_from(row).ok()?;
        (from, to, hash)
    } else {
        let [id, hash] = <[String; 2]>::try_from(row).ok()?;
        (id, String::new(), hash)
    };
    if hash.len() != 32 || id.contains('\0') || to.contains('\0') {
        return None;
    }
    let content = u128::from_str_radix(&hash, 16).ok()?;
    Some(Claim {
        id,
        to,
        raw: raw_hash(content, fingerprint),
    })
}

fn unknown_collection(name: &str) -> Error {
    Error::bad_request(
        "unknown_collection",
        format!("the model has no collection `{name}`"),
    )
}

/// Tells what an import would do. Nothing is written.
pub(crate) async fn compare(
    State(state): App,
    Extension(role): Extension<Role>,
    Body(body): Body,
) -> Result<Json<Comparison>> {
    let snapshot = state.ready().await?;
    let rules = Arc::clone(&snapshot);
    let parsed: Parsed = apart(body, move |body| parse(body, &rules.rules)).await?;
    role.check_source(&parsed.source.key)?;
    let mut conn = state.store.read().await?;
    compare::compare(
        conn.as_mut(),
        &snapshot.layout,
        &parsed.source.key,
        parsed.batches,
    )
    .await
    .map(Json)
}

/// Lists the rows of a collection that a source has.
pub(crate) async fn rows(
    State(state): App,
    Segments(source): Segments<String>,
    parameters: Parameters,
) -> Result<Json<KnownRows>> {
    let snapshot = state.ready().await?;
    let name = parameters.get("collection").ok_or_else(|| {
        Error::bad_request(
            "missing_parameter",
            "name the collection with `collection=`",
        )
    })?;
    let table = snapshot
        .layout
        .get(name)
        .ok_or_else(|| unknown_collection(name))?;
    let limit = parameters.number("limit", 1_000, 10_000)?;
    let after = parameters.get("after");
    let mut conn = state.store.read().await?;
    let pk = source::find(conn.as_mut(), &source)
        .await?
        .ok_or_else(|| source::unknown(&source))?
        .pk;
    compare::rows(conn.as_mut(), table, pk, after, limit)
        .await
        .map(Json)
}
