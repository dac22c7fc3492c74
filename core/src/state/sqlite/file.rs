//! SQLite files of the framework: private to their owner, synced with every commit, and known by
//! a mark, so that neither the file of another program nor that of a newer version is touched.

use std::fs::{OpenOptions, Permissions};
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _};
use tokio::time::{Instant, sleep};

use crate::state::error::Problem;

/// How long a statement waits for another process's write.
const BUSY: Duration = Duration::from_secs(10);

/// What a file holds.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Its version, kept in `PRAGMA user_version`; the tables set it.
    pub(crate) version: i64,
    /// `PRAGMA application_id`, so that a database of something else is recognised; the tables
    /// set it.
    pub(crate) application: i64,
    /// The statements that make the tables.
    pub(crate) tables: &'static str,
    /// The statements that bring version 1 to version 2, and so on; each sets its version.
    pub(crate) steps: &'static [&'static str],
}

/// Why a file cannot be used.
#[derive(Debug)]
pub(crate) struct Unusable {
    pub(crate) problem: Problem,
    /// What the system or the database says.
    pub(crate) source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl From<Problem> for Unusable {
    fn from(problem: Problem) -> Self {
        Self {
            problem,
            source: None,
        }
    }
}

impl From<sqlx::Error> for Unusable {
    fn from(error: sqlx::Error) -> Self {
        Self {
            problem: match primary_code(&error) {
                Some(11 | 26) => Problem::NotADatabase,
                Some(3 | 8 | 14 | 23) => Problem::Unwritable,
                Some(13) => Problem::Full,
                Some(5 | 6) => Problem::Locked,
                _ => Problem::Other,
            },
            source: Some(Box::new(error)),
        }
    }
}

/// Opens a file, and makes it where there is none.
pub(crate) async fn open(path: &Path, layout: &Layout) -> Result<SqliteConnection, Unusable> {
    make_private(path)?;
    let deadline = Instant::now() + BUSY;
    loop {
        match connect(path, layout).await {
            // Changing to the write-ahead log does not wait for others by itself.
            Err(Unusable {
                problem: Problem::Locked,
                ..
            }) if Instant::now() < deadline => sleep(Duration::from_millis(20)).await,
            connection => return connection,
        }
    }
}

/// Makes the file if there is none, and takes the rights of others away if there is one.
///
/// An existing file is not opened: closing it would take the locks from a database that this
/// process has open already.
fn make_private(path: &Path) -> Result<(), Unusable> {
    let unwritable = |error: std::io::Error| Unusable {
        problem: match error.kind() {
            std::io::ErrorKind::StorageFull => Problem::Full,
            _ => Problem::Unwritable,
        },
        source: Some(Box::new(error)),
    };
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(unwritable(error)),
    }
    let metadata = std::fs::metadata(path).map_err(unwritable)?;
    if !metadata.is_file() {
        return Err(Problem::NotADatabase.into());
    }
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0 {
        let private: Permissions = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(path, private).map_err(unwritable)?;
    }
    Ok(())
}

/// Connects, and brings the tables to the present layout.
async fn connect(path: &Path, layout: &Layout) -> Result<SqliteConnection, Unusable> {
    let mut connection = SqliteConnectOptions::new()
        .filename(path)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY)
        .disable_statement_logging()
        .connect()
        .await?;
    // Before anything is written: a file of something else stays as it is.
    if version(&mut connection, layout).await? != layout.version {
        migrate(&mut connection, layout).await?;
    }
    sqlx::query("PRAGMA journal_mode = WAL")
        .execute(&mut connection)
        .await?;
    Ok(connection)
}

/// Returns the version of the file's layout, 0 for an empty file.
async fn version(connection: &mut SqliteConnection, layout: &Layout) -> Result<i64, Unusable> {
    let (application, version, tables): (i64, i64, i64) = sqlx::query_as(
        "SELECT (SELECT application_id FROM pragma_application_id), \
                (SELECT user_version FROM pragma_user_version), \
                (SELECT count(*) FROM sqlite_schema)",
    )
    .fetch_one(connection)
    .await?;
    match (application, version) {
        (found, version) if found == layout.application => {
            if (1..=layout.version).contains(&version) {
                Ok(version)
            } else {
                Err(Problem::Newer { found: version }.into())
            }
        }
        (0, 0) if tables == 0 => Ok(0),
        _ => Err(Problem::Foreign.into()),
    }
}

async fn migrate(connection: &mut SqliteConnection, layout: &Layout) -> Result<(), Unusable> {
    let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    // Another process may have been quicker.
    let version = version(&mut transaction, layout).await?;
    let statements = match usize::try_from(version.saturating_sub(1)) {
        Ok(done) => layout.steps.get(done..).unwrap_or_default(),
        Err(_) => &[layout.tables],
    };
    for statement in statements {
        sqlx::raw_sql(*statement).execute(&mut *transaction).await?;
    }
    Ok(transaction.commit().await?)
}

/// Returns SQLite's primary result code.
pub(crate) fn primary_code(error: &sqlx::Error) -> Option<u32> {
    let code: u32 = error.as_database_error()?.code()?.parse().ok()?;
    Some(code & 0xff)
}
