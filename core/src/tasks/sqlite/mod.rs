//! The embedded engine: tasks in one SQLite file, worked on by one process.
//!
//! One [keeper](keeper) owns the writing connection. It takes everything that was asked for and
//! everything that ended since its last turn, writes it in one transaction, picks what is due in
//! the same one, and only then tells anybody. So a commit is shared by as many steps as end while
//! the one before it is on its way to the disk, and what is running in memory is never ahead of
//! what is on disk.
//!
//! A kernel lock on `FILE-lock` keeps a second process out; it goes when the process ends,
//! however it ends.

mod boot;
mod change;
mod command;
mod connectors;
mod finish;
mod keeper;
mod pick;
mod read;
mod record;
mod rows;
mod schedule;

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sqlx::ConnectOptions as _;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::time::sleep;

pub use connectors::{ConnectorRow, Phase};

use super::descriptor::TaskId;
use super::engine::{Health, Scheduled, TaskEngine};
use super::error::TaskError;
use super::step::{Resolve, TaskSpec};
use super::view::{Listing, TaskHistory, TaskPage, TaskView};
use crate::state::file::{self, Layout, primary_code};
use crate::state::{Clock, Problem, SystemClock};
use change::Action;
use command::{Command, Reply, Shared};
use connectors::ConnectorWrite;
use keeper::Keeper;

const LAYOUT: Layout = Layout {
    version: 1,
    // "CARZ", beside the run state's "CARS".
    application: 0x4341_525A,
    tables: include_str!("layout.sql"),
    steps: &[],
};

/// How often a lock is tried, and the wait after each try: a program that a dead process was
/// just starting may still have it.
const LOCK_TRIES: u32 = 25;
const LOCK_WAIT: Duration = Duration::from_millis(20);

/// Commands that may wait for the keeper.
const WAITING: usize = 1024;

/// How the engine works.
#[derive(Debug, Clone)]
pub struct SqliteOptions {
    /// Tells the time.
    pub clock: Arc<dyn Clock>,
    /// Longest time between two looks at the clock.
    pub look: Duration,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock::new()),
            look: Duration::from_secs(5),
        }
    }
}

/// Tasks in one SQLite file.
#[derive(Debug)]
pub struct SqliteEngine {
    commands: mpsc::Sender<Command>,
    reader: Mutex<SqliteConnection>,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    path: PathBuf,
}

impl SqliteEngine {
    /// Opens a file, and makes it, private to its owner, where there is none.
    ///
    /// # Errors
    ///
    /// [`TaskError::InUse`] when another engine works on it, [`TaskError::Unusable`].
    pub async fn open(path: &Path) -> Result<Self, TaskError> {
        Self::open_with(path, SqliteOptions::default()).await
    }

    /// Opens a file with other options than the usual ones.
    ///
    /// # Errors
    ///
    /// As [`SqliteEngine::open`].
    pub async fn open_with(path: &Path, options: SqliteOptions) -> Result<Self, TaskError> {
        let lock = lock(path).await?;
        let unusable = |unusable: file::Unusable| TaskError::Unusable {
            path: path.to_owned(),
            problem: unusable.problem,
            source: unusable.source,
        };
        let mut writer = file::open(path, &LAYOUT).await.map_err(unusable)?;
        let reader = SqliteConnectOptions::new()
            .filename(path)
            .read_only(true)
            .busy_timeout(Duration::from_secs(10))
            .disable_statement_logging()
            .connect()
            .await
            .map_err(|error| unusable(error.into()))?;
        let counts = boot::boot(&mut writer, &*options.clock).await?;
        let (commands, inbox) = mpsc::channel(WAITING);
        let shared = Arc::new(Shared::default());
        let clock = Arc::clone(&options.clock);
        let keeper = Keeper::new(
            writer,
            lock,
            options,
            (commands.downgrade(), inbox),
            Arc::clone(&shared),
            counts,
        );
        tokio::spawn(keeper.work());
        Ok(Self {
            commands,
            reader: Mutex::new(reader),
            shared,
            clock,
            path: path.to_owned(),
        })
    }

    /// Returns the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the connectors in the order of their names.
    pub(super) async fn installed(&self) -> Result<Vec<ConnectorRow>, TaskError> {
        connectors::all(&mut *self.reader.lock().await).await
    }

    /// Keeps a connector, in the place of one with its name.
    pub(super) async fn put_connector(&self, row: ConnectorRow) -> Result<(), TaskError> {
        let write = ConnectorWrite::Put(Box::new(row));
        self.ask(|reply| Command::Connector { write, reply }).await
    }

    /// Forgets a connector. Its tasks stay.
    pub(super) async fn delete_connector(&self, name: &str) -> Result<(), TaskError> {
        let write = ConnectorWrite::Delete(name.to_owned());
        self.ask(|reply| Command::Connector { write, reply }).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, TaskError> {
        let (reply, answer) = oneshot::channel();
        if self.commands.send(command(reply)).await.is_err() {
            return Err(TaskError::Stopped);
        }
        answer.await.map_err(|_| TaskError::Stopped)?
    }

    async fn act(
        &self,
        action: Action,
        connector: &str,
        id: &TaskId,
    ) -> Result<TaskView, TaskError> {
        self.ask(|reply| Command::Act {
            action,
            connector: connector.into(),
            id: id.clone(),
            reply,
        })
        .await?;
        self.task(connector, id).await
    }
}

#[async_trait]
impl TaskEngine for SqliteEngine {
    async fn start(
        &self,
        connector: &str,
        limit: usize,
        resolve: Arc<dyn Resolve>,
    ) -> Result<(), TaskError> {
        self.ask(|reply| Command::Start {
            connector: connector.into(),
            limit: limit.max(1),
            resolve,
            reply,
        })
        .await
    }

    async fn halt(&self, connector: &str) -> Result<(), TaskError> {
        self.ask(|reply| Command::Halt {
            connector: connector.into(),
            reply,
        })
        .await
    }

    async fn forget(&self, connector: &str) -> Result<(), TaskError> {
        self.halt(connector).await?;
        self.ask(|reply| Command::Forget {
            connector: connector.into(),
            reply,
        })
        .await
    }

    async fn schedule(&self, connector: &str, task: TaskSpec) -> Result<Scheduled, TaskError> {
        self.ask(|reply| Command::Schedule {
            connector: connector.into(),
            task: Box::new(task),
            waiter: None,
            reply,
        })
        .await
    }

    async fn run(
        &self,
        connector: &str,
        task: TaskSpec,
        patience: Duration,
    ) -> Result<Scheduled, TaskError> {
        let (waiter, end) = oneshot::channel();
        let scheduled = self
            .ask(|reply| Command::Schedule {
                connector: connector.into(),
                task: Box::new(task),
                waiter: Some(waiter),
                reply,
            })
            .await?;
        match tokio::time::timeout(patience, end).await {
            Err(_) => Err(TaskError::TooLate(patience.as_secs())),
            Ok(Err(_)) => Err(TaskError::Stopped),
            Ok(Ok(Some(error))) => Err(TaskError::Failed(error)),
            Ok(Ok(None)) => Ok(scheduled),
        }
    }

    async fn task(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError> {
        let now = rows::now(&*self.clock);
        read::task(&mut *self.reader.lock().await, connector, task, now).await
    }

    async fn history(&self, connector: &str, task: &TaskId) -> Result<TaskHistory, TaskError> {
        let now = rows::now(&*self.clock);
        read::history(&mut *self.reader.lock().await, connector, task, now).await
    }

    async fn tasks(&self, connector: &str, listing: &Listing) -> Result<TaskPage, TaskError> {
        let now = rows::now(&*self.clock);
        read::tasks(&mut *self.reader.lock().await, connector, listing, now).await
    }

    async fn retry(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError> {
        self.act(Action::Retry, connector, task).await
    }

    async fn pause(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError> {
        self.act(Action::Pause, connector, task).await
    }

    async fn resume(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError> {
        self.act(Action::Resume, connector, task).await
    }

    async fn stop(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError> {
        self.act(Action::Stop, connector, task).await
    }

    async fn health(&self) -> Health {
        let mut health = self.shared.health();
        match read::counts(&mut *self.reader.lock().await).await {
            Ok(tasks) => health.tasks = tasks,
            Err(error) => {
                health.trouble.get_or_insert_with(|| error.to_string());
            }
        }
        health
    }

    async fn close(&self) -> Result<(), TaskError> {
        self.ask(|reply| Command::Close { reply }).await
    }
}

/// Says what failed, as "the task store cannot be …".
fn storage(doing: &'static str) -> impl Fn(sqlx::Error) -> TaskError + Copy {
    move |error| TaskError::Store {
        doing,
        full: primary_code(&error) == Some(13),
        source: Box::new(error),
    }
}

/// Locks the file beside the store, for as long as the answer lives.
async fn lock(path: &Path) -> Result<File, TaskError> {
    let unusable = |source: std::io::Error| TaskError::Unusable {
        path: path.to_owned(),
        problem: match source.kind() {
            std::io::ErrorKind::StorageFull => Problem::Full,
            _ => Problem::Unwritable,
        },
        source: Some(Box::new(source)),
    };
    let mut name = OsString::from(path.file_name().unwrap_or_default());
    name.push("-lock");
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path.with_file_name(name)).map_err(unusable)?;
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(std::fs::TryLockError::WouldBlock) => sleep(LOCK_WAIT).await,
            Err(std::fs::TryLockError::Error(error)) => return Err(unusable(error)),
        }
    }
    Err(TaskError::InUse {
        path: path.to_owned(),
    })
}
