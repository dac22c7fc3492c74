//! What PostgreSQL itself takes: the rows of a service's schema, copied into another of its kind.

use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::TryStreamExt as _;
use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _};

/// Makes an empty schema on the server and returns the address that leads into it.
pub(super) async fn schema(url: &str, name: &str) -> anyhow::Result<String> {
    let mut conn = connect(url).await?;
    let sql = format!("DROP SCHEMA IF EXISTS {name} CASCADE; CREATE SCHEMA {name}");
    conn.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
    conn.close().await?;
    let joint = if url.contains('?') { '&' } else { '?' };
    Ok(format!("{url}{joint}options=-c%20search_path%3D{name}"))
}

/// Takes a schema away.
pub(super) async fn drop_schema(url: &str, name: &str) -> anyhow::Result<()> {
    let mut conn = connect(url).await?;
    let sql = format!("DROP SCHEMA IF EXISTS {name} CASCADE");
    conn.execute(sqlx::raw_sql(AssertSqlSafe(sql))).await?;
    conn.close().await?;
    Ok(())
}

/// Copies the rows of every collection's table from one schema to the other, table by table in
/// the binary form, and returns how many they were and how long the writing took.
pub(super) async fn raw(url: &str, from: &str, into: &str) -> anyhow::Result<(u64, Duration)> {
    let mut conn = connect(url).await?;
    let tables: Vec<(String, String)> = sqlx::query_as(
        "SELECT table_name::text, string_agg(quote_ident(column_name), ', ' ORDER BY ordinal_position) \
         FROM information_schema.columns WHERE table_schema = $1 \
         AND table_name LIKE 'cur\\_%' AND column_name <> '_pk' GROUP BY table_name",
    )
    .bind(from)
    .fetch_all(&mut conn)
    .await?;
    let (mut count, mut took) = (0, Duration::ZERO);
    for (table, columns) in tables {
        let sql = format!(
            "COPY (SELECT {columns} FROM {from}.{table} ORDER BY _pk) TO STDOUT (FORMAT binary)"
        );
        let pieces: Vec<_> = {
            let stream = conn.copy_out_raw(&sql).await?;
            stream.try_collect().await?
        };
        let began = Instant::now();
        let sql = format!("COPY {into}.{table} ({columns}) FROM STDIN (FORMAT binary)");
        let mut copy = conn.copy_in_raw(&sql).await?;
        let mut buffer = Vec::with_capacity(1 << 17);
        for piece in pieces {
            buffer.extend_from_slice(&piece);
            if buffer.len() > 1 << 16 {
                copy.send(std::mem::take(&mut buffer)).await?;
            }
        }
        copy.send(buffer).await?;
        count += copy.finish().await?;
        took += began.elapsed();
    }
    conn.close().await?;
    Ok((count, took))
}

async fn connect(url: &str) -> anyhow::Result<PgConnection> {
    PgConnection::connect(url)
        .await
        .context("cannot connect to the PostgreSQL server; check CAR_BENCH_DATABASE_URL")
}
