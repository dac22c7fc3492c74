//! Scopes: the parts of a source that are read, and proved complete, on their own.
//!
//! A row belongs to every scope that it was reported in. The sets that occur are kept once per
//! source, and a row holds the number of its set, so that reporting a row again costs nothing
//! more than it did without scopes.

use std::collections::{BTreeSet, HashMap, HashSet};

use super::super::conn::Conn;
use super::super::dialect::quote;
use super::super::layout::Layout;
use super::super::value::Value;
use super::json_ints;
use crate::error::{Error, Result};

/// Longest name of a scope, in bytes: what both databases can keep in an index.
pub(crate) const LONGEST: usize = 1024;

/// Most scopes that a row is remembered to be in. A row in more counts as being in all of the
/// source, so that it is only retired when nothing was left out.
pub(crate) const MOST: usize = 256;

/// What a name of a scope must be like, for error texts.
pub(crate) const RULE: &str = "the name of a scope has 1 to 1024 bytes and no zero character";

/// Tells whether a text can name a scope.
pub(crate) fn is_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= LONGEST && !name.contains('\0')
}

/// Returns the error of a name that cannot be one.
pub(crate) fn invalid() -> Error {
    Error::bad_request("invalid_scope", RULE)
}

/// The scope that an import reports.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope {
    /// Its number.
    pk: i64,
    /// Number of the set of it alone.
    pub(crate) alone: i64,
}

/// Finds or makes a scope of a source that is locked.
pub(crate) async fn intern(conn: &mut dyn Conn, source: i64, name: &str) -> Result<Scope> {
    let find = "SELECT pk FROM scopes WHERE source = $1 AND name = $2";
    let insert = "INSERT INTO scopes (source, name) VALUES ($1, $2) RETURNING pk";
    let pk = number(conn, find, insert, [source.into(), name.into()], None).await?;
    let alone = set(conn, source, Some(&[pk])).await?;
    Ok(Scope { pk, alone })
}

/// Finds or makes a set of scopes; `None` is the set of all.
async fn set(conn: &mut dyn Conn, source: i64, members: Option<&[i64]>) -> Result<i64> {
    let members = members.map_or(Value::Null, json_ints);
    // Long lists do not fit into an index, and a hash does.
    let digest = match members.as_str() {
        Some(text) => format!("{:032x}", xxhash_rust::xxh3::xxh3_128(text.as_bytes())),
        None => "all".to_owned(),
    };
    let find = "SELECT pk FROM scope_sets WHERE source = $1 AND digest = $2";
    let insert =
        "INSERT INTO scope_sets (source, digest, members) VALUES ($1, $2, $3) RETURNING pk";
    let args = [source.into(), digest.into()];
    number(conn, find, insert, args, Some(members)).await
}

async fn number(
    conn: &mut dyn Conn,
    find: &str,
    insert: &str,
    args: [Value; 2],
    more: Option<Value>,
) -> Result<i64> {
    let mut args = args.to_vec();
    let mut rows = conn.fetch(find.to_owned(), args.clone()).await?;
    if rows.is_empty() {
        args.extend(more);
        rows = conn.fetch(insert.to_owned(), args).await?;
    }
    rows.first()
        .and_then(|row| row.int(0))
        .ok_or_else(|| Error::internal("write the scope", "no row came back"))
}

/// Which set a row is in after it was reported, by the one it was in before.
#[derive(Debug, Default)]
pub(crate) struct Grown {
    alone: Option<i64>,
    sets: HashMap<i64, i64>,
}

impl Grown {
    /// Returns the set after the report.
    pub(crate) fn of(&self, before: Option<i64>) -> Option<i64> {
        match before {
            None => self.alone,
            Some(set) => Some(self.sets.get(&set).copied().unwrap_or(set)),
        }
    }
}

/// Adds a scope to sets.
pub(crate) async fn grow(
    conn: &mut dyn Conn,
    source: i64,
    scope: Option<Scope>,
    sets: impl Iterator<Item = Option<i64>>,
) -> Result<Grown> {
    let Some(scope) = scope else {
        return Ok(Grown::default());
    };
    let mut grown = Grown {
        alone: Some(scope.alone),
        sets: HashMap::new(),
    };
    let sets: BTreeSet<i64> = sets.flatten().filter(|&set| set != scope.alone).collect();
    if sets.is_empty() {
        return Ok(grown);
    }
    for (before, members) in members(conn, source, Some(sets)).await? {
        let Some(mut members) = members else {
            continue;
        };
        if members.insert(scope.pk) {
            let list: Vec<i64> = members.into_iter().collect();
            let list = (list.len() <= MOST).then_some(list);
            let after = set(conn, source, list.as_deref()).await?;
            grown.sets.insert(before, after);
        }
    }
    Ok(grown)
}

/// Reads what is in sets of a source, or in all of its sets; `None` is the set of all scopes.
async fn members(
    conn: &mut dyn Conn,
    source: i64,
    sets: Option<BTreeSet<i64>>,
) -> Result<Vec<(i64, Option<BTreeSet<i64>>)>> {
    let mut sql = "SELECT pk, members FROM scope_sets WHERE source = $1".to_owned();
    let mut args = vec![source.into()];
    if let Some(sets) = sets {
        sql.push_str(" AND pk IN ");
        sql.push_str(&conn.dialect().ints(2));
        args.push(json_ints(&sets.into_iter().collect::<Vec<_>>()));
    }
    conn.fetch(sql, args)
        .await?
        .iter()
        .map(|row| {
            let members = row
                .str(1)
                .map(serde_json::from_str)
                .transpose()
                .map_err(|error| Error::internal("read a set of scopes", error))?;
            Ok((row.int(0).unwrap_or_default(), members))
        })
        .collect()
}

async fn names(conn: &mut dyn Conn, source: i64) -> Result<HashMap<i64, String>> {
    let sql = "SELECT pk, name FROM scopes WHERE source = $1";
    let rows = conn.fetch(sql.into(), vec![source.into()]).await?;
    Ok(rows
        .into_iter()
        .filter_map(|row| Some((row.int(0)?, row.0.into_iter().nth(1)?.into_text()?)))
        .collect())
}

/// Returns the sets of which every scope is listed.
pub(crate) async fn complete(
    conn: &mut dyn Conn,
    source: i64,
    listed: &BTreeSet<String>,
) -> Result<Vec<i64>> {
    let names = names(conn, source).await?;
    let open: HashSet<i64> = names
        .into_iter()
        .filter(|(_, name)| !listed.contains(name))
        .map(|(pk, _)| pk)
        .collect();
    let complete = |members: &Option<BTreeSet<i64>>| match members {
        Some(members) => members.iter().all(|scope| !open.contains(scope)),
        None => open.is_empty(),
    };
    Ok(members(conn, source, None)
        .await?
        .into_iter()
        .filter(|(_, members)| complete(members))
        .map(|(pk, _)| pk)
        .collect())
}

/// Returns the sets that rows of a source are in.
async fn live(conn: &mut dyn Conn, layout: &Layout, source: i64) -> Result<BTreeSet<i64>> {
    let mut live = BTreeSet::new();
    for table in layout.tables() {
        let sql = format!(
            "SELECT DISTINCT \"_scopes\" FROM {} WHERE \"_source\" = $1",
            quote(&table.current())
        );
        let rows = conn.fetch(sql, vec![source.into()]).await?;
        live.extend(rows.iter().filter_map(|row| row.int(0)));
    }
    Ok(live)
}

/// Returns the names of the scopes that the source has rows of.
pub(crate) async fn known(
    conn: &mut dyn Conn,
    layout: &Layout,
    source: i64,
) -> Result<BTreeSet<String>> {
    let mut names = names(conn, source).await?;
    if names.is_empty() {
        return Ok(BTreeSet::new());
    }
    let live = live(conn, layout, source).await?;
    let mut known = BTreeSet::new();
    for (_, members) in members(conn, source, Some(live)).await? {
        match members {
            Some(members) => known.extend(members.iter().filter_map(|scope| names.remove(scope))),
            None => known.extend(names.drain().map(|(_, name)| name)),
        }
    }
    Ok(known)
}

/// Forgets sets and scopes of a source that no row is in any more.
pub(crate) async fn prune(conn: &mut dyn Conn, layout: &Layout, source: i64) -> Result<()> {
    let names = names(conn, source).await?;
    if names.is_empty() {
        return Ok(());
    }
    let live = live(conn, layout, source).await?;
    let mut scopes = BTreeSet::new();
    for (_, members) in members(conn, source, Some(live.clone())).await? {
        match members {
            Some(members) => scopes.extend(members),
            // A row may be in any of them.
            None => scopes.extend(names.keys().copied()),
        }
    }
    for (table, keep) in [("scope_sets", live), ("scopes", scopes)] {
        let sql = format!(
            "DELETE FROM {table} WHERE source = $1 AND pk NOT IN {}",
            conn.dialect().ints(2)
        );
        let keep: Vec<i64> = keep.into_iter().collect();
        conn.execute(sql, vec![source.into(), json_ints(&keep)])
            .await?;
    }
    Ok(())
}
