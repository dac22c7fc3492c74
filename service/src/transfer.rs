//! A graph as lines of JSON, to move it from one store to another.
//!
//! Each line is an extension, an import envelope or a save point, in an order in which they can
//! be taken in again. History and keys stay behind.

use std::io::{BufRead, Write};
use std::sync::Arc;

use car_schema::{Extension, Identity, Model};
use serde_json::{Map, Value as Json, json};
use uuid::Uuid;

use crate::api;
use crate::error::{Error, Result};
use crate::ingest::parse;
use crate::state::AppState;
use crate::store::lookup::field_json;
use crate::store::ops::import::Import;
use crate::store::ops::source::PatchSource;
use crate::store::ops::{schema, setup};
use crate::store::{Conn, Row, Table, Value, quote};

/// Rows per line.
const PAGE: usize = 1_000;

/// Writes everything that exists now.
pub(crate) async fn export(state: &AppState, out: &mut (impl Write + Send)) -> Result<u64> {
    let snapshot = state.ready().await?;
    let mut conn = state.store.read().await?;
    for extension in in_order(schema::all(conn.as_mut()).await?) {
        line(out, &json!({ "extension": extension }))?;
    }
    let sources = sources(conn.as_mut()).await?;
    let mut count = 0_u64;
    for table in snapshot.layout.tables() {
        let mut last = 0_i64;
        loop {
            let rows = page(conn.as_mut(), table, last).await?;
            let Some(end) = rows.last().and_then(|row| row.int(0)) else {
                break;
            };
            last = end;
            for group in rows.chunk_by(|a, b| headers(a) == headers(b)) {
                count = count.saturating_add(u64::try_from(group.len()).unwrap_or_default());
                line(out, &envelope(table, &sources, group))?;
            }
        }
    }
    for source in sources {
        line(
            out,
            &json!({ "save_point": {
                "source": source.header, "report": source.report, "model_state_id": source.state,
            } }),
        )?;
    }
    Ok(count)
}

/// Puts extensions in an order in which each comes after those that it builds on.
fn in_order(mut waiting: Vec<Extension>) -> Vec<Extension> {
    let mut model = Model::core();
    let mut ordered = Vec::new();
    loop {
        let before = waiting.len();
        let (ready, rest) = waiting
            .into_iter()
            .partition::<Vec<_>, _>(|extension| model.extend(&extension.schema).is_ok());
        ordered.extend(ready);
        if rest.is_empty() || rest.len() == before {
            ordered.extend(rest);
            return ordered;
        }
        waiting = rest;
    }
}

fn line(out: &mut impl Write, value: &Json) -> Result<()> {
    writeln!(out, "{value}").map_err(|error| {
        Error::bad_request(
            "not_written",
            format!("the output cannot be written: {error}"),
        )
    })
}

struct SourceHeader {
    pk: i64,
    header: Json,
    state: Option<String>,
    report: Json,
}

/// Makes the header of a report.
fn report(row: &Row, key: usize, time: usize) -> Json {
    let mut report = Map::new();
    if let Some(key) = row.str(key) {
        report.insert("_key".into(), key.into());
    }
    report.insert("timestamp".into(), row.int(time).unwrap_or_default().into());
    report.into()
}

async fn sources(conn: &mut dyn Conn) -> Result<Vec<SourceHeader>> {
    let rows = conn
        .fetch(
            "SELECT pk, key, name, description, product_link, properties, model_state_id, \
             last_report, last_seen FROM sources ORDER BY pk"
                .into(),
            Vec::new(),
        )
        .await?;
    Ok(rows
        .iter()
        .map(|row| {
            let mut header = Map::new();
            for (index, name) in [
                (1, "_key"),
                (2, "name"),
                (3, "description"),
                (4, "product_link"),
            ] {
                if let Some(text) = row.str(index) {
                    header.insert(name.into(), text.into());
                }
            }
            if let Some(properties) = row.str(5).and_then(|text| serde_json::from_str(text).ok()) {
                header.insert("properties".into(), properties);
            }
            SourceHeader {
                pk: row.int(0).unwrap_or_default(),
                header: header.into(),
                state: row.str(6).map(str::to_owned),
                report: report(row, 7, 8),
            }
        })
        .collect())
}

/// What the rows of one envelope share: source, report, time.
fn headers(row: &Row) -> (Option<i64>, Option<&str>, Option<i64>) {
    (row.int(1), row.str(2), row.int(3))
}

/// Columns before the fields: number, source, report, time, properties, tags, identity, other end.
const HEAD: usize = 8;

async fn page(conn: &mut dyn Conn, table: &Table, after: i64) -> Result<Vec<Row>> {
    let (keys, tags) = if table.is_edge() {
        ("e._from, e._to", "NULL".to_owned())
    } else {
        let tags = match conn.dialect() {
            crate::store::Dialect::Sqlite => "json_group_array(t.name)",
            crate::store::Dialect::Postgres => "jsonb_agg(t.name)::text",
        };
        let tags = format!(
            "(SELECT {tags} FROM tags t WHERE t.source = e._source AND t.collection = '{}' AND t.id = e._id)",
            table.name
        );
        ("e._id, NULL", tags)
    };
    let fields: String = table
        .fields
        .iter()
        .map(|field| format!(", e.{}", quote(&field.name)))
        .collect();
    let sql = format!(
        "SELECT e._pk, e._source, e._report, e._seen, e._props, {tags}, {keys}{fields} \
         FROM {} e WHERE e._pk > $1 ORDER BY e._pk LIMIT {PAGE}",
        quote(&table.current())
    );
    conn.fetch(sql, vec![Value::Int(after)]).await
}

fn envelope(table: &Table, sources: &[SourceHeader], rows: &[Row]) -> Json {
    let first = rows.first();
    let source = first
        .and_then(|row| sources.iter().find(|source| Some(source.pk) == row.int(1)))
        .map(|source| source.header.clone());
    let report = first.map(|row| report(row, 2, 3));
    let rows: Vec<Json> = rows.iter().map(|row| document(table, row)).collect();
    let mut envelope = Map::new();
    envelope.insert("source".into(), json!(source));
    envelope.insert("report".into(), json!(report));
    envelope.insert(table.name.clone(), rows.into());
    envelope.into()
}

fn document(table: &Table, row: &Row) -> Json {
    let mut document = Map::new();
    let json = |index| {
        row.str(index)
            .and_then(|text| serde_json::from_str::<Json>(text).ok())
    };
    if let Some(properties) = json(4) {
        document.insert("properties".into(), properties);
    }
    if let Some(Json::Array(tags)) = json(5)
        && !tags.is_empty()
    {
        document.insert("tag".into(), tags.into());
    }
    for (index, field) in table.fields.iter().enumerate() {
        let value = row.get(index.saturating_add(HEAD));
        if *value != Value::Null {
            document.insert(field.name.clone(), field_json(field, value));
        }
    }
    let id = row.str(6).unwrap_or_default();
    match (&table.ends, table.identity) {
        (Some((from, to)), _) => {
            let end = row.str(7).unwrap_or_default();
            document.insert("_from".into(), format!("{from}/{id}").into());
            document.insert("_to".into(), format!("{to}/{end}").into());
        }
        (None, identity) => {
            let field = identity.unwrap_or(Identity::ExternalId).field();
            document.insert(field.into(), id.into());
        }
    }
    document.into()
}

/// Takes lines in; those before a bad one stay. Taking the same lines twice changes nothing.
pub(crate) async fn import(
    state: &Arc<AppState>,
    input: &mut (impl BufRead + Send),
) -> Result<u64> {
    if !state.snapshot().created {
        let operation = setup::CreateDatabase {
            layout: Arc::clone(&state.snapshot().layout),
            job: Uuid::now_v7().to_string(),
        };
        state.store.write(operation).await?;
        state.refresh().await?;
    }
    let mut count = 0_u64;
    let mut text = String::new();
    for number in 1_u64.. {
        text.clear();
        let read = input.read_line(&mut text).map_err(|error| {
            Error::bad_request("not_read", format!("line {number} cannot be read: {error}"))
        })?;
        if read == 0 {
            break;
        }
        if text.trim().is_empty() {
            continue;
        }
        count = count.saturating_add(
            take(state, &text)
                .await
                .map_err(|error| error.with_prefix(&format!("line {number}: ")))?,
        );
    }
    Ok(count)
}

async fn take(state: &Arc<AppState>, text: &str) -> Result<u64> {
    let invalid = |error: serde_json::Error| {
        Error::bad_request("invalid_line", format!("it cannot be read: {error}"))
    };
    if text.starts_with("{\"extension\":") {
        let mut line: Map<String, Json> = serde_json::from_str(text).map_err(invalid)?;
        let extension = line.remove("extension").unwrap_or_default();
        let extension: Extension = serde_json::from_value(extension).map_err(invalid)?;
        api::store_extension(state, extension).await?;
        return Ok(0);
    }
    if text.starts_with("{\"save_point\":") {
        let line: Json = serde_json::from_str(text).map_err(invalid)?;
        let point = &line["save_point"];
        let envelope = json!({ "source": point["source"], "report": point["report"] });
        apply(state, envelope.to_string().as_bytes()).await?;
        let operation = PatchSource {
            key: point["source"]["_key"]
                .as_str()
                .unwrap_or_default()
                .to_owned(),
            set: vec![(
                "model_state_id",
                point["model_state_id"].as_str().map(str::to_owned),
            )],
        };
        state.store.write(operation).await?;
        return Ok(0);
    }
    apply(state, text.as_bytes()).await
}

async fn apply(state: &AppState, body: &[u8]) -> Result<u64> {
    let snapshot = state.snapshot();
    let parsed = parse(body, &snapshot.rules)?;
    let count: usize = parsed.batches.iter().map(|batch| batch.rows.len()).sum();
    let operation = Import {
        layout: Arc::clone(&snapshot.layout),
        model: snapshot.version,
        id: Uuid::now_v7().to_string(),
        source: parsed.source,
        report: parsed.report,
        batches: parsed.batches,
    };
    state.store.write(operation).await?;
    Ok(u64::try_from(count).unwrap_or_default())
}
