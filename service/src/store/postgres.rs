//! PostgreSQL: any number of services on one database. The row of a source is the lock that
//! keeps writers of that source apart; writers of different sources do not meet.

mod arrays;

use std::collections::HashMap;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{
    PgArguments, PgConnectOptions, PgConnection, PgPool, PgPoolOptions, PgRow, PgTypeInfo,
    PgValueRef,
};
use sqlx::{
    Arguments, AssertSqlSafe, ConnectOptions, Decode, Encode, Postgres, Row as _, Transaction,
    Type, TypeInfo, ValueRef as _,
};

use super::conn::{BulkColumn, Conn, Rows};
use super::dialect::{Dialect, quote};
use super::job::Operation;
use super::value::{Row, Value};
use crate::error::{Error, Result};

/// Rows of a bulk insert that travel in one message.
const CHUNK: usize = 5_000;

/// Rows that a table must have grown by before the server is asked to look at it.
const FEW: usize = 1_000;

/// How long a call waits for a free connection.
const ACQUIRE: Duration = Duration::from_secs(10);

/// How much later than its caller the server gives a statement up.
const LATER: Duration = Duration::from_millis(500);

/// Connections of one service.
const CONNECTIONS: u32 = 16;

/// Type number of a value whose type the server shall find out.
const UNKNOWN: u32 = 705;

/// The database.
#[derive(Debug)]
pub(crate) struct PostgresStore {
    pool: PgPool,
    growth: Arc<Mutex<Growth>>,
}

/// How much tables grew since the server last looked at them.
///
/// The server's own look comes minutes later. Without it, the choice between the two indexes of
/// an edge table is a guess, and the wrong one makes an import quadratic.
#[derive(Debug, Default)]
struct Growth {
    tables: HashMap<String, Grown>,
    /// Whether a look is under way.
    looking: bool,
}

#[derive(Debug, Default, Clone, Copy)]
struct Grown {
    rows: usize,
    since: usize,
}

impl Growth {
    /// Notes rows that were committed.
    fn add(&mut self, inserted: HashMap<String, usize>) {
        for (table, rows) in inserted {
            let grown = self.tables.entry(table).or_default();
            grown.rows = grown.rows.saturating_add(rows);
            grown.since = grown.since.saturating_add(rows);
        }
    }

    /// Returns the tables that grew by half, unless a look is under way.
    fn due(&mut self) -> Vec<String> {
        if self.looking {
            return Vec::new();
        }
        let mut due = Vec::new();
        for (table, grown) in &mut self.tables {
            if grown.since >= FEW && grown.since.saturating_mul(3) >= grown.rows {
                grown.since = 0;
                due.push(table.clone());
            }
        }
        self.looking = !due.is_empty();
        due
    }
}

impl PostgresStore {
    /// Connects to the database at an address such as `postgres://user@host/name`.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let options = PgConnectOptions::from_str(url)
            .map_err(|error| Error::unavailable("read the database address", error))?
            .application_name("car-service")
            .statement_cache_capacity(512)
            // A write that hangs must not hold its locks for ever.
            .options([
                // A plan made while a table was small is a bad one when it has grown.
                ("plan_cache_mode", "force_custom_plan"),
                // Without this, the server reads a table of 100 000 rows to find 200 of them: its
                // own figure is that of a turning disk. Compiling a plan takes longer than what
                // it saves here.
                ("random_page_cost", "1.1"),
                ("jit", "off"),
                ("lock_timeout", "30s"),
                ("statement_timeout", "120s"),
                ("idle_in_transaction_session_timeout", "120s"),
            ])
            .disable_statement_logging();
        let pool = PgPoolOptions::new()
            .max_connections(CONNECTIONS)
            .acquire_timeout(ACQUIRE)
            .connect_with(options)
            .await
            .map_err(|error| Error::unavailable("connect to its database", error))?;
        Ok(Self {
            pool,
            growth: Arc::default(),
        })
    }

    /// Applies a write in a transaction of its own.
    pub(crate) async fn write<O: Operation>(&self, operation: O) -> Result<O::Output> {
        let transaction = self.pool.begin().await.map_err(failed)?;
        let mut conn = PostgresConn::new(transaction);
        let output = operation.apply(&mut conn).await?;
        conn.transaction.commit().await.map_err(failed)?;
        self.look(conn.inserted);
        Ok(output)
    }

    /// Lets the server look at tables that grew much, in the background.
    fn look(&self, inserted: HashMap<String, usize>) {
        let due = {
            let mut growth = self.growth.lock().unwrap_or_else(PoisonError::into_inner);
            growth.add(inserted);
            growth.due()
        };
        if due.is_empty() {
            return;
        }
        let (pool, growth) = (self.pool.clone(), Arc::clone(&self.growth));
        tokio::spawn(async move {
            for table in due {
                let sql = format!("ANALYZE {}", quote(&table));
                if let Err(error) = sqlx::query(AssertSqlSafe(sql)).execute(&pool).await {
                    tracing::debug!(%error, table, "the server could not look at a table");
                }
            }
            let mut growth = growth.lock().unwrap_or_else(PoisonError::into_inner);
            growth.looking = false;
        });
    }

    /// Opens a reader with a fixed view of the data, whose statements may take so long each.
    pub(crate) async fn reader(&self, limit: Option<Duration>) -> Result<PostgresConn> {
        let mut begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned();
        if let Some(limit) = limit {
            // The caller's own clock comes first, and its error says more.
            let limit = limit.saturating_add(LATER).as_millis();
            // The server may keep the plans of queries: it makes them anew when a table has changed
            // much, and its own comparison decides.
            begin.push_str(&format!(
                "; SET LOCAL statement_timeout = {limit}; SET LOCAL plan_cache_mode = auto"
            ));
        }
        let transaction = self
            .pool
            .begin_with(AssertSqlSafe(begin))
            .await
            .map_err(failed)?;
        Ok(PostgresConn::new(transaction))
    }

    /// Closes all connections, after what runs on them.
    pub(crate) async fn close(&self) {
        self.pool.close().await;
    }
}

/// A connection inside a transaction.
pub(crate) struct PostgresConn {
    transaction: Transaction<'static, Postgres>,
    /// Rows inserted, by table.
    inserted: HashMap<String, usize>,
}

impl PostgresConn {
    fn new(transaction: Transaction<'static, Postgres>) -> Self {
        Self {
            transaction,
            inserted: HashMap::new(),
        }
    }
}

#[async_trait]
impl Conn for PostgresConn {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    async fn execute(&mut self, sql: String, args: Vec<Value>) -> Result<u64> {
        let conn: &mut PgConnection = &mut self.transaction;
        let done = sqlx::query_with(AssertSqlSafe(sql), arguments(args)?)
            .execute(conn)
            .await
            .map_err(failed)?;
        Ok(done.rows_affected())
    }

    async fn fetch(&mut self, sql: String, args: Vec<Value>) -> Result<Vec<Row>> {
        let conn: &mut PgConnection = &mut self.transaction;
        let rows = sqlx::query_with(AssertSqlSafe(sql), arguments(args)?)
            .fetch_all(conn)
            .await
            .map_err(failed)?;
        rows.iter().map(decode).collect()
    }

    async fn fetch_many(
        &mut self,
        sql: String,
        columns: &[BulkColumn],
        args: Vec<Value>,
    ) -> Result<Vec<Row>> {
        let mut rows = self.fetch(sql, args).await?;
        for row in &mut rows {
            row.0.truncate(columns.len());
        }
        Ok(rows)
    }

    async fn insert_many(
        &mut self,
        table: &str,
        columns: &[BulkColumn],
        mut rows: Rows<'_>,
    ) -> Result<()> {
        let inserted = self.inserted.entry(table.to_owned()).or_default();
        *inserted = inserted.saturating_add(rows.len());
        let sql = arrays::statement(table, columns);
        let conn: &mut PgConnection = &mut self.transaction;
        while rows.len() > 0 {
            let some: Vec<Vec<Value>> = rows.by_ref().take(CHUNK).collect();
            let arguments = arrays::arguments(columns, some.into_iter())?;
            sqlx::query_with(AssertSqlSafe(sql.clone()), arguments)
                .execute(&mut *conn)
                .await
                .map_err(failed)?;
        }
        Ok(())
    }
}

/// A null whose type the server finds out from where it stands.
struct Untyped;

impl Type<Postgres> for Untyped {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(sqlx::postgres::types::Oid(UNKNOWN))
    }
}

impl Encode<'_, Postgres> for Untyped {
    fn encode_by_ref(
        &self,
        _: &mut sqlx::postgres::PgArgumentBuffer,
    ) -> std::result::Result<sqlx::encode::IsNull, sqlx::error::BoxDynError> {
        Ok(sqlx::encode::IsNull::Yes)
    }
}

fn arguments(values: Vec<Value>) -> Result<PgArguments> {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Null => arguments.add(Untyped),
            Value::Bool(value) => arguments.add(value),
            Value::Int(value) => arguments.add(value),
            Value::Float(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
        }
        .map_err(|error| Error::internal("bind a value", error))?;
    }
    Ok(arguments)
}

fn decode(row: &PgRow) -> Result<Row> {
    (0..row.len())
        .map(|index| {
            let raw = row.try_get_raw(index).map_err(failed)?;
            decode_value(raw).map_err(|error| Error::internal("read a value", error))
        })
        .collect::<Result<Vec<Value>>>()
        .map(Row)
}

fn decode_value(raw: PgValueRef<'_>) -> std::result::Result<Value, sqlx::error::BoxDynError> {
    if raw.is_null() {
        return Ok(Value::Null);
    }
    let info = raw.type_info().into_owned();
    Ok(match info.name() {
        "BOOL" => Value::Bool(<bool as Decode<Postgres>>::decode(raw)?),
        "INT8" => Value::Int(<i64 as Decode<Postgres>>::decode(raw)?),
        "INT4" => Value::Int(i64::from(<i32 as Decode<Postgres>>::decode(raw)?)),
        "FLOAT8" => Value::Float(<f64 as Decode<Postgres>>::decode(raw)?),
        _ => Value::Text(<String as Decode<Postgres>>::decode(raw)?),
    })
}

fn failed(error: sqlx::Error) -> Error {
    let code = error
        .as_database_error()
        .and_then(|error| error.code().map(std::borrow::Cow::into_owned));
    let passing = match code.as_deref() {
        // Serialisation, deadlock, lock timeout, cancelled, resources, shutdown, connections.
        Some("40001" | "40P01" | "55P03" | "57014") => true,
        Some(code) => ["53", "57P", "08"]
            .iter()
            .any(|class| code.starts_with(class)),
        None => matches!(
            error,
            sqlx::Error::Io(_)
                | sqlx::Error::PoolTimedOut
                | sqlx::Error::PoolClosed
                | sqlx::Error::WorkerCrashed
                | sqlx::Error::Protocol(_)
        ),
    };
    if passing {
        Error::unavailable("use its database", error)
    } else {
        Error::internal("use its database", error)
    }
}
