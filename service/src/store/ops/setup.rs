//! Making and migrating the tables.

use std::collections::HashSet;
use std::sync::Arc;

use async_trait::async_trait;

use super::super::conn::Conn;
use super::super::dialect::{Dialect, quote};
use super::super::job::Operation;
use super::super::layout::{Layout, Table};
use super::super::value::ColumnType;
use super::{State, finish_job, set_meta, state, state_for_change};
use crate::error::{Error, Result};

/// Version of the service's own tables. A file with a higher one is from a newer program.
pub(crate) const VERSION: i64 = 2;

/// Makes the service's own tables where they are missing, and refuses a newer database.
pub(crate) struct Prepare;

#[async_trait]
impl Operation for Prepare {
    type Output = State;

    async fn apply(self, conn: &mut dyn Conn) -> Result<State> {
        be_patient(conn).await?;
        if let Some(lock) = conn.dialect().lock_tables() {
            conn.fetch(lock.into(), Vec::new()).await?;
        }
        for statement in own_tables(conn.dialect()) {
            conn.execute(statement, Vec::new()).await?;
        }
        for (table, name, ty) in ADDED {
            if !columns_of(conn, table).await?.contains(*name) {
                let ty = conn.dialect().column_type(*ty);
                let sql = format!("ALTER TABLE {table} ADD COLUMN {name} {ty}");
                conn.execute(sql, Vec::new()).await?;
            }
        }
        for statement in ADDED_INDEXES {
            conn.execute((*statement).into(), Vec::new()).await?;
        }
        if stored_version(conn).await? != Some(VERSION) {
            set_meta(conn, "version", &VERSION.to_string()).await?;
        }
        state(conn).await
    }
}

/// Columns that came after the first version: table, name, type.
pub(super) const ADDED: &[(&str, &str, ColumnType)] = &[
    ("sources", "session_scopes", ColumnType::Text),
    ("imports", "code", ColumnType::Text),
    ("imports", "error", ColumnType::Text),
];

/// Indexes of such columns: refused imports are few among many, of one source and of all.
pub(super) const ADDED_INDEXES: &[&str] = &[
    "CREATE INDEX IF NOT EXISTS ix_imports_refused ON imports (source, at) WHERE code IS NOT NULL",
    "CREATE INDEX IF NOT EXISTS ix_imports_refused_at ON imports (at, id) WHERE code IS NOT NULL",
];

/// Lets what follows in the transaction take the time that building an index of a large table
/// takes, and wait for another service that does so.
async fn be_patient(conn: &mut dyn Conn) -> Result<()> {
    if let Some(sql) = conn.dialect().patience() {
        conn.fetch(sql.into(), Vec::new()).await?;
    }
    Ok(())
}

/// Reads the version of the service's own tables.
///
/// # Errors
///
/// When it is from a newer program.
pub(super) async fn stored_version(conn: &mut dyn Conn) -> Result<Option<i64>> {
    let sql = "SELECT value FROM meta WHERE name = 'version'";
    let rows = conn.fetch(sql.into(), Vec::new()).await?;
    let version = rows.first().and_then(|row| row.str(0)?.parse::<i64>().ok());
    match version {
        Some(version) if version > VERSION => Err(newer(version)),
        version => Ok(version),
    }
}

fn newer(version: i64) -> Error {
    Error::new(
        axum::http::StatusCode::SERVICE_UNAVAILABLE,
        "database_too_new",
        format!(
            "the database has version {version} and this program knows versions up to {VERSION}; start the newer program again, or restore a back-up that was made before the upgrade"
        ),
    )
}

pub(super) fn own_tables(dialect: Dialect) -> Vec<String> {
    let int = dialect.column_type(ColumnType::Int);
    let serial = dialect.serial();
    let text = dialect.column_type(ColumnType::Text);
    let mut statements = vec![
        "CREATE TABLE IF NOT EXISTS meta (name TEXT PRIMARY KEY, value TEXT NOT NULL)".into(),
        format!(
            "CREATE TABLE IF NOT EXISTS sources (pk {serial}, key TEXT NOT NULL UNIQUE, name TEXT, \
             description TEXT, product_link TEXT, properties TEXT, model_state_id TEXT, \
             mark {int} NOT NULL, session_mark {int}, session_started {int}, \
             created {int} NOT NULL, last_seen {int}, last_report TEXT)"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS reports (source {int} NOT NULL, key TEXT NOT NULL, \
             at {int} NOT NULL, type TEXT, description TEXT, parameters TEXT, value TEXT, \
             PRIMARY KEY (source, key))"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS imports (id TEXT PRIMARY KEY, source {int} NOT NULL, \
             at {int} NOT NULL, row_count {int} NOT NULL)"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS jobs (id TEXT PRIMARY KEY, kind TEXT NOT NULL, \
             status TEXT NOT NULL, error TEXT, at {int} NOT NULL)"
        ),
        "CREATE TABLE IF NOT EXISTS extensions (key TEXT PRIMARY KEY, owner TEXT NOT NULL, \
         version TEXT NOT NULL, schema TEXT NOT NULL)"
            .into(),
        format!(
            "CREATE TABLE IF NOT EXISTS tags (source {int} NOT NULL, collection TEXT NOT NULL, \
             id TEXT NOT NULL, name TEXT NOT NULL, t1 {int} NOT NULL, \
             PRIMARY KEY (source, collection, id, name))"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS old_tags (source {int} NOT NULL, collection TEXT NOT NULL, \
             id TEXT NOT NULL, name TEXT NOT NULL, t1 {int} NOT NULL, t2 {int} NOT NULL)"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS scopes (pk {serial}, source {int} NOT NULL, \
             name TEXT NOT NULL, UNIQUE (source, name))"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS scope_sets (pk {serial}, source {int} NOT NULL, \
             digest TEXT NOT NULL, members TEXT, UNIQUE (source, digest))"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS runs (pk {serial}, source {int} NOT NULL, \
             report TEXT NOT NULL, started {int} NOT NULL, at {int} NOT NULL, \
             outcome TEXT NOT NULL, exit_code {int} NOT NULL, document TEXT NOT NULL, \
             UNIQUE (source, report))"
        ),
        format!(
            "CREATE TABLE IF NOT EXISTS keys (key TEXT PRIMARY KEY, salt TEXT NOT NULL, \
             hash TEXT NOT NULL, role TEXT NOT NULL, sources TEXT, created {int} NOT NULL)"
        ),
        "CREATE INDEX IF NOT EXISTS ix_tags_name ON tags (collection, name)".into(),
        "CREATE INDEX IF NOT EXISTS ix_old_tags ON old_tags (source, collection, id)".into(),
        "CREATE INDEX IF NOT EXISTS ix_old_tags_t2 ON old_tags (t2)".into(),
        "CREATE INDEX IF NOT EXISTS ix_imports_at ON imports (at)".into(),
        "INSERT INTO meta (name, value) VALUES ('created', 'no'), ('model', '0') \
         ON CONFLICT (name) DO NOTHING"
            .into(),
    ];
    for statement in &mut statements {
        *statement = statement.replace(" TEXT", &format!(" {text}"));
    }
    statements
}

/// Makes the tables of all collections and marks the tenant's database as created.
pub(crate) struct CreateDatabase {
    /// The tables.
    pub(crate) layout: Arc<Layout>,
    /// The job to finish.
    pub(crate) job: String,
}

#[async_trait]
impl Operation for CreateDatabase {
    type Output = ();

    async fn apply(self, conn: &mut dyn Conn) -> Result<()> {
        state_for_change(conn).await?;
        ensure_tables(conn, &self.layout).await?;
        set_meta(conn, "created", "yes").await?;
        finish_job(conn, &self.job, "create_database", None).await
    }
}

/// Brings the tables of a database that exists in line with the program.
pub(crate) struct EnsureTables(pub(crate) Arc<Layout>);

#[async_trait]
impl Operation for EnsureTables {
    type Output = ();

    async fn apply(self, conn: &mut dyn Conn) -> Result<()> {
        be_patient(conn).await?;
        state_for_change(conn).await?;
        ensure_tables(conn, &self.0).await
    }
}

/// Makes the tables, columns and indexes that the layout has and the database lacks.
pub(crate) async fn ensure_tables(conn: &mut dyn Conn, layout: &Layout) -> Result<()> {
    for table in layout.tables() {
        for name in [table.current(), table.old()] {
            widen(conn, table, &name).await?;
        }
        for statement in table.create(conn.dialect()) {
            conn.execute(statement, Vec::new()).await?;
        }
    }
    Ok(())
}

/// Adds missing columns to a table that exists.
async fn widen(conn: &mut dyn Conn, table: &Table, name: &str) -> Result<()> {
    let existing = columns_of(conn, name).await?;
    if existing.is_empty() {
        return Ok(());
    }
    for column in table.columns() {
        if !existing.contains(&column.name) {
            let ty = conn.dialect().column_type(column.ty);
            let sql = format!(
                "ALTER TABLE {} ADD COLUMN {} {ty}",
                quote(name),
                quote(&column.name)
            );
            conn.execute(sql, Vec::new()).await?;
        }
    }
    Ok(())
}

/// Returns the names of a table's columns; none when there is no such table.
async fn columns_of(conn: &mut dyn Conn, table: &str) -> Result<HashSet<String>> {
    let sql = match conn.dialect() {
        Dialect::Sqlite => "SELECT name FROM pragma_table_info($1)",
        Dialect::Postgres => {
            "SELECT column_name::text FROM information_schema.columns \
             WHERE table_schema = current_schema() AND table_name = $1"
        }
    };
    let rows = conn.fetch(sql.into(), vec![table.into()]).await?;
    Ok(rows
        .iter()
        .filter_map(|row| row.str(0).map(str::to_owned))
        .collect())
}

/// Returns the names of all tables of collections that there are.
pub(crate) async fn tables(conn: &mut dyn Conn) -> Result<HashSet<String>> {
    let sql = match conn.dialect() {
        Dialect::Sqlite => "SELECT name FROM sqlite_schema WHERE type = 'table'",
        Dialect::Postgres => {
            "SELECT table_name::text FROM information_schema.tables \
             WHERE table_schema = current_schema()"
        }
    };
    let rows = conn.fetch(sql.into(), Vec::new()).await?;
    Ok(rows
        .iter()
        .filter_map(|row| row.str(0).map(str::to_owned))
        .collect())
}

/// Wipes the tenant: every entity, source, import, extension and tag.
pub(crate) struct ClearDatabase;

#[async_trait]
impl Operation for ClearDatabase {
    type Output = ();

    async fn apply(self, conn: &mut dyn Conn) -> Result<()> {
        let state = state_for_change(conn).await?;
        let mut names: Vec<String> = tables(conn)
            .await?
            .into_iter()
            .filter(|name| name.starts_with("cur_") || name.starts_with("old_"))
            .filter(|name| name != "old_tags")
            .collect();
        names.sort();
        for name in names {
            conn.execute(format!("DROP TABLE {}", quote(&name)), Vec::new())
                .await?;
        }
        for table in [
            "sources",
            "reports",
            "imports",
            "jobs",
            "extensions",
            "tags",
            "old_tags",
            "scopes",
            "scope_sets",
            "runs",
        ] {
            conn.execute(format!("DELETE FROM {table}"), Vec::new())
                .await?;
        }
        let model = state.model.saturating_add(1);
        set_meta(conn, "created", "no").await?;
        set_meta(conn, "model", &model.to_string()).await
    }
}
