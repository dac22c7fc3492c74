//! Applying an import: what is new is inserted, what changed gets a new version, what is equal
//! is only marked as reported again.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use car_schema::{Identity, Report, Source};

use super::super::conn::Conn;
use super::super::dialect::quote;
use super::super::job::Operation;
use super::super::layout::{FieldColumn, Layout, Table};
use super::super::value::Value;
use super::natural::Keys;
use super::retire::close_numbers;
use super::scope::{self, Scope};
use super::source::{self, SourceRow};
use super::tags::write_tags;
use super::{check_state, json_ints, json_pairs, json_texts, late, now, unique};
use crate::error::Result;

/// A row that is ready to be stored.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReadyRow {
    /// Identity of a vertex, or where an edge starts.
    pub(crate) id: String,
    /// Where an edge ends; empty for vertices.
    pub(crate) to: String,
    /// Hash of everything that is not bookkeeping.
    pub(crate) hash: i64,
    /// Values of the fields with columns, in the order of the table.
    pub(crate) fields: Vec<Value>,
    /// Custom properties, as JSON.
    pub(crate) properties: Option<String>,
    /// Identity across sources.
    pub(crate) connecting: Option<String>,
    /// Tags to add.
    pub(crate) tag: Vec<String>,
    /// Tags to take off.
    pub(crate) untag: Vec<String>,
    /// Which of the rows of its collection it is.
    pub(crate) position: u64,
    /// Hash of the bytes that say all this, by which a sender can tell that they are known;
    /// `None` when they are never the same twice.
    pub(crate) raw: Option<i64>,
    /// Whether the ends are external ids of natural-key vertices, which may have other keys.
    pub(crate) by_external_id: [bool; 2],
}

/// Rows of one collection, each identity once.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Batch {
    /// Number of the table in the layout.
    pub(crate) table: usize,
    /// The rows.
    pub(crate) rows: Vec<ReadyRow>,
}

/// Rows from which on an import has a commit of its own.
const LARGE: usize = 2_000;

/// One import.
pub(crate) struct Import {
    /// The tables.
    pub(crate) layout: Arc<Layout>,
    /// Version of the model that the layout is of.
    pub(crate) model: i64,
    /// Its name.
    pub(crate) id: String,
    /// Who reports.
    pub(crate) source: Source,
    /// In which run.
    pub(crate) report: Report,
    /// The rows, vertices first.
    pub(crate) batches: Vec<Batch>,
}

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Applied {
    /// Rows that were not there before.
    pub(crate) created: usize,
    /// Rows that got a new version.
    pub(crate) changed: usize,
    /// Rows that were equal.
    pub(crate) unchanged: usize,
}

/// What all rows of an import share.
pub(super) struct Stamp {
    pub(super) source: i64,
    pub(super) scope: Option<Scope>,
    mark: i64,
    now: i64,
    seen: i64,
    report: Value,
}

impl Stamp {
    /// Writes down who reports and in which run, and locks the source for this writer.
    pub(super) async fn new(conn: &mut dyn Conn, source: &Source, report: &Report) -> Result<Self> {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a time in milliseconds fits"
        )]
        let seen = report.timestamp as i64;
        let key = report.key.as_deref();
        let source = source::upsert(conn, source, Some(seen), key).await?;
        write_report(conn, &source, report, seen).await?;
        let scope = match &report.scope {
            Some(name) => Some(scope::intern(conn, source.pk, name).await?),
            None => None,
        };
        Ok(Self {
            source: source.pk,
            mark: source.mark,
            now: now(),
            seen,
            report: Value::opt_text(key),
            scope,
        })
    }
}

#[async_trait]
impl Operation for Import {
    type Output = Applied;

    fn is_large(&self) -> bool {
        let rows = self.batches.iter().map(|batch| batch.rows.len());
        rows.sum::<usize>() >= LARGE
    }

    async fn apply(self, conn: &mut dyn Conn) -> Result<Applied> {
        prepare(conn, self.model).await?;
        let stamp = Stamp::new(conn, &self.source, &self.report).await?;
        let mut applied = Applied::default();
        let mut count = 0_usize;
        for batch in self.batches {
            let Some(table) = self.layout.at(batch.table) else {
                continue;
            };
            count = count.saturating_add(batch.rows.len());
            let one = apply_batch(conn, &self.layout, table, &stamp, batch.rows).await?;
            applied.created = applied.created.saturating_add(one.created);
            applied.changed = applied.changed.saturating_add(one.changed);
            applied.unchanged = applied.unchanged.saturating_add(one.unchanged);
        }
        conn.execute(
            "INSERT INTO imports (id, source, at, row_count) VALUES ($1, $2, $3, $4)".into(),
            vec![
                self.id.into(),
                stamp.source.into(),
                stamp.now.into(),
                i64::try_from(count).unwrap_or(i64::MAX).into(),
            ],
        )
        .await?;
        Ok(applied)
    }
}

/// Begins a write of reported rows.
pub(super) async fn prepare(conn: &mut dyn Conn, model: i64) -> Result<()> {
    check_state(conn, model).await?;
    if let Some(sql) = conn.dialect().prefer_indexes() {
        conn.execute(sql.into(), Vec::new()).await?;
    }
    Ok(())
}

async fn write_report(
    conn: &mut dyn Conn,
    source: &SourceRow,
    report: &Report,
    seen: i64,
) -> Result<()> {
    let Some(key) = &report.key else {
        return Ok(());
    };
    conn.execute(
        "INSERT INTO reports (source, key, at, type, description, parameters, value) \
         VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (source, key) DO UPDATE SET \
         at = excluded.at, type = coalesce(excluded.type, reports.type), \
         description = coalesce(excluded.description, reports.description), \
         parameters = coalesce(excluded.parameters, reports.parameters), \
         value = coalesce(excluded.value, reports.value)"
            .into(),
        vec![
            source.pk.into(),
            key.as_str().into(),
            seen.into(),
            Value::opt_text(report.ty.as_deref()),
            Value::opt_text(report.description.as_deref()),
            Value::opt_text(report.parameters.as_deref()),
            Value::opt_text(report.value.as_deref()),
        ],
    )
    .await?;
    Ok(())
}

async fn apply_batch(
    conn: &mut dyn Conn,
    layout: &Layout,
    table: &Table,
    stamp: &Stamp,
    rows: Vec<ReadyRow>,
) -> Result<Applied> {
    let rows = resolve_ends(conn, layout, table, stamp.source, rows).await?;
    let known = look_up(conn, table, stamp.source, &rows).await?;
    let before = known.0.values().map(|known| known.scopes);
    let grown = scope::grow(conn, stamp.source, stamp.scope, before).await?;
    let (mut same, mut stale, mut write) = (Vec::new(), Vec::new(), Vec::new());
    let mut moved = Vec::new();
    let (mut tag, mut untag) = (Vec::new(), Vec::new());
    for row in rows {
        tag.extend(row.tag.iter().map(|name| (row.id.clone(), name.clone())));
        untag.extend(row.untag.iter().map(|name| (row.id.clone(), name.clone())));
        match known.get(&row.id, &row.to) {
            Some(known) if known.hash == row.hash => {
                let scopes = grown.of(known.scopes);
                if scopes == known.scopes && row.raw == known.raw {
                    same.push(known.pk);
                } else {
                    moved.push((known.pk, row.raw, scopes));
                }
            }
            Some(known) => {
                stale.push(known.pk);
                write.push((row, grown.of(known.scopes)));
            }
            None => write.push((row, grown.of(None))),
        }
    }
    let applied = Applied {
        created: write.len().saturating_sub(stale.len()),
        changed: stale.len(),
        unchanged: same.len().saturating_add(moved.len()),
    };
    touch(conn, table, stamp, &same, &moved).await?;
    if !stale.is_empty() {
        close_numbers(conn, table, &stale).await?;
    }
    if !write.is_empty() {
        let names = external_names(table, &write);
        let unique = table.fields.iter().any(|field| field.unique);
        let keys: Vec<(String, String)> = write
            .iter()
            .filter(|_| unique)
            .map(|(row, _)| (row.id.clone(), row.to.clone()))
            .collect();
        let rows = write
            .into_iter()
            .map(|(row, scopes)| to_values(table, stamp, row, scopes));
        conn.insert_many(&table.current(), &table.columns(), Box::new(rows))
            .await?;
        if unique {
            unique::check(conn, table, stamp.source, &keys).await?;
        }
        late::name_edges(conn, layout, table, stamp.source, &names).await?;
    }
    write_tags(conn, table, (stamp.source, stamp.now), &tag, &untag).await?;
    Ok(applied)
}

/// Returns external id and key of natural-key vertices where the two differ.
fn external_names(table: &Table, rows: &[(ReadyRow, Option<i64>)]) -> Vec<(String, String)> {
    if table.identity != Some(Identity::Key) {
        return Vec::new();
    }
    let column = |field: &FieldColumn| field.name == "external_id";
    let Some(place) = table.fields.iter().position(column) else {
        return Vec::new();
    };
    rows.iter()
        .filter_map(|(row, _)| Some((row.fields.get(place)?.as_str()?, row.id.as_str())))
        .filter(|(external, key)| external != key)
        .map(|(external, key)| (external.to_owned(), key.to_owned()))
        .collect()
}

/// A row that is reported again as it is: its number, the hash of its bytes, its scopes.
pub(super) type Moved = (i64, Option<i64>, Option<i64>);

/// Notes that rows were reported again, `same` ones with nothing else to note.
pub(super) async fn touch(
    conn: &mut dyn Conn,
    table: &Table,
    stamp: &Stamp,
    same: &[i64],
    moved: &[Moved],
) -> Result<()> {
    let current = quote(&table.current());
    let head = || vec![stamp.seen.into(), stamp.report.clone(), stamp.mark.into()];
    if !same.is_empty() {
        let sql = format!(
            "UPDATE {current} SET \"_seen\" = $1, \"_report\" = $2, \"_mark\" = $3 \
             WHERE \"_pk\" IN {}",
            conn.dialect().ints(4)
        );
        let mut args = head();
        args.push(json_ints(same));
        conn.execute(sql, args).await?;
    }
    if !moved.is_empty() {
        let sql = format!(
            "UPDATE {current} SET \"_seen\" = $1, \"_report\" = $2, \"_mark\" = $3, \
             \"_raw\" = p.b, \"_scopes\" = p.c FROM {} p WHERE \"_pk\" = p.a",
            conn.dialect().int_triples(4)
        );
        let mut args = head();
        args.push(Value::Text(serde_json::json!(moved).to_string()));
        conn.execute(sql, args).await?;
    }
    Ok(())
}

/// A row that is there already.
#[derive(Debug, Clone, Copy)]
pub(crate) struct KnownRow {
    pub(crate) pk: i64,
    pub(crate) hash: i64,
    raw: Option<i64>,
    scopes: Option<i64>,
}

/// Rows that are there already, by identity.
pub(crate) struct Known(HashMap<(String, String), KnownRow>);

impl Known {
    /// Finds the row with an identity.
    pub(crate) fn get(&self, id: &str, to: &str) -> Option<&KnownRow> {
        self.0.get(&(id, to) as &dyn PairKey)
    }
}

/// Finds the rows of a source that are there already.
pub(crate) async fn look_up(
    conn: &mut dyn Conn,
    table: &Table,
    source: i64,
    rows: &[ReadyRow],
) -> Result<Known> {
    let current = quote(&table.current());
    if table.is_edge() {
        let sql = format!(
            "SELECT t.\"_pk\", t.\"_hash\", t.\"_raw\", t.\"_scopes\", t.\"_from\", t.\"_to\" FROM {} p CROSS JOIN {current} t \
             WHERE t.\"_source\" = $1 AND t.\"_from\" = p.a AND t.\"_to\" = p.b",
            conn.dialect().pairs(2)
        );
        let pairs = json_pairs(rows.iter().map(|row| (row.id.as_str(), row.to.as_str())));
        let found = conn.fetch(sql, vec![source.into(), pairs]).await?;
        return Ok(Known(found.into_iter().filter_map(decode_known).collect()));
    }
    let sql = format!(
        "SELECT \"_pk\", \"_hash\", \"_raw\", \"_scopes\", \"_id\" FROM {current} WHERE \"_source\" = $1 AND \"_id\" IN {}",
        conn.dialect().texts(2)
    );
    let ids = json_texts(rows.iter().map(|row| row.id.as_str()));
    let found = conn.fetch(sql, vec![source.into(), ids]).await?;
    Ok(Known(found.into_iter().filter_map(decode_known).collect()))
}

fn decode_known(row: super::super::value::Row) -> Option<((String, String), KnownRow)> {
    let known = KnownRow {
        pk: row.int(0)?,
        hash: row.int(1)?,
        raw: row.int(2),
        scopes: row.int(3),
    };
    let mut texts = row.0.into_iter().skip(4).filter_map(Value::into_text);
    Some(((texts.next()?, texts.next().unwrap_or_default()), known))
}

/// Lets a map with owned pairs as keys be asked with borrowed ones.
trait PairKey {
    fn pair(&self) -> (&str, &str);
}

impl PairKey for (String, String) {
    fn pair(&self) -> (&str, &str) {
        (&self.0, &self.1)
    }
}

impl PairKey for (&str, &str) {
    fn pair(&self) -> (&str, &str) {
        (self.0, self.1)
    }
}

impl<'a> std::borrow::Borrow<dyn PairKey + 'a> for (String, String) {
    fn borrow(&self) -> &(dyn PairKey + 'a) {
        self
    }
}

impl std::hash::Hash for dyn PairKey + '_ {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.pair().hash(state);
    }
}

impl PartialEq for dyn PairKey + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.pair() == other.pair()
    }
}

impl Eq for dyn PairKey + '_ {}

fn to_values(table: &Table, stamp: &Stamp, row: ReadyRow, scopes: Option<i64>) -> Vec<Value> {
    let mut values = Vec::with_capacity(row.fields.len().saturating_add(12));
    values.push(Value::Int(stamp.source));
    values.push(Value::Text(row.id));
    if table.is_edge() {
        values.push(Value::Text(row.to));
    }
    values.extend([
        Value::Int(stamp.now),
        Value::Int(stamp.seen),
        stamp.report.clone(),
        Value::Int(stamp.mark),
        Value::Int(row.hash),
        Value::opt_text(row.properties),
        Value::opt_int(row.raw),
        Value::opt_int(scopes),
    ]);
    if !table.is_edge() {
        values.push(Value::opt_text(row.connecting));
    }
    values.extend(row.fields);
    values
}

/// Replaces external ids of natural-key vertices at the ends of edges by their keys, where the
/// vertex is known.
pub(crate) async fn resolve_ends(
    conn: &mut dyn Conn,
    layout: &Layout,
    table: &Table,
    source: i64,
    mut rows: Vec<ReadyRow>,
) -> Result<Vec<ReadyRow>> {
    let Some((from, to)) = &table.ends else {
        return Ok(rows);
    };
    let mut moved = false;
    for (index, collection) in [from, to].into_iter().enumerate() {
        let Some(vertex) = layout.get(collection) else {
            continue;
        };
        let ends: Vec<&mut String> = rows
            .iter_mut()
            .filter(|row| row.by_external_id.get(index).copied().unwrap_or_default())
            .map(|row| if index == 0 { &mut row.id } else { &mut row.to })
            .collect();
        let ids = ends.iter().map(|end| end.as_str());
        let keys = Keys::find(conn, vertex, source, ids).await?;
        moved |= keys.name(ends.into_iter());
    }
    if moved {
        // Two names of one vertex can make two edges one: the last stays.
        let mut last: HashMap<(String, String), ReadyRow> = HashMap::new();
        for row in rows.drain(..) {
            last.insert((row.id.clone(), row.to.clone()), row);
        }
        rows = last.into_values().collect();
    }
    Ok(rows)
}
