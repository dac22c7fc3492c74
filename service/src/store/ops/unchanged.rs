//! Rows that their sender believes to be known: those that are count as reported, without having
//! been sent.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use car_schema::wire::Changed;
use car_schema::{Identity, Report, Source};
use serde_json::json;

use super::super::conn::Conn;
use super::super::dialect::quote;
use super::super::job::Operation;
use super::super::layout::{Layout, Table};
use super::super::value::Value;
use super::import::{Stamp, prepare, touch};
use super::natural::Keys;
use super::scope;
use crate::error::Result;

/// A row that its sender believes to be known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// Identity of a vertex, or where an edge starts.
    pub(crate) id: String,
    /// Where an edge ends; empty for vertices.
    pub(crate) to: String,
    /// Hash of its bytes, as an import remembers it.
    pub(crate) raw: i64,
}

/// Asks which rows are not as their sender believes, and reports the others.
pub(crate) struct Unchanged {
    /// The tables.
    pub(crate) layout: Arc<Layout>,
    /// Version of the model that the layout is of.
    pub(crate) model: i64,
    /// Who reports.
    pub(crate) source: Source,
    /// In which run.
    pub(crate) report: Report,
    /// Claims by number of the table in the layout.
    pub(crate) claims: BTreeMap<usize, Vec<Claim>>,
}

#[async_trait]
impl Operation for Unchanged {
    /// Rows that have to be sent, and how many need not.
    type Output = (Changed, usize);

    async fn apply(self, conn: &mut dyn Conn) -> Result<Self::Output> {
        prepare(conn, self.model).await?;
        let stamp = Stamp::new(conn, &self.source, &self.report).await?;
        let mut changed = Changed::default();
        let mut known = 0_usize;
        for (number, mut claims) in self.claims {
            let Some(table) = self.layout.at(number) else {
                continue;
            };
            name_ends(conn, &self.layout, table, stamp.source, &mut claims).await?;
            let there = report(conn, table, &stamp, &claims).await?;
            known = known.saturating_add(there.iter().filter(|there| **there).count());
            let missing: Vec<u64> = (0_u64..)
                .zip(there)
                .filter(|(_, there)| !there)
                .map(|(position, _)| position)
                .collect();
            if !missing.is_empty() {
                changed.changed.insert(table.name.clone(), missing);
            }
        }
        Ok((changed, known))
    }
}

/// Names the ends of edges by the keys of their vertices, as an import does.
async fn name_ends(
    conn: &mut dyn Conn,
    layout: &Layout,
    table: &Table,
    source: i64,
    claims: &mut [Claim],
) -> Result<()> {
    let Some((from, to)) = &table.ends else {
        return Ok(());
    };
    for (collection, first) in [(from, true), (to, false)] {
        let Some(vertex) = layout
            .get(collection)
            .filter(|vertex| vertex.identity == Some(Identity::Key))
        else {
            continue;
        };
        let end = |claim: &mut Claim| {
            if first {
                std::mem::take(&mut claim.id)
            } else {
                std::mem::take(&mut claim.to)
            }
        };
        let mut ends: Vec<String> = claims.iter_mut().map(end).collect();
        Keys::find(conn, vertex, source, ends.iter().map(String::as_str))
            .await?
            .name(ends.iter_mut());
        for (claim, end) in claims.iter_mut().zip(ends) {
            if first {
                claim.id = end;
            } else {
                claim.to = end;
            }
        }
    }
    Ok(())
}

/// Reports the rows that are as claimed, and tells for each claim whether it is one of them.
async fn report(
    conn: &mut dyn Conn,
    table: &Table,
    stamp: &Stamp,
    claims: &[Claim],
) -> Result<Vec<bool>> {
    let list: Vec<_> = claims
        .iter()
        .map(|claim| json!([claim.id, claim.to, claim.raw]))
        .collect();
    let condition = if table.is_edge() {
        "t.\"_from\" = p.a AND t.\"_to\" = p.b"
    } else {
        "t.\"_id\" = p.a"
    };
    // A row that was changed by hand has no hash, whatever its bytes were.
    let sql = format!(
        "SELECT p.place, t.\"_pk\", t.\"_raw\", t.\"_scopes\" FROM {} p CROSS JOIN {} t \
         WHERE t.\"_source\" = $1 AND {condition} AND t.\"_raw\" = p.c AND t.\"_hash\" <> 0",
        conn.dialect().claims(2),
        quote(&table.current())
    );
    let args = vec![
        stamp.source.into(),
        Value::Text(serde_json::Value::from(list).to_string()),
    ];
    let found = conn.fetch(sql, args).await?;
    let before = found.iter().map(|row| row.int(3));
    let grown = scope::grow(conn, stamp.source, stamp.scope, before).await?;
    let mut there = vec![false; claims.len()];
    let (mut same, mut moved) = (Vec::with_capacity(found.len()), Vec::new());
    for row in &found {
        let (Some(place), Some(pk)) = (row.int(0), row.int(1)) else {
            continue;
        };
        if let Some(there) = usize::try_from(place)
            .ok()
            .and_then(|place| there.get_mut(place))
        {
            *there = true;
        }
        let scopes = grown.of(row.int(3));
        if scopes == row.int(3) {
            same.push(pk);
        } else {
            moved.push((pk, row.int(2), scopes));
        }
    }
    touch(conn, table, stamp, &same, &moved).await?;
    Ok(there)
}
