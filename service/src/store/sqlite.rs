//! SQLite: one writer that gathers what waits into one durable commit, and many readers.

mod packed;

use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool,
    SqlitePoolOptions, SqliteRow, SqliteSynchronous, SqliteValueRef,
};
use sqlx::{Arguments, AssertSqlSafe, ConnectOptions, Connection, Decode, Row as _, Sqlite};
use sqlx::{TypeInfo, ValueRef as _};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::conn::{BulkColumn, Conn, Rows};
use super::dialect::{Dialect, quote};
use super::job::{Job, Outcome};
use super::value::{Row, Value};
use crate::error::{Error, Result};

/// Imports and other writes that share one commit at most.
const GROUP: usize = 32;

/// Writes that may wait; more make their senders wait.
const QUEUE: usize = 256;

/// Rows per statement of a bulk insert, largest first, so that few statements are ever compiled.
const CHUNKS: [usize; 4] = [128, 32, 8, 1];

/// How long a statement waits for another process, such as a backup, to let go of the file.
const BUSY: Duration = Duration::from_secs(10);

/// Steps of a statement, some hundred microseconds of them, after which it is asked whether anybody
/// still wants its answer.
const STEPS: i32 = 10_000;

/// How long a reader waits for a free connection.
const ACQUIRE: Duration = Duration::from_secs(10);

/// The database file with its writer.
#[derive(Debug)]
pub(crate) struct SqliteStore {
    readers: SqlitePool,
    writer: mpsc::Sender<Box<dyn Job>>,
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

impl SqliteStore {
    /// Opens or makes the file.
    pub(crate) async fn open(file: &Path) -> Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .pragma("temp_store", "memory")
            .pragma("wal_autocheckpoint", "4000")
            .pragma("journal_size_limit", "67108864")
            .row_buffer_size(1024)
            .pragma("cache_size", "-8000")
            .pragma("case_sensitive_like", "on")
            .with_regexp()
            .statement_cache_capacity(512)
            .disable_statement_logging();
        let writer = options
            .clone()
            .pragma("cache_size", "-32000")
            .connect()
            .await
            .map_err(|error| Error::unavailable("open its database file", error))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(8)
            .acquire_timeout(ACQUIRE)
            // A file does not hang up.
            .test_before_acquire(false)
            .connect_lazy_with(options.pragma("query_only", "on"));
        let (sender, receiver) = mpsc::channel(QUEUE);
        let task = tokio::spawn(write_loop(SqliteConn(writer), receiver));
        Ok(Self {
            readers,
            writer: sender,
            task: tokio::sync::Mutex::new(Some(task)),
        })
    }

    /// Hands a write to the writer; its answer comes through the job.
    pub(crate) async fn submit(&self, job: Box<dyn Job>) -> Result<()> {
        self.writer
            .send(job)
            .await
            .map_err(|_| Error::unavailable("take the write", "the writer has stopped"))
    }

    /// Opens a reader with a fixed view of the data.
    pub(crate) async fn reader(&self) -> Result<SqliteReader> {
        let failed = |error| Error::unavailable("read", error);
        let mut transaction = self.readers.begin().await.map_err(failed)?;
        let wanted = Arc::new(AtomicBool::new(true));
        let seen = Arc::clone(&wanted);
        transaction
            .lock_handle()
            .await
            .map_err(failed)?
            .set_progress_handler(STEPS, move || seen.load(Ordering::Relaxed));
        Ok(SqliteReader {
            transaction,
            wanted,
        })
    }

    /// Copies the data to a new file.
    pub(crate) async fn backup(&self, to: &str) -> Result<()> {
        let mut conn = self.readers.acquire().await.map_err(failed)?;
        // That of the last reader, who is gone.
        conn.lock_handle()
            .await
            .map_err(failed)?
            .remove_progress_handler();
        // The file is made first, so that nobody else can read it meanwhile.
        std::fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)
            .map_err(|error| {
                Error::bad_request("file_not_written", format!("cannot make {to}: {error}"))
            })?;
        execute(&mut conn, "PRAGMA query_only = off".into(), Vec::new()).await?;
        execute(&mut conn, "VACUUM INTO $1".into(), vec![to.into()]).await?;
        Ok(())
    }

    /// Waits until all writes handed over are done, then closes the file.
    pub(crate) async fn close(&self) {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        if self.writer.send(Box::new(Stop(Some(stop)))).await.is_ok() {
            // An error says that the writer is gone already, which is what we wait for.
            drop(stopped.await);
        }
        if let Some(task) = self.task.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the writer ended early");
        }
        self.readers.close().await;
    }
}

/// Tells the writer to stop after what came before.
struct Stop(Option<tokio::sync::oneshot::Sender<()>>);

impl Job for Stop {
    fn is_large(&self) -> bool {
        false
    }

    fn apply<'a>(&'a mut self, _: &'a mut dyn Conn) -> BoxFuture<'a, Outcome> {
        Box::pin(async { Outcome::Stop })
    }

    fn finish(mut self: Box<Self>, _: Result<()>) {
        if let Some(stop) = self.0.take() {
            // Whoever asked may have given up waiting.
            if stop.send(()).is_err() {
                tracing::debug!("nobody waits for the stop");
            }
        }
    }
}

/// Applies writes in the order in which they come, many to a commit.
async fn write_loop(mut conn: SqliteConn, mut queue: mpsc::Receiver<Box<dyn Job>>) {
    let mut stop = false;
    while !stop && let Some(first) = queue.recv().await {
        let mut jobs = vec![first];
        while jobs.len() < GROUP
            && !jobs.iter().any(|job| job.is_large())
            && let Ok(job) = queue.try_recv()
        {
            jobs.push(job);
        }
        let (done, stopping) = write_group(&mut conn, jobs).await;
        for (job, result) in done {
            job.finish(result);
        }
        stop = stopping;
    }
    if let Err(error) = conn.0.close().await {
        tracing::warn!(%error, "the database file was not closed cleanly");
    }
}

type Done = Vec<(Box<dyn Job>, Result<()>)>;

/// Applies a group in one transaction, each job in a savepoint of its own.
async fn write_group(conn: &mut SqliteConn, jobs: Vec<Box<dyn Job>>) -> (Done, bool) {
    let mut stop = false;
    if let Err(error) = conn.run("BEGIN IMMEDIATE").await {
        let text = error.message().to_owned();
        tracing::error!(error = %crate::error::chain(&error), "cannot begin a transaction");
        let failed = |job| (job, Err(Error::unavailable("write", text.clone())));
        return (jobs.into_iter().map(failed).collect(), false);
    }
    let mut done: Done = Vec::with_capacity(jobs.len());
    if jobs.len() == 1 {
        // What is undone is the transaction: no savepoint is needed, and large writes are
        // quicker without one.
        for mut job in jobs {
            let outcome = job.apply(conn).await;
            stop = outcome == Outcome::Stop;
            done.push((job, Ok(())));
            if outcome == Outcome::Undo {
                undo(conn).await;
                return (done, stop);
            }
        }
        commit(conn, &mut done).await;
        return (done, stop);
    }
    for mut job in jobs {
        let result = match conn.run("SAVEPOINT job").await {
            Err(error) => Err(error),
            Ok(()) => match job.apply(conn).await {
                Outcome::Keep => conn.run("RELEASE job").await,
                Outcome::Stop => {
                    stop = true;
                    conn.run("RELEASE job").await
                }
                Outcome::Undo => match conn.run("ROLLBACK TO job").await {
                    Ok(()) => conn.run("RELEASE job").await,
                    Err(error) => Err(error),
                },
            },
        };
        done.push((job, result));
    }
    commit(conn, &mut done).await;
    (done, stop)
}

async fn commit(conn: &mut SqliteConn, done: &mut Done) {
    if let Err(error) = conn.run("COMMIT").await {
        tracing::error!(error = %crate::error::chain(&error), "cannot commit");
        undo(conn).await;
        for (_, result) in done {
            *result = Err(Error::unavailable("commit", "the commit failed"));
        }
    }
}

async fn undo(conn: &mut SqliteConn) {
    if let Err(error) = conn.run("ROLLBACK").await {
        tracing::debug!(%error, "nothing was left to roll back");
    }
}

/// The writer's connection.
struct SqliteConn(SqliteConnection);

impl SqliteConn {
    async fn run(&mut self, sql: &'static str) -> Result<()> {
        execute(&mut self.0, sql.to_owned(), Vec::new()).await?;
        Ok(())
    }
}

/// A connection with a fixed view of the data. A statement that runs when this is dropped ends
/// soon, so that its connection is free for others.
pub(crate) struct SqliteReader {
    transaction: sqlx::Transaction<'static, Sqlite>,
    wanted: Arc<AtomicBool>,
}

impl Drop for SqliteReader {
    fn drop(&mut self) {
        self.wanted.store(false, Ordering::Relaxed);
    }
}

#[async_trait]
impl Conn for SqliteConn {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn execute(&mut self, sql: String, args: Vec<Value>) -> Result<u64> {
        execute(&mut self.0, sql, args).await
    }

    async fn fetch(&mut self, sql: String, args: Vec<Value>) -> Result<Vec<Row>> {
        fetch(&mut self.0, sql, args).await
    }

    async fn fetch_many(
        &mut self,
        sql: String,
        columns: &[BulkColumn],
        args: Vec<Value>,
    ) -> Result<Vec<Row>> {
        packed::fetch(&mut self.0, sql, columns, args).await
    }

    async fn insert_many(
        &mut self,
        table: &str,
        columns: &[BulkColumn],
        mut rows: Rows<'_>,
    ) -> Result<()> {
        let names: Vec<String> = columns.iter().map(|column| quote(&column.name)).collect();
        // A row that does not fit undoes the whole import, so SQLite need not be ready to undo
        // the statement alone.
        let head = format!(
            "INSERT OR FAIL INTO {} ({}) VALUES ",
            quote(table),
            names.join(", ")
        );
        let one = format!("({})", vec!["?"; columns.len()].join(", "));
        for chunk in CHUNKS {
            // SQLite takes 32766 arguments to a statement.
            if rows.len() < chunk || (chunk.saturating_mul(columns.len()) > 32_000 && chunk > 1) {
                continue;
            }
            let sql = format!("{head}{}", vec![one.as_str(); chunk].join(", "));
            let mut next = some_arguments(&mut rows, chunk)?;
            while let Some(args) = next {
                // The next rows are made while another thread writes these.
                let write = execute_with(&mut self.0, sql.clone(), args);
                let make = async { some_arguments(&mut rows, chunk) };
                let (written, made) = futures_util::future::join(write, make).await;
                written?;
                next = made?;
            }
        }
        Ok(())
    }
}

/// Takes the arguments of a statement for so many rows, unless fewer are left.
fn some_arguments(rows: &mut Rows<'_>, count: usize) -> Result<Option<SqliteArguments>> {
    if rows.len() < count {
        return Ok(None);
    }
    arguments(rows.by_ref().take(count).flatten()).map(Some)
}

#[async_trait]
impl Conn for SqliteReader {
    fn dialect(&self) -> Dialect {
        Dialect::Sqlite
    }

    async fn execute(&mut self, _: String, _: Vec<Value>) -> Result<u64> {
        Err(Error::internal("write", "this connection only reads"))
    }

    async fn fetch(&mut self, sql: String, args: Vec<Value>) -> Result<Vec<Row>> {
        fetch(&mut self.transaction, sql, args).await
    }

    async fn fetch_many(
        &mut self,
        sql: String,
        columns: &[BulkColumn],
        args: Vec<Value>,
    ) -> Result<Vec<Row>> {
        packed::fetch(&mut self.transaction, sql, columns, args).await
    }

    async fn insert_many(&mut self, _: &str, _: &[BulkColumn], _: Rows<'_>) -> Result<()> {
        Err(Error::internal("write", "this connection only reads"))
    }
}

async fn execute(conn: &mut SqliteConnection, sql: String, args: Vec<Value>) -> Result<u64> {
    execute_with(conn, sql, arguments(args)?).await
}

async fn execute_with(
    conn: &mut SqliteConnection,
    sql: String,
    args: SqliteArguments,
) -> Result<u64> {
    let done = sqlx::query_with(AssertSqlSafe(sql), args)
        .execute(conn)
        .await
        .map_err(failed)?;
    Ok(done.rows_affected())
}

async fn fetch(conn: &mut SqliteConnection, sql: String, args: Vec<Value>) -> Result<Vec<Row>> {
    let rows = sqlx::query_with(AssertSqlSafe(sql), arguments(args)?)
        .fetch_all(conn)
        .await
        .map_err(failed)?;
    rows.iter().map(decode).collect()
}

fn arguments(values: impl IntoIterator<Item = Value>) -> Result<SqliteArguments> {
    let values = values.into_iter();
    let mut arguments = SqliteArguments::default();
    arguments.reserve(values.size_hint().0, 0);
    for value in values {
        match value {
            Value::Null => arguments.add(Option::<i64>::None),
            Value::Bool(value) => arguments.add(i64::from(value)),
            Value::Int(value) => arguments.add(value),
            Value::Float(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
        }
        .map_err(|error| Error::internal("bind a value", error))?;
    }
    Ok(arguments)
}

fn decode(row: &SqliteRow) -> Result<Row> {
    (0..row.len())
        .map(|index| {
            let raw = row.try_get_raw(index).map_err(failed)?;
            decode_value(raw).map_err(|error| Error::internal("read a value", error))
        })
        .collect::<Result<Vec<Value>>>()
        .map(Row)
}

fn decode_value(raw: SqliteValueRef<'_>) -> std::result::Result<Value, sqlx::error::BoxDynError> {
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let text = match raw.type_info().name() {
        "INTEGER" | "BOOLEAN" => return <i64 as Decode<Sqlite>>::decode(raw).map(Value::Int),
        "REAL" => return <f64 as Decode<Sqlite>>::decode(raw).map(Value::Float),
        _ => <String as Decode<Sqlite>>::decode(raw)?,
    };
    Ok(Value::Text(text))
}

fn failed(error: sqlx::Error) -> Error {
    let busy = error.as_database_error().is_some_and(|error| {
        // Primary result codes: busy, locked, full, I/O.
        error
            .code()
            .and_then(|code| code.parse::<u32>().ok())
            .is_some_and(|code| matches!(code & 0xff, 5 | 6 | 10 | 13))
    });
    if busy || matches!(error, sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed) {
        Error::unavailable("use its database", error)
    } else {
        Error::internal("use its database", error)
    }
}
