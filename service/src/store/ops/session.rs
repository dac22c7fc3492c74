//! Full-import sessions: what is not reported between opening and closing is retired.
//!
//! A session is a number that only grows, not a time, so a clock that jumps cannot retire what
//! was just reported: opening raises the source's mark, each import writes the mark into the
//! rows it reports, and closing retires the rows with a lower one.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use super::super::conn::Conn;
use super::super::dialect::quote;
use super::super::job::Operation;
use super::super::layout::{Layout, Table};
use super::super::value::Value;
use super::retire::{close_rows, close_tags};
use super::{check_state, finish_job, now, source};
use crate::error::{Error, Result};

/// Opens a session.
pub(crate) struct OpenSession {
    /// Version of the model.
    pub(crate) model: i64,
    /// The source.
    pub(crate) source: String,
    /// Whether a session that is open goes on instead of beginning anew.
    pub(crate) resume: bool,
    /// The job to finish.
    pub(crate) job: String,
}

#[async_trait]
impl Operation for OpenSession {
    type Output = ();

    async fn apply(self, conn: &mut dyn Conn) -> Result<()> {
        check_state(conn, self.model).await?;
        let header = car_schema::Source {
            key: self.source,
            ..car_schema::Source::default()
        };
        let source = source::upsert(conn, &header, None, None).await?;
        if source.session.is_none() || !self.resume {
            conn.execute(
                "UPDATE sources SET mark = mark + 1, session_mark = mark + 1, session_started = $1 WHERE pk = $2".into(),
                vec![now().into(), source.pk.into()],
            )
            .await?;
        }
        finish_job(conn, &self.job, "open_session", None).await
    }
}

/// Closes a session and retires what it did not report.
pub(crate) struct CloseSession {
    /// The tables.
    pub(crate) layout: Arc<Layout>,
    /// Version of the model that the layout is of.
    pub(crate) model: i64,
    /// The source.
    pub(crate) source: String,
    /// The job to finish.
    pub(crate) job: String,
}

/// How many rows of each collection were, or would be, retired.
pub(crate) type Retired = BTreeMap<String, u64>;

#[async_trait]
impl Operation for CloseSession {
    type Output = Retired;

    async fn apply(self, conn: &mut dyn Conn) -> Result<Retired> {
        check_state(conn, self.model).await?;
        let source = source::lock(conn, &self.source)
            .await?
            .ok_or_else(|| source::unknown(&self.source))?;
        let session = source.session.ok_or_else(|| no_session(&self.source))?;
        let mut retired = Retired::new();
        let args = || vec![Value::Int(source.pk), Value::Int(session)];
        let mut shrunk = Vec::new();
        for vertex in self.layout.vertices() {
            let count = count(conn, vertex, source.pk, session).await?;
            if count > 0 {
                shrunk.push(vertex);
                retired.insert(vertex.name.clone(), count);
            }
        }
        for edge in self.layout.edges() {
            let condition = edge_condition(edge, &shrunk);
            let count = close_rows(conn, edge, &condition, args()).await?;
            if count > 0 {
                retired.insert(edge.name.clone(), count);
            }
        }
        for vertex in shrunk {
            close_rows(conn, vertex, STALE, args()).await?;
            close_tags(conn, vertex, source.pk).await?;
        }
        conn.execute(
            "UPDATE sources SET session_mark = NULL, session_started = NULL WHERE pk = $1".into(),
            vec![source.pk.into()],
        )
        .await?;
        finish_job(conn, &self.job, "close_session", None).await?;
        Ok(retired)
    }
}

/// Chooses rows of source `$2` that were last reported before session `$3`.
const STALE: &str = "\"_source\" = $2 AND \"_mark\" < $3";

/// Chooses stale edges, and those at vertices that are about to go.
fn edge_condition(edge: &Table, shrunk: &[&Table]) -> String {
    let mut parts = vec!["\"_mark\" < $3".to_owned()];
    if let Some((from, to)) = &edge.ends {
        for (end, column) in [(from, "_from"), (to, "_to")] {
            if let Some(vertex) = shrunk.iter().find(|vertex| vertex.name == *end) {
                parts.push(format!(
                    "\"{column}\" IN (SELECT \"_id\" FROM {} WHERE {STALE})",
                    quote(&vertex.current())
                ));
            }
        }
    }
    format!("\"_source\" = $2 AND ({})", parts.join(" OR "))
}

async fn count(conn: &mut dyn Conn, table: &Table, source: i64, session: i64) -> Result<u64> {
    let sql = format!(
        "SELECT count(*) FROM {} WHERE \"_source\" = $1 AND \"_mark\" < $2",
        quote(&table.current())
    );
    let rows = conn.fetch(sql, vec![source.into(), session.into()]).await?;
    let count = rows.first().and_then(|row| row.int(0)).unwrap_or_default();
    Ok(u64::try_from(count).unwrap_or_default())
}

/// What `GET full-import-in-progress` tells.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct SessionState {
    /// Whether a session is open.
    pub(crate) open: bool,
    /// When it was opened, in milliseconds since 1970.
    pub(crate) started_at: Option<i64>,
    /// How many rows closing it now would retire, by collection.
    pub(crate) would_retire: Retired,
}

/// Tells what closing the session now would retire.
pub(crate) async fn preview(
    conn: &mut dyn Conn,
    layout: &Layout,
    key: &str,
) -> Result<SessionState> {
    let source = source::find(conn, key)
        .await?
        .ok_or_else(|| source::unknown(key))?;
    let mut state = SessionState {
        open: source.session.is_some(),
        started_at: source.session_started,
        would_retire: Retired::new(),
    };
    let Some(session) = source.session else {
        return Ok(state);
    };
    let mut shrunk = Vec::new();
    for vertex in layout.vertices() {
        let count = count(conn, vertex, source.pk, session).await?;
        if count > 0 {
            shrunk.push(vertex);
            state.would_retire.insert(vertex.name.clone(), count);
        }
    }
    for edge in layout.edges() {
        let sql = format!(
            "SELECT count(*) FROM {} WHERE $1 >= 0 AND {}",
            quote(&edge.current()),
            edge_condition(edge, &shrunk)
        );
        let args = vec![Value::Int(0), source.pk.into(), session.into()];
        let rows = conn.fetch(sql, args).await?;
        let count = rows.first().and_then(|row| row.int(0)).unwrap_or_default();
        if count > 0 {
            state
                .would_retire
                .insert(edge.name.clone(), u64::try_from(count).unwrap_or_default());
        }
    }
    Ok(state)
}

pub(super) fn no_session(source: &str) -> Error {
    Error::new(
        axum::http::StatusCode::CONFLICT,
        "no_session",
        format!(
            "source `{source}` has no full import in progress, so nothing was retired; open one with POST first"
        ),
    )
}
