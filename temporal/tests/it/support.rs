//! A Temporal server for the tests, and engines on it.

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use car_core::tasks::{
    Health, Listing, Resolve, Scheduled, TaskEngine, TaskError, TaskHistory, TaskId, TaskPage,
    TaskSpec, TaskView,
};
use car_temporal::{Address, Ahead, TaskWorkflow, TemporalEngine, TemporalOptions};
use temporalio_client::{
    Client, ClientOptions, Connection, ConnectionOptions, WorkflowSignalOptions,
};

use crate::tasks::support::{CONNECTOR, Place, TestClock};

/// Longest that a test waits for something that has to happen. Only a hanging test meets it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// Address of a Temporal server, `HOST:PORT`; without it the tests are skipped and say so.
const SERVER: &str = "CAR_TEST_TEMPORAL";
/// The program of the server.
const PROGRAM: &str = "CAR_TEST_TEMPORAL_PROGRAM";

/// Waits for something that has to happen.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it happens")
}

#[expect(
    clippy::disallowed_methods,
    reason = "tests have no settings but these"
)]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Returns a setting of the tests; without it they are skipped, but not in CI.
fn needed(name: &str) -> Option<String> {
    let value = variable(name);
    if value.is_none() {
        assert_ne!(
            variable("CI").as_deref(),
            Some("true"),
            "{name} is not set, and CI skips nothing"
        );
        eprintln!("skipped: {name} is not set; `cargo xtask test` sets it");
    }
    value
}

#[path = "../../../core/tests/it/support/other.rs"]
#[expect(dead_code, reason = "what only other tests use")]
mod other;
pub(crate) use crate::own::{Own, free_port};
pub(crate) use other::{Other, say};

/// Does the work of a process that [`Other`] started, told on its standard input: what is to be
/// done, and the address and the prefix for it.
pub(crate) fn be_other(work: impl AsyncFnOnce(String, Address, String)) {
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let words: Vec<&str> = line.split_whitespace().collect();
    let [what, address, prefix] = words[..] else {
        panic!("{line}")
    };
    let address = address.parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(work(what.to_owned(), address, prefix.to_owned()));
}

/// Returns the address of the server, if there is one.
pub(crate) fn server() -> Option<Address> {
    let server = needed(SERVER)?;
    Some(format!("temporal://{server}/default").parse().unwrap())
}

/// Returns the program of the server, if there is one.
pub(crate) fn program() -> Option<String> {
    needed(PROGRAM)
}

/// Makes a name that no other test has.
pub(crate) fn unique() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let next = NEXT.fetch_add(1, Ordering::SeqCst);
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_nanos();
    format!("test-{}-{now}-{next}", std::process::id())
}

/// Options that suit tests.
pub(crate) fn options(prefix: &str) -> TemporalOptions {
    TemporalOptions {
        prefix: prefix.to_owned(),
        // Long, since machines that test are busy.
        heartbeat: Duration::from_secs(60),
        beat: Duration::from_millis(100),
        ..TemporalOptions::default()
    }
}

/// Connects to the server beside all engines.
pub(crate) async fn client(address: &Address) -> Client {
    let text = address.to_string().replace("temporal://", "http://");
    let url: url::Url = text.parse().unwrap();
    let connection = Connection::connect(ConnectionOptions::new(url).build()).await;
    let options = ClientOptions::new(address.namespace()).build();
    Client::new(connection.unwrap(), options).unwrap()
}

/// Engines with names of their own on the server.
pub(crate) struct OnTemporal {
    pub(crate) address: Address,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) options: TemporalOptions,
    known: Arc<Known>,
}

/// What tests know of the engines.
#[derive(Default)]
struct Known {
    tasks: Mutex<BTreeSet<TaskId>>,
    engine: Mutex<Option<Arc<TemporalEngine>>>,
}

impl OnTemporal {
    pub(crate) fn new() -> Option<Self> {
        server().map(Self::at)
    }

    pub(crate) fn at(address: Address) -> Self {
        let prefix = unique();
        let clock = Arc::new(TestClock::new());
        let known = Arc::new(Known::default());
        let (theirs, there, names) = (Arc::clone(&known), address.clone(), prefix.clone());
        *clock.on_pass.lock().unwrap() = Some(Box::new(move |by| {
            let pass = pass(&theirs, &there, &names, by);
            tokio::task::block_in_place(|| tokio::runtime::Handle::current().block_on(pass));
        }));
        Self {
            address,
            options: options(&prefix),
            clock,
            known,
        }
    }
}

/// Tells all tasks that time has passed, before anything else happens to them.
async fn pass(known: &Known, address: &Address, prefix: &str, by: i64) {
    let away = known
        .engine
        .lock()
        .unwrap()
        .as_ref()
        .is_none_or(|engine| engine.is_closed());
    let tasks: Vec<TaskId> = known.tasks.lock().unwrap().iter().cloned().collect();
    let client = client(address).await;
    for task in tasks {
        let workflow = format!("{prefix}/{CONNECTOR}/{task}");
        let handle = client.get_workflow_handle::<TaskWorkflow>(workflow);
        let options = WorkflowSignalOptions::default();
        handle
            .signal(TaskWorkflow::ahead, Ahead { by, away }, options)
            .await
            .unwrap();
    }
}

#[async_trait]
impl Place for OnTemporal {
    async fn open(&self) -> Arc<dyn TaskEngine> {
        let engine = TemporalEngine::connect(&self.address, self.options.clone()).await;
        let engine = Arc::new(engine.unwrap());
        *self.known.engine.lock().unwrap() = Some(Arc::clone(&engine));
        Arc::new(Watched {
            engine,
            known: Arc::clone(&self.known),
        })
    }

    fn clock(&self) -> &TestClock {
        &self.clock
    }

    fn many(&self) -> usize {
        // Each is a workflow, and the server shares the machine with other tests.
        200
    }
}

/// An engine whose tasks are known to the test.
struct Watched {
    engine: Arc<TemporalEngine>,
    known: Arc<Known>,
}

impl Watched {
    fn note(&self, connector: &str, task: &TaskSpec) {
        if connector == CONNECTOR {
            let id = task.descriptor().id(connector);
            self.known.tasks.lock().unwrap().insert(id);
        }
    }
}

#[async_trait]
impl TaskEngine for Watched {
    async fn start(
        &self,
        connector: &str,
        limit: usize,
        resolve: Arc<dyn Resolve>,
    ) -> Result<(), TaskError> {
        self.engine.start(connector, limit, resolve).await
    }

    async fn halt(&self, connector: &str) -> Result<(), TaskError> {
        self.engine.halt(connector).await
    }

    async fn forget(&self, connector: &str) -> Result<(), TaskError> {
        self.engine.forget(connector).await
    }

    async fn schedule(&self, connector: &str, task: TaskSpec) -> Result<Scheduled, TaskError> {
        self.note(connector, &task);
        self.engine.schedule(connector, task).await
    }

    async fn run(
        &self,
        connector: &str,
        task: TaskSpec,
        patience: Duration,
    ) -> Result<Scheduled, TaskError> {
        self.note(connector, &task);
        self.engine.run(connector, task, patience).await
    }

    async fn task(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError> {
        self.engine.task(connector, task).await
    }

    async fn history(&self, connector: &str, task: &TaskId) -> Result<TaskHistory, TaskError> {
        self.engine.history(connector, task).await
    }

    async fn tasks(&self, connector: &str, listing: &Listing) -> Result<TaskPage, TaskError> {
        self.engine.tasks(connector, listing).await
    }

    async fn retry(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError> {
        self.engine.retry(connector, task).await
    }

    async fn pause(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError> {
        self.engine.pause(connector, task).await
    }

    async fn resume(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError> {
        self.engine.resume(connector, task).await
    }

    async fn stop(&self, connector: &str, task: &TaskId) -> Result<TaskView, TaskError> {
        self.engine.stop(connector, task).await
    }

    async fn health(&self) -> Health {
        self.engine.health().await
    }

    async fn close(&self) -> Result<(), TaskError> {
        self.engine.close().await
    }
}
