//! The tables, indexes and triggers of the database, made from the model.
//!
//! Triggers write the change log: whoever changes a row, the row of the log is in the same
//! transaction.

use crate::model::{COLLECTIONS, Collection, Field, Key, Kind, Relation};

// What happened, as stored in `changes.kind`.
pub(super) const CREATED: i64 = 1;
const UPDATED: i64 = 2;
const DELETED: i64 = 3;
const LINKED: i64 = 4;
pub(super) const UNLINKED: i64 = 5;

/// The statements that create an empty database.
pub(crate) fn create_all() -> String {
    let mut sql = String::from(
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE changes (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  collection TEXT NOT NULL,
  pk INTEGER NOT NULL,
  key TEXT NOT NULL,
  kind INTEGER NOT NULL,
  field TEXT,
  target_pk INTEGER,
  target_key TEXT
);
CREATE INDEX changes_by_object ON changes (collection, key, seq);
CREATE INDEX changes_by_link ON changes (collection, key, field, target_key, seq)
  WHERE field IS NOT NULL;
CREATE TABLE inventory (
  machine TEXT NOT NULL,
  collection TEXT NOT NULL,
  pk INTEGER NOT NULL,
  PRIMARY KEY (machine, collection, pk)
) WITHOUT ROWID;
",
    );
    for c in &COLLECTIONS {
        let columns: Vec<String> = c.fields.iter().map(|f| column(c, f)).collect();
        sql += &format!(
            "CREATE TABLE {} (pk INTEGER PRIMARY KEY AUTOINCREMENT, {});\n",
            c.name,
            columns.join(", ")
        );
        for relation in c.relations {
            let table = c.link_table(relation);
            let key = if relation.single {
                "owner"
            } else {
                "owner, target"
            };
            sql += &format!(
                "CREATE TABLE {table} (owner INTEGER NOT NULL REFERENCES {} (pk), target INTEGER \
                 NOT NULL REFERENCES {} (pk), PRIMARY KEY ({key})) WITHOUT ROWID;\n",
                c.name, relation.target
            );
        }
    }
    sql + &create_indexes() + &create_triggers()
}

fn column(c: &Collection, field: &Field) -> String {
    let kind = match field.kind {
        Kind::Text => "TEXT",
        Kind::Integer { .. } | Kind::Boolean => "INTEGER",
        Kind::Number => "REAL",
    };
    let required = if field.required { " NOT NULL" } else { "" };
    let unique = if c.key_column() == field.name {
        " UNIQUE"
    } else {
        ""
    };
    format!("{} {kind}{required}{unique}", field.name)
}

fn link_tables() -> impl Iterator<Item = (&'static Collection, &'static Relation, String)> {
    COLLECTIONS
        .iter()
        .flat_map(|c| c.relations.iter().map(move |r| (c, r, c.link_table(r))))
}

/// Indexes that a bulk load leaves for last.
pub(crate) fn create_indexes() -> String {
    link_tables()
        .map(|(_, _, table)| format!("CREATE INDEX {table}__back ON {table} (target, owner);\n"))
        .collect()
}

/// Undoes [`create_indexes`].
pub(crate) fn drop_indexes() -> String {
    link_tables()
        .map(|(_, _, table)| format!("DROP INDEX {table}__back;\n"))
        .collect()
}

/// The triggers that write the change log: whoever changes a row, the log row is in the same
/// transaction.
pub(crate) fn create_triggers() -> String {
    COLLECTIONS
        .iter()
        .map(object_triggers)
        .chain(link_tables().map(|(c, r, _)| link_triggers(c, r)))
        .collect()
}

/// Undoes [`create_triggers`].
pub(crate) fn drop_triggers() -> String {
    let objects = COLLECTIONS.iter().flat_map(|c| {
        ["created", "updated", "unlinked", "deleted"]
            .map(|what| format!("DROP TRIGGER {}__{what};\n", c.name))
    });
    let links = link_tables().flat_map(|(_, _, t)| {
        ["linked", "unlinked"].map(|what| format!("DROP TRIGGER {t}__{what};\n"))
    });
    objects.chain(links).collect()
}

fn object_triggers(c: &Collection) -> String {
    let name = c.name;
    let key = c.key_column();
    let changed: Vec<String> = c
        .fields
        .iter()
        .map(|f| format!("OLD.{0} IS NOT NEW.{0}", f.name))
        .collect();
    let log = "INSERT INTO changes (collection, pk, key, kind)";
    let mut updated = format!(
        "{log} SELECT '{name}', NEW.pk, NEW.{key}, {UPDATED} WHERE OLD.{key} IS NEW.{key};\n  \
         {log} SELECT '{name}', OLD.pk, OLD.{key}, {DELETED} WHERE OLD.{key} IS NOT NEW.{key};\n  \
         {log} SELECT '{name}', NEW.pk, NEW.{key}, {CREATED} WHERE OLD.{key} IS NOT NEW.{key};"
    );
    if c.key != Key::Pk {
        for (owner, relation, table) in link_tables() {
            if owner.name == name {
                updated.push_str(&moved_owner(owner, relation, &table));
            } else if relation.target == name {
                updated.push_str(&moved_target(owner, relation, &table, key));
            }
        }
    }
    for (owner, relation, table) in link_tables() {
        if relation.embedded && relation.target == name {
            updated.push_str(&format!(
                "\n  {log} SELECT '{0}', o.pk, o.{1}, {UPDATED} FROM {table} l JOIN {0} o ON o.pk = \
                 l.owner WHERE l.target = NEW.pk;",
                owner.name,
                owner.key_column()
            ));
        }
    }
    let unlink: String = link_tables()
        .filter_map(|(owner, relation, table)| {
            if owner.name == name {
                Some(format!("  DELETE FROM {table} WHERE owner = OLD.pk;\n"))
            } else if relation.target == name {
                Some(format!("  DELETE FROM {table} WHERE target = OLD.pk;\n"))
            } else {
                None
            }
        })
        .collect();
    format!(
        "CREATE TRIGGER {name}__created AFTER INSERT ON {name} BEGIN
  {log} VALUES ('{name}', NEW.pk, NEW.{key}, {CREATED});
END;
CREATE TRIGGER {name}__updated AFTER UPDATE ON {name} WHEN {} BEGIN
  {updated}
END;
CREATE TRIGGER {name}__unlinked BEFORE DELETE ON {name} BEGIN
  SELECT 1;
{unlink}END;
CREATE TRIGGER {name}__deleted AFTER DELETE ON {name} BEGIN
  {log} VALUES ('{name}', OLD.pk, OLD.{key}, {DELETED});
END;
",
        changed.join(" OR "),
    )
}

const LOG_LINK: &str =
    "INSERT INTO changes (collection, pk, key, kind, field, target_pk, target_key)";

/// When the key of an owner changes, its links end under the old key and begin under the new.
fn moved_owner(owner: &Collection, relation: &Relation, table: &str) -> String {
    let (name, key) = (owner.name, owner.key_column());
    let (to, to_key) = (relation.target, relation.target().key_column());
    [("OLD", UNLINKED), ("NEW", LINKED)]
        .map(|(side, kind)| {
            format!(
                "\n  {LOG_LINK} SELECT '{name}', NEW.pk, {side}.{key}, {kind}, '{}', t.pk, \
                 t.{to_key} FROM {table} l JOIN {to} t ON t.pk = l.target WHERE l.owner = NEW.pk \
                 AND OLD.{key} IS NOT NEW.{key};",
                relation.name
            )
        })
        .concat()
}

/// The same for the key of a target.
fn moved_target(owner: &Collection, relation: &Relation, table: &str, key: &str) -> String {
    let (name, owner_key) = (owner.name, owner.key_column());
    [("OLD", UNLINKED), ("NEW", LINKED)]
        .map(|(side, kind)| {
            format!(
                "\n  {LOG_LINK} SELECT '{name}', o.pk, o.{owner_key}, {kind}, '{}', NEW.pk, \
                 {side}.{key} FROM {table} l JOIN {name} o ON o.pk = l.owner WHERE l.target = \
                 NEW.pk AND OLD.{key} IS NOT NEW.{key};",
                relation.name
            )
        })
        .concat()
}

fn link_triggers(c: &Collection, relation: &Relation) -> String {
    let (name, key, field) = (c.name, c.key_column(), relation.name);
    let (to, to_key) = (relation.target, relation.target().key_column());
    let table = c.link_table(relation);
    [
        ("linked", "INSERT", "NEW", LINKED),
        ("unlinked", "DELETE", "OLD", UNLINKED),
    ]
    .map(|(what, event, row, kind)| {
        format!(
            "CREATE TRIGGER {table}__{what} AFTER {event} ON {table} BEGIN
  {LOG_LINK} SELECT '{name}', o.pk, o.{key}, {kind}, '{field}', t.pk, t.{to_key}
    FROM {name} o, {to} t WHERE o.pk = {row}.owner AND t.pk = {row}.target;
END;
"
        )
    })
    .concat()
}
