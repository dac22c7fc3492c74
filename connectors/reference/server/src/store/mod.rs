//! The database file: opening it, reading objects as JSON, changing them, naming states.

pub(crate) mod changes;
pub(crate) mod draft;
pub(crate) mod layout;
pub(crate) mod read;
pub(crate) mod sql;
pub(crate) mod write;

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{AssertSqlSafe, ConnectOptions as _, Row as _};

use crate::error::Error;

/// Layout of the file, kept in `PRAGMA user_version`.
const LAYOUT: i64 = 1;
/// `PRAGMA application_id`, so that a database of something else is recognised.
const APPLICATION: i64 = 0x5245_4653;
/// How long a statement waits for another process's write.
const BUSY: Duration = Duration::from_secs(10);
/// How long a request waits for a free connection.
const ACQUIRE: Duration = Duration::from_secs(12);
const READERS: u32 = 8;

/// An open database file. One connection writes, several read.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) readers: SqlitePool,
    pub(crate) writer: SqlitePool,
    pub(crate) instance: String,
    pub(crate) keep_changes: i64,
}

impl Store {
    /// Opens `path`, and creates it (readable by its owner only) where it does not exist.
    ///
    /// # Errors
    /// [`Error::Setting`] for `--data` when the file cannot be used.
    pub(crate) async fn open(path: &Path, keep_changes: u64) -> Result<Self, Error> {
        create_private(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            // Slow statements are those of a large load, and their text is long.
            .disable_statement_logging();
        let pool = |size: u32| {
            SqlitePoolOptions::new()
                .max_connections(size)
                .acquire_timeout(ACQUIRE)
        };
        let writer = pool(1)
            .connect_with(options.clone())
            .await
            .map_err(|e| unusable(path, e))?;
        let instance = prepare(&writer, path).await?;
        let readers = pool(READERS).connect_lazy_with(options.read_only(true));
        Ok(Self {
            readers,
            writer,
            instance,
            keep_changes: i64::try_from(keep_changes).unwrap_or(i64::MAX),
        })
    }

    /// Closes all connections; waits for running statements.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

fn create_private(path: &Path) -> Result<(), Error> {
    let mut options = std::fs::OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map(drop).map_err(|e| {
        Error::setting_from(
            "--data",
            format!(
                "cannot open or create {}; name a file in a folder that exists and that you may \
                 write to",
                path.display()
            ),
            e,
        )
    })
}

fn unusable(path: &Path, error: sqlx::Error) -> Error {
    let code = error
        .as_database_error()
        .and_then(|e| e.code())
        .and_then(|c| c.parse::<u32>().ok())
        .map(|c| c & 0xff);
    let why = match code {
        Some(26) => "is not a database; name another file",
        Some(8 | 14) => "cannot be written; check the rights of the file and of its folder",
        Some(13) => "is on a full disk",
        Some(5 | 6) => "is locked by another program; try again when that has ended",
        _ => "cannot be used as a database",
    };
    Error::setting_from("--data", format!("{} {why}", path.display()), error)
}

/// Checks what the file is, lays it out when it is empty, and returns its instance id.
async fn prepare(pool: &SqlitePool, path: &Path) -> Result<String, Error> {
    let bad = |e| unusable(path, e);
    let mut tx = pool.begin_with("BEGIN IMMEDIATE").await.map_err(bad)?;
    let number = |row: sqlx::sqlite::SqliteRow| row.try_get::<i64, _>(0);
    let version = sqlx::query("PRAGMA user_version")
        .fetch_one(&mut *tx)
        .await
        .and_then(number)
        .map_err(bad)?;
    let application = sqlx::query("PRAGMA application_id")
        .fetch_one(&mut *tx)
        .await
        .and_then(number)
        .map_err(bad)?;
    let tables = sqlx::query("SELECT count(*) FROM sqlite_schema")
        .fetch_one(&mut *tx)
        .await
        .and_then(number)
        .map_err(bad)?;
    if tables > 0 && application != APPLICATION {
        return Err(Error::setting(
            "--data",
            format!(
                "{} is a database of another program; name another file",
                path.display()
            ),
        ));
    }
    if version > LAYOUT {
        return Err(Error::setting(
            "--data",
            format!(
                "{} was written by a newer version (layout {version}, this program knows \
                 {LAYOUT}); use that version or another file",
                path.display()
            ),
        ));
    }
    if tables == 0 {
        let create = format!(
            "{}PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {LAYOUT};",
            layout::create_all()
        );
        run_all(&mut tx, create).await.map_err(bad)?;
        sqlx::query("INSERT INTO meta (name, value) VALUES ('instance', ?1)")
            .bind(uuid::Uuid::new_v4().simple().to_string())
            .execute(&mut *tx)
            .await
            .map_err(bad)?;
    }
    let instance = sqlx::query("SELECT value FROM meta WHERE name = 'instance'")
        .fetch_one(&mut *tx)
        .await
        .and_then(|row| row.try_get::<String, _>(0))
        .map_err(bad)?;
    tx.commit().await.map_err(bad)?;
    Ok(instance)
}

/// Runs several statements that are made from the model only.
pub(crate) async fn run_all(
    connection: &mut SqliteConnection,
    statements: String,
) -> Result<(), sqlx::Error> {
    sqlx::raw_sql(AssertSqlSafe(statements))
        .execute(connection)
        .await
        .map(drop)
}
