//! Leases in SQLite.

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::time::Duration;

use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _, Sqlite, Transaction};
use xxhash_rust::xxh3::xxh3_64;

use super::{SqliteStore, begin, signed, storage, unsigned};
use crate::state::clock::Moment;
use crate::state::error::{HeldBy, StateError};
use crate::state::lease::{Expiry, Holder, Lease};

struct Stored {
    fence: i64,
    held: bool,
    host: String,
    pid: i64,
    since: i64,
    ttl: i64,
    expires: i64,
    boot: Option<String>,
    expires_uptime: Option<i64>,
    locked: bool,
}

impl FromRow<'_, SqliteRow> for Stored {
    fn from_row(row: &SqliteRow) -> sqlx::Result<Self> {
        Ok(Self {
            fence: row.try_get("fence")?,
            held: row.try_get("held")?,
            host: row.try_get("host")?,
            pid: row.try_get("pid")?,
            since: row.try_get("since")?,
            ttl: row.try_get("ttl")?,
            expires: row.try_get("expires")?,
            boot: row.try_get("boot")?,
            expires_uptime: row.try_get("expires_uptime")?,
            locked: row.try_get("locked")?,
        })
    }
}

impl SqliteStore {
    pub(super) async fn take_lease(
        &self,
        source: &str,
        holder: &Holder,
        ttl: Duration,
    ) -> Result<Lease, StateError> {
        let doing = "written";
        let mut connection = self.connection().await?;
        let mut transaction = begin(&mut connection, doing).await?;
        // After the wait for others, which may have been long.
        let now = self.now();
        let row: Option<Stored> = sqlx::query_as(
            "SELECT fence, held, host, pid, since, ttl, expires, boot, expires_uptime, locked \
             FROM lease WHERE source = ?",
        )
        .bind(source)
        .fetch_optional(&mut *transaction)
        .await
        .map_err(storage(doing))?;
        if let Some(row) = &row
            && let Some(left) = self.left(source, row, &now)
        {
            if left > row.ttl {
                // A clock jumped. Whoever lives renews; whoever is dead has this long.
                extend(&mut transaction, source, row.fence, &now, row.ttl).await?;
                transaction.commit().await.map_err(storage(doing))?;
            }
            return Err(StateError::Held(Box::new(HeldBy {
                source_name: source.to_owned(),
                host: row.host.clone(),
                pid: u32::try_from(row.pid).unwrap_or_default(),
                since: unsigned(row.since),
                expires_in: Duration::from_millis(unsigned(left.min(row.ttl))),
            })));
        }
        let last = row.map_or(0, |row| row.fence);
        let fence = last.saturating_add(1);
        let alive = lock(self.lock_path(source, fence));
        let expiry = Expiry::after(&now, ttl);
        let (boot, uptime) = expiry.boot.unzip();
        sqlx::query(
            "INSERT OR REPLACE INTO lease \
             (source, fence, held, host, pid, since, ttl, expires, boot, expires_uptime, locked) \
             VALUES (?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(source)
        .bind(fence)
        .bind(&holder.host)
        .bind(i64::from(holder.pid))
        .bind(signed(now.unix_ms))
        .bind(milliseconds(ttl))
        .bind(expiry.unix_ms)
        .bind(boot)
        .bind(uptime)
        .bind(alive.is_some())
        .execute(&mut *transaction)
        .await
        .map_err(storage(doing))?;
        transaction.commit().await.map_err(storage(doing))?;
        self.unlink(source, last);
        Ok(Lease::new(source.to_owned(), unsigned(fence), ttl, alive))
    }

    pub(super) async fn give_back(&self, lease: &Lease) -> Result<(), StateError> {
        let doing = "written";
        let mut connection = self.connection().await?;
        let mut transaction = begin(&mut connection, doing).await?;
        hold(&mut transaction, lease, &self.now()).await?;
        sqlx::query("UPDATE lease SET held = 0 WHERE source = ?")
            .bind(lease.source())
            .execute(&mut *transaction)
            .await
            .map_err(storage(doing))?;
        transaction.commit().await.map_err(storage(doing))?;
        self.unlink(lease.source(), signed(lease.fence()));
        Ok(())
    }

    /// Returns the milliseconds for which the lease keeps others out, `None` if it does not.
    fn left(&self, source: &str, row: &Stored, now: &Moment) -> Option<i64> {
        if !row.held {
            return None;
        }
        let expiry = Expiry {
            unix_ms: row.expires,
            boot: row.boot.clone().zip(row.expires_uptime),
        };
        let left = expiry.left(now);
        let dead = row.locked
            && expiry.same_boot(now)
            && File::open(self.lock_path(source, row.fence))
                .is_ok_and(|file| file.try_lock().is_ok());
        (left > 0 && !dead).then_some(left)
    }

    /// Names the file that is locked as long as the holder of a lease lives: a new one for each
    /// lease, so that a lock never speaks for another holder.
    fn lock_path(&self, source: &str, fence: i64) -> PathBuf {
        let source = xxh3_64(source.as_bytes());
        self.beside(&format!("-lease-{source:016x}-{fence}"))
    }

    fn unlink(&self, source: &str, fence: i64) {
        let path = self.lock_path(source, fence);
        if let Err(error) = std::fs::remove_file(&path)
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::debug!(file = %path.display(), %error, "an old lock file stays");
        }
    }
}

/// Checks that the lease is not lost, and extends it. The first thing that every write does.
pub(super) async fn hold(
    transaction: &mut Transaction<'_, Sqlite>,
    lease: &Lease,
    now: &Moment,
) -> Result<(), StateError> {
    let fence = signed(lease.fence());
    let ttl = milliseconds(lease.ttl());
    if extend(transaction, lease.source(), fence, now, ttl).await? {
        return Ok(());
    }
    let current: Option<i64> = sqlx::query_scalar("SELECT fence FROM lease WHERE source = ?")
        .bind(lease.source())
        .fetch_optional(&mut **transaction)
        .await
        .map_err(storage("read"))?;
    Err(StateError::Zombie {
        source_name: lease.source().to_owned(),
        fence: lease.fence(),
        current: unsigned(current.unwrap_or_default()),
    })
}

/// Extends a lease; returns whether it is held under this number.
async fn extend(
    transaction: &mut Transaction<'_, Sqlite>,
    source: &str,
    fence: i64,
    now: &Moment,
    ttl: i64,
) -> Result<bool, StateError> {
    let expiry = Expiry::after(now, Duration::from_millis(unsigned(ttl)));
    let (boot, uptime) = expiry.boot.unzip();
    let done = sqlx::query(
        "UPDATE lease SET expires = ?, boot = ?, expires_uptime = ? \
         WHERE source = ? AND fence = ? AND held = 1",
    )
    .bind(expiry.unix_ms)
    .bind(boot)
    .bind(uptime)
    .bind(source)
    .bind(fence)
    .execute(&mut **transaction)
    .await
    .map_err(storage("written"))?;
    Ok(done.rows_affected() == 1)
}

/// Makes and locks a file. Without it, others wait until the lease runs out.
fn lock(path: PathBuf) -> Option<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path).ok()?;
    file.try_lock().ok()?;
    Some(file)
}

fn milliseconds(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}
