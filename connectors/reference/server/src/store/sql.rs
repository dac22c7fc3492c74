//! The SQL text of every statement, made once from the model.
//!
//! Objects leave SQLite as finished JSON: one statement per chunk builds the objects with all
//! their links, so the number of statements does not depend on the number of objects.

use std::sync::LazyLock;

use super::layout::{CREATED, UNLINKED};
use crate::model::{COLLECTIONS, Collection, Field, Kind, Relation};

/// Statements of one relation. Parameters are described at each field.
#[derive(Debug)]
pub(crate) struct RelationSql {
    /// `?1` JSON list of pks: one that does not exist in the target collection, or no row.
    pub(crate) dangling: String,
    /// `?1` owner, `?2` JSON list of pks: deletes the links that are not in the list.
    pub(crate) unlink_others: String,
    /// `?1` owner, `?2` JSON list of pks: adds the missing links.
    pub(crate) link: String,
    /// `?1` address base, `?2` and `?3` window (exclusive, inclusive), `?4` start of the delta.
    pub(crate) removed: String,
}

/// Statements of one collection.
#[derive(Debug)]
pub(crate) struct CollectionSql {
    /// `?1` base, `?2` after, `?3` limit: `(json list without brackets, last pk)`.
    pub(crate) chunk: String,
    /// As `chunk`, with `?4` = JSON list of the wanted pks.
    pub(crate) chunk_of: String,
    /// `?1` base, `?2` pk.
    pub(crate) one: String,
    /// `?1` after, `?2` limit: `(last pk of the page, whether more follow)`.
    pub(crate) page_end: String,
    /// Number of objects.
    pub(crate) count: String,
    /// `?1` pk or null, then one parameter per field.
    pub(crate) insert: String,
    /// `?1` pk, then two parameters per field: whether to set it, and its value.
    pub(crate) update: String,
    /// `?1` pk.
    pub(crate) delete: String,
    /// `?1` key: its pk.
    pub(crate) find: String,
    /// `?1` base, `?2`, `?3` window, `?4` start of the delta.
    pub(crate) updates: String,
    /// `?2`, `?3` window, `?4` start of the delta.
    pub(crate) deletions: String,
    /// In the order of the model.
    pub(crate) relations: Vec<RelationSql>,
}

static SQL: LazyLock<Vec<CollectionSql>> =
    LazyLock::new(|| COLLECTIONS.iter().map(CollectionSql::new).collect());

/// The statements of `collection`; `None` never happens for a collection of the model.
pub(crate) fn of(collection: &Collection) -> Option<&'static CollectionSql> {
    SQL.get(collection.index())
}

fn field_json(field: &Field) -> String {
    let name = field.name;
    match field.kind {
        Kind::Boolean => {
            format!("'{name}', json(CASE t.{name} WHEN 0 THEN 'false' WHEN 1 THEN 'true' END)")
        }
        Kind::Text | Kind::Integer { .. } | Kind::Number => format!("'{name}', t.{name}"),
    }
}

fn object_json(c: &Collection) -> String {
    let mut parts = vec![
        "'pk', t.pk".to_owned(),
        format!("'url', ?1 || '/{}/' || t.pk || '/'", c.name),
    ];
    parts.extend(c.fields.iter().map(field_json));
    for relation in c.relations {
        let table = c.link_table(relation);
        let address = format!("?1 || '/{}/' || l.target || '/'", relation.target);
        let value = if relation.single {
            format!("(SELECT {address} FROM {table} l WHERE l.owner = t.pk)")
        } else {
            format!("(SELECT json_group_array({address}) FROM {table} l WHERE l.owner = t.pk)")
        };
        parts.push(format!("'{}', {value}", relation.name));
    }
    format!("json_object({})", parts.join(", "))
}

/// Joins a change to the object that has its key now.
fn same_key(c: &Collection, alias: &str, change: &str) -> String {
    match c.key {
        crate::model::Key::Pk => format!("{alias}.pk = CAST({change} AS INTEGER)"),
        crate::model::Key::Field(name) => format!("{alias}.{name} = {change}"),
    }
}

/// The change is in the window and the first one since `?4` for its object.
fn first_of_object(c: &Collection) -> String {
    format!(
        "c.seq > ?2 AND c.seq <= ?3 AND c.collection = '{}' AND NOT EXISTS (SELECT 1 FROM \
         changes p WHERE p.collection = c.collection AND p.key = c.key AND p.seq > ?4 AND p.seq < \
         c.seq)",
        c.name
    )
}

impl CollectionSql {
    fn new(c: &Collection) -> Self {
        let name = c.name;
        let object = object_json(c);
        let columns: Vec<&str> = c.fields.iter().map(|f| f.name).collect();
        let values: Vec<String> = (2..columns.len() + 2).map(|n| format!("?{n}")).collect();
        let sets: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(at, column)| {
                let flag = at * 2 + 2;
                let value = flag + 1;
                format!("{column} = CASE WHEN ?{flag} THEN ?{value} ELSE {column} END")
            })
            .collect();
        let chunk = |filter: &str| {
            format!(
                "SELECT group_concat(j, ',') AS list, max(pk) AS last FROM (SELECT t.pk AS pk, \
                 {object} AS j FROM {name} t WHERE t.pk > ?2{filter} ORDER BY t.pk LIMIT ?3)"
            )
        };
        let first = first_of_object(c);
        Self {
            chunk: chunk(""),
            chunk_of: chunk(" AND t.pk IN (SELECT value FROM json_each(?4))"),
            one: format!("SELECT {object} AS j FROM {name} t WHERE t.pk = ?2"),
            page_end: format!(
                "SELECT last, EXISTS (SELECT 1 FROM {name} WHERE pk > last) AS more FROM (SELECT \
                 max(pk) AS last FROM (SELECT pk FROM {name} WHERE pk > ?1 ORDER BY pk LIMIT ?2))"
            ),
            count: format!("SELECT count(*) FROM {name}"),
            insert: format!(
                "INSERT INTO {name} (pk, {}) VALUES (?1, {})",
                columns.join(", "),
                values.join(", ")
            ),
            update: format!("UPDATE {name} SET {} WHERE pk = ?1", sets.join(", ")),
            delete: format!("DELETE FROM {name} WHERE pk = ?1"),
            find: format!("SELECT pk FROM {name} WHERE {} = ?1", c.key_column()),
            updates: format!(
                "SELECT group_concat(j, ',') AS list FROM (SELECT {object} AS j FROM changes c \
                 JOIN {name} t ON {} WHERE {first} ORDER BY c.seq)",
                same_key(c, "t", "c.key")
            ),
            deletions: format!(
                "SELECT group_concat(json_object('pk', c.pk, 'key', c.key), ',') AS list FROM \
                 changes c WHERE {first} AND c.kind <> {CREATED} AND NOT EXISTS (SELECT 1 FROM \
                 {name} t WHERE {})",
                same_key(c, "t", "c.key")
            ),
            relations: c.relations.iter().map(|r| RelationSql::new(c, r)).collect(),
        }
    }
}

impl RelationSql {
    fn new(c: &Collection, relation: &Relation) -> Self {
        let owner = c.name;
        let field = relation.name;
        let table = c.link_table(relation);
        let target = relation.target();
        let to = target.name;
        Self {
            dangling: format!(
                "SELECT value FROM json_each(?1) WHERE value NOT IN (SELECT pk FROM {to}) LIMIT 1"
            ),
            unlink_others: format!(
                "DELETE FROM {table} WHERE owner = ?1 AND target NOT IN (SELECT value FROM \
                 json_each(?2))"
            ),
            link: format!(
                "INSERT OR IGNORE INTO {table} (owner, target) SELECT ?1, value FROM json_each(?2)"
            ),
            removed: format!(
                "SELECT group_concat(json_object('collection', '{owner}', 'pk', o.pk, 'key', \
                 CAST(o.{} AS TEXT), 'url', ?1 || '/{owner}/' || o.pk || '/', 'field', \
                 '{field}', 'target_collection', '{to}', 'target_pk', t.pk, 'target_key', \
                 CAST(t.{} AS TEXT), 'target', ?1 || '/{to}/' || t.pk || '/'), ',') AS list FROM \
                 changes c JOIN {owner} o ON {} JOIN {to} t ON {} WHERE c.seq > ?2 AND c.seq <= \
                 ?3 AND c.collection = '{owner}' AND c.field = '{field}' AND c.kind = {UNLINKED} \
                 AND NOT EXISTS (SELECT 1 FROM changes p WHERE p.collection = c.collection AND \
                 p.key = c.key AND p.field = c.field AND p.target_key = c.target_key AND p.seq > \
                 ?4 AND p.seq < c.seq) AND NOT EXISTS (SELECT 1 FROM {table} l WHERE l.owner = \
                 o.pk AND l.target = t.pk)",
                c.key_column(),
                target.key_column(),
                same_key(c, "o", "c.key"),
                same_key(target, "t", "c.target_key"),
            ),
        }
    }
}
