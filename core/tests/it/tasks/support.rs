//! What the tests of tasks share: a clock that can be set, steps that are closures, and waits.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use car_core::failure::{Failure, FailureKind, Retry};
use car_core::state::{Boot, Clock, Moment, SystemClock};
use car_core::tasks::{
    MOST_CHILDREN, Outcome, Policy, Resolve, SqliteEngine, SqliteOptions, Status, Step, Task,
    TaskDescriptor, TaskEngine, TaskError, TaskId, TaskView,
};
use tokio::sync::mpsc;

use crate::support::{PATIENCE, soon};

/// The connector of most tests.
pub(crate) const CONNECTOR: &str = "tests";

/// Learns by how many milliseconds time was let pass so far.
type OnPass = Box<dyn Fn(i64) + Send + Sync>;

/// A clock that goes as the machine's, and can be set.
pub(crate) struct TestClock {
    real: SystemClock,
    wall: AtomicI64,
    uptime: AtomicI64,
    boot: AtomicU64,
    /// Who learns of time that is let pass: engines that do not look at this clock.
    pub(crate) on_pass: Mutex<Option<OnPass>>,
}

impl std::fmt::Debug for TestClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TestClock").finish_non_exhaustive()
    }
}

impl TestClock {
    pub(crate) fn new() -> Self {
        Self {
            real: SystemClock::new(),
            wall: AtomicI64::new(0),
            uptime: AtomicI64::new(0),
            boot: AtomicU64::new(0),
            on_pass: Mutex::new(None),
        }
    }

    /// Lets time pass.
    pub(crate) fn pass(&self, time: Duration) {
        let time = i64::try_from(time.as_millis()).unwrap();
        // In this order, so that no look in between sees a clock that was set forward.
        self.uptime.fetch_add(time, Ordering::SeqCst);
        self.wall.fetch_add(time, Ordering::SeqCst);
        if let Some(learn) = &*self.on_pass.lock().unwrap() {
            learn(self.uptime.load(Ordering::SeqCst));
        }
    }

    /// Sets the clock on the wall forward, or back.
    pub(crate) fn set_forward(&self, by: i64) {
        self.wall.fetch_add(by, Ordering::SeqCst);
    }

    /// Starts the machine anew, so that times since the start say nothing.
    pub(crate) fn reboot(&self) {
        self.boot.fetch_add(1, Ordering::SeqCst);
    }

    pub(crate) fn now_ms(&self) -> i64 {
        i64::try_from(self.now().unix_ms).unwrap()
    }
}

impl Clock for TestClock {
    fn now(&self) -> Moment {
        let wall = self.wall.load(Ordering::SeqCst);
        let uptime = self.uptime.load(Ordering::SeqCst);
        let moment = self.real.now();
        let real_uptime = moment.boot.map_or(0, |boot| boot.uptime_ms);
        Moment {
            unix_ms: moment.unix_ms.saturating_add_signed(wall),
            boot: Some(Boot {
                id: format!("test {}", self.boot.load(Ordering::SeqCst)).into(),
                uptime_ms: real_uptime.saturating_add_signed(uptime),
            }),
        }
    }
}

/// A place where engines of a kind can be started one after the other, on the same store.
#[async_trait]
pub(crate) trait Place: Send + Sync {
    /// Starts an engine.
    async fn open(&self) -> Arc<dyn TaskEngine>;

    /// Returns the clock of the engines.
    fn clock(&self) -> &TestClock;

    /// Returns how many children of one step a test can wait for.
    fn many(&self) -> usize {
        MOST_CHILDREN
    }
}

/// Embedded engines.
pub(crate) struct Embedded {
    pub(crate) folder: tempfile::TempDir,
    clock: Arc<TestClock>,
}

impl Embedded {
    pub(crate) fn new() -> Self {
        Self {
            folder: tempfile::tempdir().unwrap(),
            clock: Arc::new(TestClock::new()),
        }
    }

    pub(crate) fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("tasks.db")
    }

    pub(crate) fn options(&self) -> SqliteOptions {
        SqliteOptions {
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
            look: Duration::from_millis(10),
        }
    }
}

#[async_trait]
impl Place for Embedded {
    async fn open(&self) -> Arc<dyn TaskEngine> {
        soon(async {
            loop {
                match SqliteEngine::open_with(&self.path(), self.options()).await {
                    // One that was dropped is still on its way out.
                    Err(TaskError::InUse { .. }) => tokio::task::yield_now().await,
                    engine => return Arc::new(engine.unwrap()) as Arc<dyn TaskEngine>,
                }
            }
        })
        .await
    }

    fn clock(&self) -> &TestClock {
        &self.clock
    }
}

type StepFuture = Pin<Box<dyn Future<Output = Result<Outcome, Failure>> + Send>>;
type StepFn = Arc<dyn Fn(Step) -> StepFuture + Send + Sync>;

struct Closure(StepFn);

#[async_trait]
impl Task for Closure {
    async fn step(&self, step: Step) -> Result<Outcome, Failure> {
        (self.0)(step).await
    }
}

/// Resolves every descriptor to one closure.
pub(crate) fn steps<F, R>(step: F) -> Arc<dyn Resolve>
where
    F: Fn(Step) -> R + Send + Sync + 'static,
    R: Future<Output = Result<Outcome, Failure>> + Send + 'static,
{
    let step: StepFn = Arc::new(move |input| Box::pin(step(input)));
    Arc::new(move |_: &TaskDescriptor| Ok(Arc::new(Closure(Arc::clone(&step))) as Arc<dyn Task>))
}

/// Names of the tasks whose steps begin, in order.
pub(crate) struct Log {
    sender: mpsc::UnboundedSender<String>,
    receiver: tokio::sync::Mutex<mpsc::UnboundedReceiver<String>>,
    all: Arc<Mutex<Vec<String>>>,
}

/// The writing end of a [`Log`].
#[derive(Clone)]
pub(crate) struct Pen {
    sender: mpsc::UnboundedSender<String>,
    all: Arc<Mutex<Vec<String>>>,
}

impl Log {
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        Self {
            sender,
            receiver: tokio::sync::Mutex::new(receiver),
            all: Arc::default(),
        }
    }

    pub(crate) fn pen(&self) -> Pen {
        Pen {
            sender: self.sender.clone(),
            all: Arc::clone(&self.all),
        }
    }

    /// Waits for the next word.
    pub(crate) async fn next(&self) -> String {
        soon(async { self.receiver.lock().await.recv().await.unwrap() }).await
    }

    /// Returns everything that was written so far.
    pub(crate) fn all(&self) -> Vec<String> {
        self.all.lock().unwrap().clone()
    }

    /// Counts a word.
    pub(crate) fn count(&self, word: &str) -> usize {
        self.all().iter().filter(|said| *said == word).count()
    }
}

impl Pen {
    pub(crate) fn write(&self, word: impl Into<String>) {
        let word = word.into();
        self.all.lock().unwrap().push(word.clone());
        drop(self.sender.send(word));
    }
}

/// The text of a descriptor that is a text.
pub(crate) fn word(step: &Step) -> String {
    step.descriptor.read().unwrap()
}

/// Makes a descriptor.
pub(crate) fn named(name: &str) -> TaskDescriptor {
    TaskDescriptor::new(name).unwrap()
}

/// The id that a task of this name has.
pub(crate) fn id(name: &str) -> TaskId {
    named(name).id(CONNECTOR)
}

/// Waits until a task is as it should be.
pub(crate) async fn until(
    engine: &Arc<dyn TaskEngine>,
    name: &str,
    right: impl Fn(&TaskView) -> bool,
) -> TaskView {
    let mut last = None;
    let found = tokio::time::timeout(PATIENCE, async {
        loop {
            let view = engine.task(CONNECTOR, &id(name)).await;
            match view {
                Ok(view) if right(&view) => return view,
                view => last = Some(view),
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    found.unwrap_or_else(|_| panic!("`{name}` does not become right: {last:?}"))
}

/// Waits until a task stands so.
pub(crate) async fn status(engine: &Arc<dyn TaskEngine>, name: &str, wanted: Status) -> TaskView {
    until(engine, name, |view| view.status == wanted).await
}

/// Waits that suit tests.
pub(crate) fn quick() -> Policy {
    Policy::default()
        .waits(Duration::from_millis(2), Duration::from_millis(50))
        .grace(Duration::from_millis(200))
}

/// A failure that may be tried again.
pub(crate) fn blip() -> Failure {
    Failure::new(FailureKind::SourceUnavailable, "the source is away").with_retry(Retry::Backoff)
}

/// A failure that says nothing of itself.
pub(crate) fn unclassified() -> Failure {
    Failure::new(FailureKind::General, "something went wrong")
}
