//! Sagas in PostgreSQL, which processes of any number of machines share.
//!
//! Claims run out by the clock of the database, the only one that all of them see.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions as _, Connection as _, PgConnection, Postgres, Row as _, Transaction};

use super::error::DATABASE;
use super::rows::{self, RecordRow, SagaRow, signed, unsigned};
use super::{CLAIM_TTL, Claim, Claimed, ClaimedBy, LogError, SagaLog, Summary, Then, name_of};
use crate::saga::event::{Entry, Event};
use crate::saga::progress::{Progress, Status};
use crate::secret::Secret;
use crate::state::{Holder, Problem};

/// Longest wait for a connection, and for another process's write.
const PATIENCE: Duration = Duration::from_secs(10);

/// Milliseconds since 1970 of a column.
macro_rules! millis {
    ($column:literal) => {
        concat!("(extract(epoch FROM ", $column, ") * 1000)::BIGINT")
    };
}

/// A log in PostgreSQL.
#[derive(Debug)]
pub struct PostgresLog {
    pool: PgPool,
    ttl: Duration,
    holder: Holder,
}

impl PostgresLog {
    /// Connects, and makes the tables `car_saga` and `car_saga_record` where there are none.
    ///
    /// # Errors
    ///
    /// [`LogError::Unusable`].
    pub async fn open(url: &Secret) -> Result<Self, LogError> {
        Self::open_with(url, CLAIM_TTL).await
    }

    /// Connects, with another time that claims last.
    ///
    /// # Errors
    ///
    /// As [`PostgresLog::open`].
    pub async fn open_with(url: &Secret, ttl: Duration) -> Result<Self, LogError> {
        let unusable = |error: sqlx::Error| LogError::Unusable {
            place: PathBuf::from(DATABASE),
            problem: Problem::Other,
            source: Some(Box::new(error)),
        };
        let options = PgConnectOptions::from_str(url.expose())
            .map_err(unusable)?
            .options([("lock_timeout", "10s"), ("statement_timeout", "30s")])
            .disable_statement_logging();
        // One connection first: it says at once what is wrong, and a pool waits and tries again.
        let connecting = tokio::time::timeout(PATIENCE, options.connect());
        let mut connection = connecting
            .await
            .unwrap_or(Err(sqlx::Error::PoolTimedOut))
            .map_err(unusable)?;
        let mut transaction = connection.begin().await.map_err(unusable)?;
        // Two that make the same table at the same time would get in each other's way.
        sqlx::query("SELECT pg_advisory_xact_lock(4846241478219)")
            .execute(&mut *transaction)
            .await
            .map_err(unusable)?;
        sqlx::raw_sql(include_str!("layout-postgres.sql"))
            .execute(&mut *transaction)
            .await
            .map_err(unusable)?;
        transaction.commit().await.map_err(unusable)?;
        connection.close().await.map_err(unusable)?;
        let pool = PgPoolOptions::new()
            .max_connections(4)
            .acquire_timeout(PATIENCE)
            .connect_lazy_with(options);
        Ok(Self {
            pool,
            ttl,
            holder: Holder::this_process(),
        })
    }

    fn seconds(&self) -> f64 {
        self.ttl.as_secs_f64()
    }

    async fn begin(&self) -> Result<Transaction<'static, Postgres>, LogError> {
        self.pool.begin().await.map_err(storage("written"))
    }

    /// Extends a claim; the first thing that every write does.
    async fn hold(&self, connection: &mut PgConnection, claim: &Claim) -> Result<(), LogError> {
        let done = sqlx::query(
            "UPDATE car_saga SET expires = clock_timestamp() + make_interval(secs => $1) \
             WHERE id = $2 AND fence = $3 AND held",
        )
        .bind(self.seconds())
        .bind(&*claim.id)
        .bind(signed(claim.fence))
        .execute(connection)
        .await
        .map_err(storage("written"))?;
        if done.rows_affected() == 1 {
            return Ok(());
        }
        Err(LogError::lost(claim))
    }
}

#[async_trait]
impl SagaLog for PostgresLog {
    async fn claim(&self, id: &str, begin: Option<&Event>) -> Result<Claimed, LogError> {
        let mut transaction = self.begin().await?;
        if let Some(begin) = begin {
            let made = sqlx::query(
                "INSERT INTO car_saga (id, name, status, records, fence, held, host, pid, \
                 expires, created, updated) \
                 VALUES ($1, $2, $3, 0, 0, false, '', 0, clock_timestamp(), clock_timestamp(), \
                 clock_timestamp()) ON CONFLICT (id) DO NOTHING",
            )
            .bind(id)
            .bind(name_of(begin))
            .bind(Status::Running.as_str())
            .execute(&mut *transaction)
            .await
            .map_err(storage("written"))?;
            if made.rows_affected() == 1 {
                write(&mut transaction, id, std::slice::from_ref(begin)).await?;
            }
        }
        let row = sqlx::query(
            "SELECT fence, held AND expires > clock_timestamp() AS taken, host, pid, \
             (extract(epoch FROM expires - clock_timestamp()) * 1000)::BIGINT AS left_ms \
             FROM car_saga WHERE id = $1 FOR UPDATE",
        )
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(storage("read"))?;
        let Some(row) = row else {
            return Err(LogError::NotFound { id: id.to_owned() });
        };
        let fence: i64 = row.try_get("fence").map_err(storage("read"))?;
        if row.try_get("taken").map_err(storage("read"))? {
            let pid: i64 = row.try_get("pid").map_err(storage("read"))?;
            let left: i64 = row.try_get("left_ms").map_err(storage("read"))?;
            return Err(LogError::Held {
                id: id.to_owned(),
                by: Box::new(ClaimedBy {
                    host: row.try_get("host").map_err(storage("read"))?,
                    pid: u32::try_from(pid).unwrap_or_default(),
                    expires_in: Duration::from_millis(unsigned(left)),
                }),
            });
        }
        let fence = fence.saturating_add(1);
        sqlx::query(
            "UPDATE car_saga SET held = true, fence = $1, host = $2, pid = $3, \
             expires = clock_timestamp() + make_interval(secs => $4) WHERE id = $5",
        )
        .bind(fence)
        .bind(&self.holder.host)
        .bind(i64::from(self.holder.pid))
        .bind(self.seconds())
        .bind(id)
        .execute(&mut *transaction)
        .await
        .map_err(storage("written"))?;
        let entries = read(&mut transaction, id).await?;
        transaction.commit().await.map_err(storage("written"))?;
        Ok(Claimed {
            claim: Claim {
                id: Arc::from(id),
                fence: unsigned(fence),
            },
            events: entries.into_iter().map(|entry| entry.event).collect(),
        })
    }

    async fn append(
        &self,
        claim: &Claim,
        events: &[Event],
        progress: &Progress,
        then: Then,
    ) -> Result<(), LogError> {
        let mut transaction = self.begin().await?;
        self.hold(&mut transaction, claim).await?;
        write(&mut transaction, &claim.id, events).await?;
        sqlx::query("UPDATE car_saga SET status = $1, step = $2, held = $3 WHERE id = $4")
            .bind(progress.status.as_str())
            .bind(progress.current())
            .bind(then == Then::Keep)
            .bind(&*claim.id)
            .execute(&mut *transaction)
            .await
            .map_err(storage("written"))?;
        transaction.commit().await.map_err(storage("written"))
    }

    async fn renew(&self, claim: &Claim) -> Result<(), LogError> {
        let mut transaction = self.begin().await?;
        self.hold(&mut transaction, claim).await?;
        transaction.commit().await.map_err(storage("written"))
    }

    async fn release(&self, claim: &Claim) -> Result<(), LogError> {
        let mut transaction = self.begin().await?;
        self.hold(&mut transaction, claim).await?;
        sqlx::query("UPDATE car_saga SET held = false WHERE id = $1")
            .bind(&*claim.id)
            .execute(&mut *transaction)
            .await
            .map_err(storage("written"))?;
        transaction.commit().await.map_err(storage("written"))
    }

    async fn entries(&self, id: &str) -> Result<Vec<Entry>, LogError> {
        let mut connection = self.pool.acquire().await.map_err(storage("read"))?;
        read(&mut connection, id).await
    }

    async fn list(&self, status: Option<Status>, limit: u32) -> Result<Vec<Summary>, LogError> {
        let list: Vec<SagaRow> = sqlx::query_as(concat!(
            "SELECT id, name, status, step, ",
            millis!("created"),
            " AS created, ",
            millis!("updated"),
            " AS updated FROM car_saga WHERE $1::TEXT IS NULL OR status = $1 \
             ORDER BY car_saga.updated DESC, id DESC LIMIT $2"
        ))
        .bind(status.map(Status::as_str))
        .bind(i64::from(limit))
        .fetch_all(&self.pool)
        .await
        .map_err(storage("read"))?;
        Ok(rows::summaries(list))
    }

    fn ttl(&self) -> Duration {
        self.ttl
    }
}

async fn read(connection: &mut PgConnection, id: &str) -> Result<Vec<Entry>, LogError> {
    let list: Vec<RecordRow> = sqlx::query_as(concat!(
        "SELECT number, ",
        millis!("at"),
        ", event FROM car_saga_record WHERE saga = $1 ORDER BY number"
    ))
    .bind(id)
    .fetch_all(connection)
    .await
    .map_err(storage("read"))?;
    rows::entries(id, list)
}

async fn write(connection: &mut PgConnection, id: &str, events: &[Event]) -> Result<(), LogError> {
    for event in events {
        sqlx::query(
            "WITH grown AS (UPDATE car_saga SET records = records + 1, \
             updated = clock_timestamp() WHERE id = $1 RETURNING records) \
             INSERT INTO car_saga_record (saga, number, at, event) \
             SELECT $1, records - 1, clock_timestamp(), $2 FROM grown",
        )
        .bind(id)
        .bind(rows::text(id, event)?)
        .execute(&mut *connection)
        .await
        .map_err(storage("written"))?;
    }
    Ok(())
}

/// Says what failed, as "the saga log cannot be …".
fn storage(doing: &'static str) -> impl Fn(sqlx::Error) -> LogError + Copy {
    move |error| LogError::Storage {
        doing,
        // The class of PostgreSQL for resources that are used up: disk, memory, connections.
        full: error
            .as_database_error()
            .and_then(|error| error.code())
            .is_some_and(|code| code == "53100"),
        source: Box::new(error),
    }
}
