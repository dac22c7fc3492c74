//! Full-import sessions: what is not reported between opening and closing is retired.
//!
//! A session is a number that only grows, not a time, so a clock that jumps cannot retire what
//! was just reported: opening raises the source's mark, each import writes the mark into the
//! rows it reports, and closing retires the rows with a lower one. Once the scopes that were read
//! to their end are listed, it retires only those of them that are in no other scope.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use car_schema::wire::SweepPreview;

use super::super::conn::Conn;
use super::super::dialect::quote;
use super::super::job::Operation;
use super::super::layout::{Layout, Table};
use super::super::value::Value;
use super::retire::{Part, close_part, close_rows, close_tags};
use super::source::SourceRow;
use super::{check_state, finish_job, json_ints, json_texts, now, scope, source};
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
                "UPDATE sources SET mark = mark + 1, session_mark = mark + 1, \
                 session_started = $1, session_scopes = NULL WHERE pk = $2"
                    .into(),
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

/// Rows that are looked for, and closed, at a time.
const PART: usize = 20_000;

fn note(retired: &mut Retired, table: &Table, count: u64) {
    if count > 0 {
        let known = retired.entry(table.name.clone()).or_default();
        *known = known.saturating_add(count);
    }
}

async fn has_rows(conn: &mut dyn Conn, table: &Table) -> Result<bool> {
    let sql = format!("SELECT 1 FROM {} LIMIT 1", quote(&table.current()));
    Ok(!conn.fetch(sql, Vec::new()).await?.is_empty())
}

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
        let sweep = Sweep::new(conn, &source, session).await?;
        // Edges first: most of those at vertices that go were not reported either.
        let mut linked = Vec::new();
        for edge in self.layout.edges() {
            let count = sweep.close_stale(conn, edge, &[]).await?;
            note(&mut retired, edge, count.values().sum());
            if has_rows(conn, edge).await? {
                linked.push(edge);
            }
        }
        for vertex in self.layout.vertices() {
            let mut counts = sweep.close_stale(conn, vertex, &linked).await?;
            if let Some(count) = counts.remove(&vertex.name).filter(|&count| count > 0) {
                note(&mut retired, vertex, count);
                close_tags(conn, vertex, source.pk).await?;
            }
            for edge in &linked {
                note(
                    &mut retired,
                    edge,
                    counts.remove(&edge.name).unwrap_or_default(),
                );
            }
        }
        conn.execute(
            "UPDATE sources SET session_mark = NULL, session_started = NULL, \
             session_scopes = NULL WHERE pk = $1"
                .into(),
            vec![source.pk.into()],
        )
        .await?;
        scope::prune(conn, &self.layout, source.pk).await?;
        finish_job(conn, &self.job, "close_session", None).await?;
        Ok(retired)
    }
}

/// Which rows the end of a session retires.
struct Sweep {
    /// Chooses rows that are not reported in the session and may go.
    stale: String,
    /// Arguments from `$2` on.
    args: Vec<Value>,
}

impl Sweep {
    async fn new(conn: &mut dyn Conn, source: &SourceRow, session: i64) -> Result<Self> {
        let mut sweep = Self {
            stale: "\"_source\" = $2 AND \"_mark\" < $3".to_owned(),
            args: vec![source.pk.into(), session.into()],
        };
        if let Some(listed) = &source.session_scopes {
            let sets = scope::complete(conn, source.pk, listed).await?;
            sweep.stale.push_str(" AND \"_scopes\" IN ");
            sweep.stale.push_str(&conn.dialect().ints(4));
            sweep.args.push(json_ints(&sets));
        }
        Ok(sweep)
    }

    /// Closes what was not reported in a table, and the rows of `linked` edge tables at it, and
    /// returns how many each were. The table is read once, in parts, so that the memory that is
    /// needed does not depend on how many rows go.
    async fn close_stale(
        &self,
        conn: &mut dyn Conn,
        table: &Table,
        linked: &[&Table],
    ) -> Result<Retired> {
        let mut closed = Retired::new();
        let mut last = i64::MIN;
        loop {
            let part = Part {
                condition: &self.stale,
                args: &self.args,
                after: last,
                most: PART,
            };
            let rows = close_part(conn, table, part).await?;
            let Some(&(highest, _)) = rows.last() else {
                return Ok(closed);
            };
            note(
                &mut closed,
                table,
                u64::try_from(rows.len()).unwrap_or(u64::MAX),
            );
            if !linked.is_empty() {
                let ids = json_texts(rows.iter().map(|(_, id)| id.as_str()));
                for edge in linked {
                    let count = self.close_at(conn, edge, table, &ids).await?;
                    note(&mut closed, edge, count);
                }
            }
            if rows.len() < PART {
                return Ok(closed);
            }
            last = highest;
        }
    }

    /// Closes the edges at vertices.
    async fn close_at(
        &self,
        conn: &mut dyn Conn,
        edge: &Table,
        vertex: &Table,
        ids: &Value,
    ) -> Result<u64> {
        let mut count = 0_u64;
        let (Some((from, to)), Some(source)) = (&edge.ends, self.args.first()) else {
            return Ok(count);
        };
        for (end, column) in [(from, "_from"), (to, "_to")] {
            if *end == vertex.name {
                let texts = conn.dialect().texts(3);
                let condition = format!("\"_source\" = $2 AND \"{column}\" IN {texts}");
                let args = vec![source.clone(), ids.clone()];
                count = count.saturating_add(close_rows(conn, edge, &condition, args).await?);
            }
        }
        Ok(count)
    }

    /// Chooses edges that may go, and those at vertices that are about to.
    fn edge_condition(&self, edge: &Table, shrunk: &[&Table]) -> String {
        let mut parts = vec![self.stale.clone()];
        if let Some((from, to)) = &edge.ends {
            for (end, column) in [(from, "_from"), (to, "_to")] {
                if let Some(vertex) = shrunk.iter().find(|vertex| vertex.name == *end) {
                    parts.push(format!(
                        "\"{column}\" IN (SELECT \"_id\" FROM {} WHERE {})",
                        quote(&vertex.current()),
                        self.stale
                    ));
                }
            }
        }
        format!("\"_source\" = $2 AND (({}))", parts.join(") OR ("))
    }

    async fn count(&self, conn: &mut dyn Conn, table: &Table, condition: &str) -> Result<u64> {
        // `$1` is named so that both databases know its type.
        let sql = format!(
            "SELECT count(*) FROM {} WHERE $1 >= 0 AND {condition}",
            quote(&table.current())
        );
        let mut args = vec![Value::Int(0)];
        args.extend(self.args.clone());
        let rows = conn.fetch(sql, args).await?;
        let count = rows.first().and_then(|row| row.int(0)).unwrap_or_default();
        Ok(u64::try_from(count).unwrap_or_default())
    }
}

/// Tells what closing the session now would retire.
pub(crate) async fn preview(
    conn: &mut dyn Conn,
    layout: &Layout,
    key: &str,
) -> Result<SweepPreview> {
    let source = source::find(conn, key)
        .await?
        .ok_or_else(|| source::unknown(key))?;
    let mut preview = SweepPreview {
        open: source.session.is_some(),
        started_at: source.session_started,
        would_retire: Retired::new(),
        scopes: scope::known(conn, layout, source.pk).await?,
    };
    let Some(session) = source.session else {
        return Ok(preview);
    };
    let sweep = Sweep::new(conn, &source, session).await?;
    let mut shrunk = Vec::new();
    for vertex in layout.vertices() {
        let count = sweep.count(conn, vertex, &sweep.stale).await?;
        if count > 0 {
            shrunk.push(vertex);
            preview.would_retire.insert(vertex.name.clone(), count);
        }
    }
    for edge in layout.edges() {
        let condition = sweep.edge_condition(edge, &shrunk);
        let count = sweep.count(conn, edge, &condition).await?;
        if count > 0 {
            preview.would_retire.insert(edge.name.clone(), count);
        }
    }
    Ok(preview)
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
