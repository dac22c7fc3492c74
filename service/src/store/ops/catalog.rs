//! What a database has and what this program wants it to have, compared without a lock.

use std::collections::{HashMap, HashSet};

use super::super::conn::Conn;
use super::super::dialect::Dialect;
use super::super::layout::Layout;
use super::setup::{self, VERSION};
use crate::error::Result;

/// The tables with their columns, and the indexes, of a database.
#[derive(Debug, Default)]
struct Catalog {
    tables: HashMap<String, HashSet<String>>,
    indexes: HashSet<String>,
}

/// Names what the database lacks: `table`, `table.column`, `index`, or its version. `layout` is
/// that of the tenant's collections, once they were made.
///
/// # Errors
///
/// When the database is from a newer program, or does not answer.
pub(crate) async fn missing(conn: &mut dyn Conn, layout: Option<&Layout>) -> Result<Vec<String>> {
    let catalog = read(conn).await?;
    let mut missing = Vec::new();
    if catalog.tables.contains_key("meta") {
        match setup::stored_version(conn).await? {
            Some(version) if version >= VERSION => {}
            Some(version) => missing.push(format!("version {VERSION}, it has {version}")),
            None => missing.push(format!("version {VERSION}")),
        }
    }
    for (table, column, _) in setup::ADDED {
        if let Some(columns) = catalog.tables.get(*table)
            && !columns.contains(*column)
        {
            missing.push(format!("{table}.{column}"));
        }
    }
    let mut statements = setup::own_tables(conn.dialect());
    statements.extend(setup::ADDED_INDEXES.iter().map(|&sql| sql.to_owned()));
    if let Some(layout) = layout {
        for table in layout.tables() {
            statements.extend(table.create(conn.dialect()));
            for name in [table.current(), table.old()] {
                if let Some(columns) = catalog.tables.get(&name) {
                    let wanted = table.columns().into_iter().map(|column| column.name);
                    let lacking = wanted.filter(|column| !columns.contains(column));
                    missing.extend(lacking.map(|column| format!("{name}.{column}")));
                }
            }
        }
    }
    for statement in &statements {
        if let Some(table) = made(statement, "CREATE TABLE IF NOT EXISTS ")
            && !catalog.tables.contains_key(table)
        {
            missing.push(table.to_owned());
        }
        if let Some(index) = made(statement, "CREATE INDEX IF NOT EXISTS ")
            && !catalog.indexes.contains(index)
        {
            missing.push(index.to_owned());
        }
    }
    Ok(missing)
}

/// Returns the name of what a statement makes, if it begins like this.
fn made<'s>(statement: &'s str, begin: &str) -> Option<&'s str> {
    let name = statement.strip_prefix(begin)?.split_whitespace().next()?;
    Some(name.trim_matches('"'))
}

async fn read(conn: &mut dyn Conn) -> Result<Catalog> {
    let (columns, indexes) = match conn.dialect() {
        Dialect::Sqlite => (
            "SELECT t.name, c.name FROM sqlite_schema t JOIN pragma_table_info(t.name) c \
             WHERE t.type = 'table'",
            "SELECT name FROM sqlite_schema WHERE type = 'index'",
        ),
        Dialect::Postgres => (
            "SELECT t.relname::text, c.attname::text FROM pg_attribute c \
             JOIN pg_class t ON t.oid = c.attrelid JOIN pg_namespace n ON n.oid = t.relnamespace \
             WHERE n.nspname = current_schema() AND t.relkind IN ('r', 'p') \
             AND c.attnum > 0 AND NOT c.attisdropped",
            "SELECT indexname::text FROM pg_indexes WHERE schemaname = current_schema()",
        ),
    };
    let mut catalog = Catalog::default();
    for row in conn.fetch(columns.into(), Vec::new()).await? {
        if let (Some(table), Some(column)) = (row.str(0), row.str(1)) {
            let columns = catalog.tables.entry(table.to_owned()).or_default();
            columns.insert(column.to_owned());
        }
    }
    let rows = conn.fetch(indexes.into(), Vec::new()).await?;
    let names = rows.iter().filter_map(|row| row.str(0).map(str::to_owned));
    catalog.indexes.extend(names);
    Ok(catalog)
}
