//! What SQLite itself takes: the rows of a service's file, inserted into another of its kind.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{
    Arguments as _, AssertSqlSafe, Column as _, ConnectOptions as _, Connection as _, Row as _,
    TypeInfo as _, ValueRef as _,
};

/// Values in one statement; SQLite takes 32766.
const VALUES: usize = 4_000;

/// A table that holds rows of a collection.
struct Table {
    name: String,
    rows: i64,
    columns: Vec<String>,
}

/// Inserts all rows with prepared statements of many rows, as many transactions as there were
/// imports, each on disk before the next, and returns how long that took.
pub(super) async fn raw(from: &Path, into: &Path, imports: u64) -> anyhow::Result<(u64, Duration)> {
    let open = |file: &Path| {
        SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .pragma("cache_size", "-32000")
            .pragma("wal_autocheckpoint", "4000")
            .disable_statement_logging()
    };
    let mut source = open(from).connect().await?;
    let mut target = open(into).connect().await?;
    let schema: Vec<(String,)> = sqlx::query_as(
        "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND tbl_name LIKE 'cur\\_%' ESCAPE '\\' \
         ORDER BY type DESC",
    )
    .fetch_all(&mut source)
    .await?;
    for (sql,) in schema {
        run(&mut target, sql).await?;
    }
    let tables = tables(&mut source).await?;
    let steps = i64::try_from(imports.max(1))?;
    let (mut count, mut took) = (0, Duration::ZERO);
    for step in 0..steps {
        let mut statements = Vec::new();
        for table in &tables {
            let (first, last) = (table.rows * step / steps, table.rows * (step + 1) / steps);
            let sql = format!(
                "SELECT {} FROM {} WHERE _pk > {first} AND _pk <= {last} ORDER BY _pk",
                table.columns.join(", "),
                table.name
            );
            let rows = sqlx::query(AssertSqlSafe(sql))
                .fetch_all(&mut source)
                .await?;
            count += rows.len() as u64;
            statements.extend(inserts(table, &rows)?);
        }
        let began = Instant::now();
        run(&mut target, "BEGIN IMMEDIATE".to_owned()).await?;
        for (sql, arguments) in statements {
            sqlx::query_with(AssertSqlSafe(sql), arguments)
                .execute(&mut target)
                .await?;
        }
        run(&mut target, "COMMIT".to_owned()).await?;
        took += began.elapsed();
    }
    target.close().await?;
    Ok((count, took))
}

async fn run(conn: &mut SqliteConnection, sql: String) -> anyhow::Result<()> {
    sqlx::query(AssertSqlSafe(sql)).execute(conn).await?;
    Ok(())
}

/// Lists the tables that have rows.
async fn tables(conn: &mut SqliteConnection) -> anyhow::Result<Vec<Table>> {
    let names: Vec<(String,)> = sqlx::query_as(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name LIKE 'cur\\_%' ESCAPE '\\'",
    )
    .fetch_all(&mut *conn)
    .await?;
    let mut tables = Vec::new();
    for (name,) in names {
        let sql = format!("SELECT count(*) FROM {name}");
        let (rows,): (i64,) = sqlx::query_as(AssertSqlSafe(sql))
            .fetch_one(&mut *conn)
            .await?;
        let columns: Vec<(String,)> =
            sqlx::query_as("SELECT name FROM pragma_table_info(?) WHERE name <> '_pk'")
                .bind(&name)
                .fetch_all(&mut *conn)
                .await?;
        if rows > 0 {
            let columns = columns.iter().map(|(name,)| format!("\"{name}\""));
            tables.push(Table {
                name,
                rows,
                columns: columns.collect(),
            });
        }
    }
    Ok(tables)
}

/// Makes the statements that insert rows, with their values.
fn inserts(table: &Table, rows: &[SqliteRow]) -> anyhow::Result<Vec<(String, SqliteArguments)>> {
    let width = table.columns.len().max(1);
    let one = format!("({})", vec!["?"; width].join(", "));
    rows.chunks((VALUES / width).max(1))
        .map(|rows| {
            let sql = format!(
                "INSERT INTO {} ({}) VALUES {}",
                table.name,
                table.columns.join(", "),
                vec![one.as_str(); rows.len()].join(", ")
            );
            let mut arguments = SqliteArguments::default();
            for row in rows {
                for column in row.columns() {
                    bind(&mut arguments, row, column.ordinal())?;
                }
            }
            Ok((sql, arguments))
        })
        .collect()
}

fn bind(arguments: &mut SqliteArguments, row: &SqliteRow, index: usize) -> anyhow::Result<()> {
    let raw = row.try_get_raw(index)?;
    let bound = if raw.is_null() {
        arguments.add(None::<i64>)
    } else {
        match raw.type_info().name() {
            "INTEGER" => arguments.add(row.try_get_unchecked::<i64, _>(index)?),
            "REAL" => arguments.add(row.try_get_unchecked::<f64, _>(index)?),
            _ => arguments.add(row.try_get_unchecked::<String, _>(index)?),
        }
    };
    bound
        .map_err(|error| anyhow::anyhow!(error))
        .context("a value cannot be bound")
}
