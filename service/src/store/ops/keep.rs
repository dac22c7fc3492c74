//! Marking rows as still there: the source has them, though it could not report them in a form
//! that the model takes. Closing the session then leaves them as they are. The same call lists the
//! scopes that were read to their end.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use car_schema::wire::SessionPatch;

use super::super::conn::Conn;
use super::super::dialect::quote;
use super::super::job::Operation;
use super::super::layout::{Layout, Table};
use super::super::value::Value;
use super::session::no_session;
use super::{check_state, json_pairs, json_texts, scope, source};
use crate::error::{Error, Result};

/// Keeps rows out of the sweep of the open session, and the edges at kept vertices with them.
pub(crate) struct Keep {
    /// The tables.
    pub(crate) layout: Arc<Layout>,
    /// Version of the model that the layout is of.
    pub(crate) model: i64,
    /// The source.
    pub(crate) source: String,
    /// What to keep.
    pub(crate) rows: SessionPatch,
}

#[async_trait]
impl Operation for Keep {
    type Output = BTreeMap<String, u64>;

    async fn apply(self, conn: &mut dyn Conn) -> Result<Self::Output> {
        check_state(conn, self.model).await?;
        let source = source::lock(conn, &self.source)
            .await?
            .ok_or_else(|| source::unknown(&self.source))?;
        let session = source.session.ok_or_else(|| no_session(&self.source))?;
        if let Some(listed) = &self.rows.complete_scopes {
            if !listed.iter().all(|name| scope::is_name(name)) {
                return Err(scope::invalid());
            }
            conn.execute(
                "UPDATE sources SET session_scopes = $1 WHERE pk = $2".into(),
                vec![
                    json_texts(listed.iter().map(String::as_str)),
                    source.pk.into(),
                ],
            )
            .await?;
        }
        let mut kept = BTreeMap::new();
        for (name, ids) in &self.rows.vertices {
            let table = self.table(name, false)?;
            let ids = json_texts(ids.iter().map(String::as_str));
            let args = || vec![session.into(), source.pk.into(), ids.clone()];
            let texts = conn.dialect().texts(3);
            let condition = format!("\"_id\" IN {texts}");
            note(
                &mut kept,
                name,
                mark(conn, table, &condition, args()).await?,
            );
            for edge in self.layout.edges() {
                let Some((from, to)) = &edge.ends else {
                    continue;
                };
                for (end, column) in [(from, "_from"), (to, "_to")] {
                    if end == name {
                        let condition = format!("\"{column}\" IN {texts}");
                        note(
                            &mut kept,
                            &edge.name,
                            mark(conn, edge, &condition, args()).await?,
                        );
                    }
                }
            }
        }
        for (name, pairs) in &self.rows.edges {
            let table = self.table(name, true)?;
            let pairs = json_pairs(pairs.iter().map(|(from, to)| (from.as_str(), to.as_str())));
            let condition = format!(
                "EXISTS (SELECT 1 FROM {} p WHERE p.a = \"_from\" AND p.b = \"_to\")",
                conn.dialect().pairs(3)
            );
            let args = vec![session.into(), source.pk.into(), pairs];
            note(&mut kept, name, mark(conn, table, &condition, args).await?);
        }
        Ok(kept)
    }
}

impl Keep {
    fn table(&self, name: &str, edge: bool) -> Result<&Table> {
        self.layout
            .get(name)
            .filter(|table| table.is_edge() == edge)
            .ok_or_else(|| {
                let kind = if edge { "edge" } else { "vertex" };
                Error::bad_request(
                    "unknown_collection",
                    format!("there is no {kind} collection `{name}`"),
                )
            })
    }
}

/// Gives the mark `$1` to rows of source `$2` that a condition chooses.
async fn mark(
    conn: &mut dyn Conn,
    table: &Table,
    condition: &str,
    args: Vec<Value>,
) -> Result<u64> {
    let sql = format!(
        "UPDATE {} SET \"_mark\" = $1 WHERE \"_source\" = $2 AND \"_mark\" < $1 AND {condition}",
        quote(&table.current())
    );
    conn.execute(sql, args).await
}

fn note(kept: &mut BTreeMap<String, u64>, name: &str, rows: u64) {
    let count = kept.entry(name.to_owned()).or_default();
    *count = count.saturating_add(rows);
}
