//! Sagas in one SQLite file, which any number of processes of a machine share.
//!
//! Each process keeps a file beside it locked; the kernel unlocks it, however the process ends,
//! so that what a dead one worked on can be claimed at once.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Connection as _, Row as _, Sqlite, Transaction};
use tokio::sync::Mutex;

use super::rows::{self, RecordRow, SagaRow, signed, unsigned};
use super::{CLAIM_TTL, Claim, Claimed, ClaimedBy, LogError, SagaLog, Summary, Then, name_of};
use crate::saga::event::{Entry, Event};
use crate::saga::progress::{Progress, Status};
use crate::state::file::{self, Layout, primary_code};
use crate::state::{Clock, Expiry, Holder, Moment, SystemClock};

const LAYOUT: Layout = Layout {
    version: 1,
    // "CARG", beside the run state's "CARS".
    application: 0x4341_5247,
    tables: include_str!("layout.sql"),
    steps: &[],
};

/// Tells logs of one process apart.
static INSTANCES: AtomicU32 = AtomicU32::new(0);

/// A log in a SQLite file.
#[derive(Debug)]
pub struct SqliteLog {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    ttl: Duration,
    holder: Holder,
    /// Name of the file that shows that this process lives, and the file.
    alive: Option<(String, File)>,
    connection: Mutex<SqliteConnection>,
}

impl SqliteLog {
    /// Opens a file, and makes it, private to its owner, where there is none.
    ///
    /// # Errors
    ///
    /// [`LogError::Unusable`].
    pub async fn open(path: &Path) -> Result<Self, LogError> {
        Self::open_with(path, Arc::new(SystemClock::new()), CLAIM_TTL).await
    }

    /// Opens a file, with another clock to judge claims by, and another time that they last.
    ///
    /// # Errors
    ///
    /// As [`SqliteLog::open`].
    pub async fn open_with(
        path: &Path,
        clock: Arc<dyn Clock>,
        ttl: Duration,
    ) -> Result<Self, LogError> {
        let mut connection =
            file::open(path, &LAYOUT)
                .await
                .map_err(|unusable| LogError::Unusable {
                    place: path.to_owned(),
                    problem: unusable.problem,
                    source: unusable.source,
                })?;
        tidy(path, &mut connection).await?;
        Ok(Self {
            alive: lock(path, clock.now().unix_ms),
            path: path.to_owned(),
            clock,
            ttl,
            holder: Holder::this_process(),
            connection: Mutex::new(connection),
        })
    }

    /// Returns the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the milliseconds for which a claim keeps others out, `None` if it does not.
    fn left(&self, row: &SqliteRow, now: &Moment) -> sqlx::Result<Option<i64>> {
        if !row.try_get::<bool, _>("held")? {
            return Ok(None);
        }
        let boot: Option<String> = row.try_get("boot")?;
        let expiry = Expiry {
            unix_ms: row.try_get("expires")?,
            boot: boot.zip(row.try_get("expires_uptime")?),
        };
        let instance: Option<String> = row.try_get("instance")?;
        let dead = expiry.same_boot(now)
            && instance.is_some_and(|instance| {
                File::open(beside(&self.path, &instance)).is_ok_and(|file| file.try_lock().is_ok())
            });
        // After a jump of a clock, whoever lives renews; whoever is dead has its time again.
        let ttl = i64::try_from(self.ttl.as_millis()).unwrap_or(i64::MAX);
        let left = expiry.left(now).min(ttl);
        Ok((left > 0 && !dead).then_some(left))
    }

    /// Extends a claim; the first thing that every write does.
    async fn hold(
        &self,
        transaction: &mut Transaction<'_, Sqlite>,
        claim: &Claim,
        now: &Moment,
    ) -> Result<(), LogError> {
        let (boot, uptime) = Expiry::after(now, self.ttl).boot.unzip();
        let done = sqlx::query(
            "UPDATE saga SET expires = ?, boot = ?, expires_uptime = ? \
             WHERE id = ? AND fence = ? AND held = 1",
        )
        .bind(Expiry::after(now, self.ttl).unix_ms)
        .bind(boot)
        .bind(uptime)
        .bind(&*claim.id)
        .bind(signed(claim.fence))
        .execute(&mut **transaction)
        .await
        .map_err(storage("written"))?;
        if done.rows_affected() == 1 {
            return Ok(());
        }
        Err(LogError::lost(claim))
    }
}

#[async_trait]
impl SagaLog for SqliteLog {
    async fn claim(&self, id: &str, begin: Option<&Event>) -> Result<Claimed, LogError> {
        let mut connection = self.connection.lock().await;
        let mut transaction = immediate(&mut connection).await?;
        // After the wait for others, which may have been long.
        let now = self.clock.now();
        let row = sqlx::query("SELECT * FROM saga WHERE id = ?")
            .bind(id)
            .fetch_optional(&mut *transaction)
            .await
            .map_err(storage("read"))?;
        let (events, fence) = match (&row, begin) {
            (Some(row), _) => {
                if let Some(left) = self.left(row, &now).map_err(storage("read"))? {
                    let pid: i64 = row.try_get("pid").map_err(storage("read"))?;
                    return Err(LogError::Held {
                        id: id.to_owned(),
                        by: Box::new(ClaimedBy {
                            host: row.try_get("host").map_err(storage("read"))?,
                            pid: u32::try_from(pid).unwrap_or_default(),
                            expires_in: Duration::from_millis(unsigned(left)),
                        }),
                    });
                }
                let fence: i64 = row.try_get("fence").map_err(storage("read"))?;
                let entries = read(&mut transaction, id).await?;
                let events = entries.into_iter().map(|entry| entry.event).collect();
                (events, fence.saturating_add(1))
            }
            (None, Some(begin)) => {
                sqlx::query(
                    "INSERT INTO saga (id, name, status, records, fence, held, host, pid, \
                     expires, created, updated) VALUES (?, ?, ?, 0, 0, 0, '', 0, 0, ?, 0)",
                )
                .bind(id)
                .bind(name_of(begin))
                .bind(Status::Running.as_str())
                .bind(signed(now.unix_ms))
                .execute(&mut *transaction)
                .await
                .map_err(storage("written"))?;
                write(&mut transaction, id, std::slice::from_ref(begin), &now).await?;
                (vec![begin.clone()], 1)
            }
            (None, None) => return Err(LogError::NotFound { id: id.to_owned() }),
        };
        let expiry = Expiry::after(&now, self.ttl);
        let (boot, uptime) = expiry.boot.unzip();
        sqlx::query(
            "UPDATE saga SET held = 1, fence = ?, host = ?, pid = ?, instance = ?, expires = ?, \
             boot = ?, expires_uptime = ? WHERE id = ?",
        )
        .bind(fence)
        .bind(&self.holder.host)
        .bind(i64::from(self.holder.pid))
        .bind(self.alive.as_ref().map(|(name, _)| name))
        .bind(expiry.unix_ms)
        .bind(boot)
        .bind(uptime)
        .bind(id)
        .execute(&mut *transaction)
        .await
        .map_err(storage("written"))?;
        transaction.commit().await.map_err(storage("written"))?;
        Ok(Claimed {
            claim: Claim {
                id: Arc::from(id),
                fence: unsigned(fence),
            },
            events,
        })
    }

    async fn append(
        &self,
        claim: &Claim,
        events: &[Event],
        progress: &Progress,
        then: Then,
    ) -> Result<(), LogError> {
        let mut connection = self.connection.lock().await;
        let mut transaction = immediate(&mut connection).await?;
        let now = self.clock.now();
        self.hold(&mut transaction, claim, &now).await?;
        write(&mut transaction, &claim.id, events, &now).await?;
        sqlx::query("UPDATE saga SET status = ?, step = ?, held = ? WHERE id = ?")
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
        let mut connection = self.connection.lock().await;
        let mut transaction = immediate(&mut connection).await?;
        let now = self.clock.now();
        self.hold(&mut transaction, claim, &now).await?;
        transaction.commit().await.map_err(storage("written"))
    }

    async fn release(&self, claim: &Claim) -> Result<(), LogError> {
        let mut connection = self.connection.lock().await;
        let mut transaction = immediate(&mut connection).await?;
        let now = self.clock.now();
        self.hold(&mut transaction, claim, &now).await?;
        sqlx::query("UPDATE saga SET held = 0 WHERE id = ?")
            .bind(&*claim.id)
            .execute(&mut *transaction)
            .await
            .map_err(storage("written"))?;
        transaction.commit().await.map_err(storage("written"))
    }

    async fn entries(&self, id: &str) -> Result<Vec<Entry>, LogError> {
        read(&mut *self.connection.lock().await, id).await
    }

    async fn list(&self, status: Option<Status>, limit: u32) -> Result<Vec<Summary>, LogError> {
        let mut connection = self.connection.lock().await;
        let list: Vec<SagaRow> = sqlx::query_as(
            "SELECT id, name, status, step, created, updated FROM saga \
             WHERE ?1 IS NULL OR status = ?1 ORDER BY updated DESC, id DESC LIMIT ?2",
        )
        .bind(status.map(Status::as_str))
        .bind(i64::from(limit))
        .fetch_all(&mut *connection)
        .await
        .map_err(storage("read"))?;
        Ok(rows::summaries(list))
    }

    fn ttl(&self) -> Duration {
        self.ttl
    }
}

async fn immediate(connection: &mut SqliteConnection) -> Result<Transaction<'_, Sqlite>, LogError> {
    connection
        .begin_with("BEGIN IMMEDIATE")
        .await
        .map_err(storage("written"))
}

async fn read(connection: &mut SqliteConnection, id: &str) -> Result<Vec<Entry>, LogError> {
    let list: Vec<RecordRow> =
        sqlx::query_as("SELECT number, at, event FROM record WHERE saga = ? ORDER BY number")
            .bind(id)
            .fetch_all(connection)
            .await
            .map_err(storage("read"))?;
    rows::entries(id, list)
}

async fn write(
    transaction: &mut Transaction<'_, Sqlite>,
    id: &str,
    events: &[Event],
    now: &Moment,
) -> Result<(), LogError> {
    for event in events {
        sqlx::query(
            "INSERT INTO record (saga, number, at, event) \
             VALUES (?1, (SELECT records FROM saga WHERE id = ?1), ?2, ?3)",
        )
        .bind(id)
        .bind(signed(now.unix_ms))
        .bind(rows::text(id, event)?)
        .execute(&mut **transaction)
        .await
        .map_err(storage("written"))?;
        sqlx::query("UPDATE saga SET records = records + 1, updated = ? WHERE id = ?")
            .bind(signed(now.unix_ms))
            .bind(id)
            .execute(&mut **transaction)
            .await
            .map_err(storage("written"))?;
    }
    Ok(())
}

/// Says what failed, as "the saga log cannot be …".
fn storage(doing: &'static str) -> impl Fn(sqlx::Error) -> LogError + Copy {
    move |error| LogError::Storage {
        doing,
        full: primary_code(&error) == Some(13),
        source: Box::new(error),
    }
}

/// Names the file that shows that an instance lives.
fn beside(path: &Path, instance: &str) -> PathBuf {
    let mut name = OsString::from(path.file_name().unwrap_or_default());
    name.push("-alive-");
    name.push(instance);
    path.with_file_name(name)
}

/// Makes and locks a file of this instance. Without it, others wait until claims run out.
fn lock(path: &Path, now: u64) -> Option<(String, File)> {
    let number = INSTANCES.fetch_add(1, Ordering::Relaxed);
    let instance = format!("{}-{now}-{number}", std::process::id());
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(beside(path, &instance)).ok()?;
    file.try_lock().ok()?;
    Some((instance, file))
}

/// Removes the files of the dead, but those that claims name.
async fn tidy(path: &Path, connection: &mut SqliteConnection) -> Result<(), LogError> {
    let named: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT instance FROM saga WHERE held = 1 AND instance IS NOT NULL",
    )
    .fetch_all(connection)
    .await
    .map_err(storage("read"))?;
    let prefix = beside(path, "");
    let prefix = prefix.file_name().unwrap_or_default().to_string_lossy();
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let Ok(files) = std::fs::read_dir(folder.unwrap_or(Path::new("."))) else {
        return Ok(());
    };
    for entry in files.flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let Some(instance) = name.strip_prefix(&*prefix) else {
            continue;
        };
        let dead = File::open(entry.path()).is_ok_and(|file| file.try_lock().is_ok());
        if dead
            && !named.iter().any(|named| named == instance)
            && let Err(error) = std::fs::remove_file(entry.path())
        {
            tracing::debug!(file = %entry.path().display(), %error, "an old lock file stays");
        }
    }
    Ok(())
}

impl Drop for SqliteLog {
    fn drop(&mut self) {
        // Closing is not enough while a process that was just started still has a copy.
        if let Some((_, file)) = &self.alive
            && let Err(error) = file.unlock()
        {
            tracing::debug!(%error, "the lock of a saga log stays until the end");
        }
    }
}
