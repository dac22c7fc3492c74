//! Installing, updating, resetting and uninstalling connectors.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use car_core::connector::Connector as _;
use car_core::failure::{Failure, FailureKind};
use car_core::progress::Silent;
use car_core::tasks::{
    Activity, CarAccess, ConnectorContext, ConnectorError, ConnectorRow, ConnectorStore, HIDDEN,
    Listing, Manager, ManagerOptions, Outcome, Phase, Provider, Recurring, Restart, Schedule,
    SqliteEngine, Status, Step, Task, TaskConnector, TaskDescriptor, TaskEngine, TaskError,
    TaskSpec,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::support::{Embedded, named};
use crate::support::{CarMock, FullOnly, PATIENCE, Setup, soon};

/// What connectors are to do wrong, and what they did.
#[derive(Default)]
pub(crate) struct World {
    broken: Mutex<HashSet<String>>,
    calls: Mutex<Vec<String>>,
    context: Mutex<Option<ConnectorContext>>,
}

impl World {
    pub(crate) fn break_(&self, what: &str) {
        self.broken.lock().unwrap().insert(what.to_owned());
    }

    fn mend(&self) {
        self.broken.lock().unwrap().clear();
    }

    fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }

    /// Notes a call, which may be broken.
    fn call(&self, what: &str, name: &str) -> Result<(), Failure> {
        self.calls.lock().unwrap().push(what.to_owned());
        let broken = self.broken.lock().unwrap().clone();
        if broken.contains(&format!("panic in {what}")) {
            panic!("{what} is not ready");
        }
        if broken.contains(what) || broken.contains(&format!("{what} {name}")) {
            return Err(Failure::new(
                FailureKind::Source,
                format!("{what} is broken"),
            ));
        }
        Ok(())
    }
}

struct Kind(Arc<World>);

#[async_trait]
impl Provider for Kind {
    fn name(&self) -> &str {
        "kind"
    }

    fn description(&self) -> String {
        "Polls".to_owned()
    }

    fn schema(&self) -> Value {
        json!({ "type": "object" })
    }

    fn complete(&self, mut settings: Value) -> Value {
        if let Some(settings) = settings.as_object_mut() {
            settings.entry("period").or_insert(json!(3600));
        }
        settings
    }

    fn hide(&self, settings: &Value) -> Value {
        let mut settings = settings.clone();
        if let Some(password) = settings.get_mut("password") {
            *password = HIDDEN.into();
        }
        settings
    }

    async fn load(
        &self,
        settings: &Value,
        context: &ConnectorContext,
    ) -> Result<Arc<dyn TaskConnector>, Failure> {
        *self.0.context.lock().unwrap() = Some(context.clone());
        self.0.call("load", context.name())?;
        if let Some(source) = settings.get("source").and_then(Value::as_str) {
            context.ingester(source, FullOnly::about())?;
        }
        let Some(period) = settings.get("period").and_then(Value::as_u64) else {
            return Err(Failure::new(
                FailureKind::InvalidParameter,
                "`period` is no number of seconds",
            ));
        };
        Ok(Arc::new(Polling {
            world: Arc::clone(&self.0),
            period: Duration::from_secs(period),
            settings: settings.clone(),
        }))
    }
}

struct Polling {
    world: Arc<World>,
    period: Duration,
    settings: Value,
}

#[async_trait]
impl TaskConnector for Polling {
    async fn install(&self, context: &ConnectorContext) -> Result<(), Failure> {
        context.schedule(poll(self.period)?).await?;
        self.world.call("install", context.name())
    }

    async fn update(&self, context: &ConnectorContext) -> Result<(), Failure> {
        self.install(context).await?;
        self.world.call(
            &format!("update to {}", self.period.as_secs()),
            context.name(),
        )
    }

    async fn uninstall(&self, context: &ConnectorContext) -> Result<(), Failure> {
        self.world.call("uninstall", context.name())
    }

    fn resolve(&self, _: &TaskDescriptor) -> Result<Arc<dyn Task>, Failure> {
        Ok(Arc::new(Poll(self.settings.clone())))
    }
}

fn poll(period: Duration) -> Result<TaskSpec, TaskError> {
    let poll = Recurring::period(period)?.jitter(Duration::ZERO);
    Ok(TaskSpec::new(named("poll"))
        .schedule(Schedule::Every(poll))
        .restart(Restart::IfNotActive))
}

/// Keeps the settings that it runs with as its state.
struct Poll(Value);

#[async_trait]
impl Task for Poll {
    async fn step(&self, _: Step) -> Result<Outcome, Failure> {
        Outcome::done().with_state(&self.0)
    }
}

/// Starts a manager that knows this one kind.
pub(crate) async fn manager(engine: &Arc<SqliteEngine>, world: &Arc<World>) -> Manager {
    manager_with(engine, world, None).await
}

async fn manager_with(
    engine: &Arc<SqliteEngine>,
    world: &Arc<World>,
    car: Option<Arc<CarAccess>>,
) -> Manager {
    Manager::start(ManagerOptions {
        engine: Arc::clone(engine) as _,
        store: Arc::clone(engine) as _,
        providers: vec![Arc::new(Kind(Arc::clone(world)))],
        car,
        cancel: CancellationToken::new(),
    })
    .await
    .unwrap()
}

struct Process {
    engine: Arc<SqliteEngine>,
    manager: Manager,
}

impl Process {
    async fn start(place: &Embedded, world: &Arc<World>) -> Self {
        let engine = SqliteEngine::open_with(&place.path(), place.options()).await;
        let engine = Arc::new(engine.unwrap());
        let manager = manager(&engine, world).await;
        Self { engine, manager }
    }

    async fn end(self) {
        self.engine.close().await.unwrap();
    }

    /// The settings that the task last ran with.
    async fn ran_with(&self, name: &str, wanted: Value) {
        let id = named("poll").id(name);
        soon(async {
            loop {
                let view = self.engine.task(name, &id).await.unwrap();
                if view.state.as_ref() == Some(&wanted) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    }

    async fn tasks(&self, name: &str) -> usize {
        let page = self.engine.tasks(name, &Listing::default()).await.unwrap();
        page.tasks.len()
    }
}

fn settings() -> Value {
    json!({ "password": "hush", "period": 60 })
}

#[tokio::test]
async fn a_connector_is_installed_started_again_and_uninstalled() {
    let (place, world) = (Embedded::new(), Arc::new(World::default()));
    let process = Process::start(&place, &world).await;
    let view = process
        .manager
        .install("one", None, json!({ "password": "hush" }))
        .await
        .unwrap();
    assert_eq!(
        (view.phase, view.incarnation, view.error),
        (Phase::Ready, 1, None)
    );
    let full = json!({ "password": "hush", "period": 3600 });
    process.ran_with("one", full).await;
    let shown = process.manager.settings("one").unwrap();
    assert_eq!(
        shown,
        json!({ "password": HIDDEN, "period": 3600 }),
        "gaps filled, secrets hidden"
    );
    process.end().await;

    world.calls();
    let process = Process::start(&place, &world).await;
    assert_eq!(world.calls(), ["load"], "it is not installed again");
    assert_eq!(process.tasks("one").await, 1);
    process.manager.uninstall("one").await.unwrap();
    assert_eq!(world.calls(), ["uninstall"]);
    assert_eq!(process.tasks("one").await, 0);
    assert!(matches!(
        process.manager.connector("one"),
        Err(ConnectorError::Unknown(_))
    ));
    process.end().await;
    let process = Process::start(&place, &world).await;
    assert!(process.manager.connectors().is_empty());
}

#[tokio::test]
async fn weakness_11_a_failed_install_leaves_nothing_and_a_failed_uninstall_leaves_all() {
    let (place, world) = (Embedded::new(), Arc::new(World::default()));
    let process = Process::start(&place, &world).await;
    for broken in ["install", "panic in install"] {
        world.break_(broken);
        let failed = process
            .manager
            .install("one", None, settings())
            .await
            .unwrap_err();
        assert_eq!(failed.code(), "connector_failed", "{failed}");
        assert!(process.manager.connectors().is_empty());
        assert!(
            process.engine.connectors().await.unwrap().is_empty(),
            "no row"
        );
        assert_eq!(process.tasks("one").await, 0, "nor a task");
        world.mend();
    }
    assert!(
        world
            .calls()
            .ends_with(&["install".to_owned(), "uninstall".to_owned()])
    );
    // The name is free.
    process
        .manager
        .install("one", None, settings())
        .await
        .unwrap();

    world.break_("uninstall");
    let failed = process.manager.uninstall("one").await.unwrap_err();
    assert!(
        failed.text().contains("uninstall is broken"),
        "{}",
        failed.text()
    );
    let view = process.manager.connector("one").unwrap();
    assert_eq!(view.phase, Phase::Ready);
    assert!(view.error.unwrap().contains("uninstall is broken"));
    let id = named("poll").id("one");
    let before = process.engine.task("one", &id).await.unwrap().runs;
    process.engine.retry("one", &id).await.unwrap();
    soon(async {
        while process.engine.task("one", &id).await.unwrap().runs == before {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    world.mend();
    process.manager.uninstall("one").await.unwrap();
}

#[tokio::test]
async fn weakness_12_new_settings_are_applied_or_put_back() {
    let (place, world) = (Embedded::new(), Arc::new(World::default()));
    let process = Process::start(&place, &world).await;
    process
        .manager
        .install("one", None, settings())
        .await
        .unwrap();
    process.ran_with("one", settings()).await;
    // What is hidden stays as it is.
    let changed = json!({ "password": HIDDEN, "period": 120 });
    process
        .manager
        .update("one", changed.clone())
        .await
        .unwrap();
    let id = named("poll").id("one");
    let view = process.engine.task("one", &id).await.unwrap();
    assert_eq!(period(&view.schedule), 120_000);
    process.engine.retry("one", &id).await.unwrap();
    process
        .ran_with("one", json!({ "password": "hush", "period": 120 }))
        .await;

    for (broken, new, code) in [
        ("update to 5", json!({ "period": 5 }), "connector_failed"),
        (
            "panic in update to 6",
            json!({ "period": 6 }),
            "connector_failed",
        ),
        ("nothing", json!({ "period": "often" }), "invalid_settings"),
        ("load", json!({ "period": 7 }), "invalid_settings"),
    ] {
        world.break_(broken);
        let failed = process.manager.update("one", new).await.unwrap_err();
        assert_eq!(failed.code(), code, "{broken}");
        world.mend();
        assert_eq!(
            process.manager.settings("one").unwrap(),
            changed,
            "{broken}"
        );
        let view = process.engine.task("one", &id).await.unwrap();
        assert_eq!(period(&view.schedule), 120_000, "{broken}");
        process.engine.retry("one", &id).await.unwrap();
        process
            .ran_with("one", json!({ "password": "hush", "period": 120 }))
            .await;
    }
    process.end().await;
    let process = Process::start(&place, &world).await;
    assert_eq!(process.manager.settings("one").unwrap(), changed);
}

fn period(schedule: &Schedule) -> u64 {
    let Schedule::Every(recurring) = schedule else {
        panic!("{schedule:?}");
    };
    match recurring.when {
        car_core::tasks::When::Period(period) => period,
        ref when => panic!("{when:?}"),
    }
}

#[tokio::test]
async fn weakness_14_one_broken_connector_does_not_stop_the_start() {
    let (place, world) = (Embedded::new(), Arc::new(World::default()));
    let process = Process::start(&place, &world).await;
    process
        .manager
        .install("good", None, settings())
        .await
        .unwrap();
    process
        .manager
        .install("bad", None, settings())
        .await
        .unwrap();
    process
        .engine
        .put(row("foreign", "unheard-of", Phase::Ready))
        .await
        .unwrap();
    process.end().await;

    world.break_("load bad");
    let process = Process::start(&place, &world).await;
    assert_eq!(process.manager.connector("good").unwrap().error, None);
    let bad = process.manager.connector("bad").unwrap();
    assert!(bad.error.unwrap().contains("load is broken"));
    let foreign = process.manager.connector("foreign").unwrap();
    assert!(
        foreign
            .error
            .unwrap()
            .contains("no kind of connector `unheard-of`")
    );
    let shown = process.manager.settings("foreign").unwrap();
    assert_eq!(
        shown,
        json!({ "password": HIDDEN }),
        "what nobody knows is hidden"
    );
    process.ran_with("good", settings()).await;
    assert_eq!(process.tasks("bad").await, 1, "its tasks are kept");
    // It can be mended by new settings, or go.
    world.mend();
    process.manager.update("bad", settings()).await.unwrap();
    assert_eq!(process.manager.connector("bad").unwrap().error, None);
    process.manager.uninstall("foreign").await.unwrap();
}

fn row(name: &str, provider: &str, phase: Phase) -> ConnectorRow {
    ConnectorRow {
        name: name.to_owned(),
        provider: provider.to_owned(),
        settings: json!({ "password": "hush" }),
        phase,
        pending: None,
        error: None,
        incarnation: 1,
        created_at: 0,
        updated_at: 0,
    }
}

#[tokio::test]
async fn a_process_that_ended_in_the_middle_of_a_change_is_put_right() {
    let (place, world) = (Embedded::new(), Arc::new(World::default()));
    let process = Process::start(&place, &world).await;
    process
        .manager
        .install("one", None, settings())
        .await
        .unwrap();
    let mut updating = row("updating", "kind", Phase::Updating);
    updating.settings = settings();
    updating.pending = Some(json!({ "period": 1 }));
    for row in [
        row("installing", "kind", Phase::Installing),
        row("removing", "kind", Phase::Removing),
        updating,
    ] {
        let name = row.name.clone();
        process.engine.put(row).await.unwrap();
        process
            .engine
            .schedule(&name, TaskSpec::new(named("poll")))
            .await
            .unwrap();
    }
    process.end().await;

    let process = Process::start(&place, &world).await;
    let names: Vec<String> = process
        .manager
        .connectors()
        .into_iter()
        .map(|view| view.name)
        .collect();
    assert_eq!(names, ["one", "updating"]);
    assert_eq!(
        process.tasks("installing").await + process.tasks("removing").await,
        0
    );
    let shown = process.manager.settings("updating").unwrap();
    assert_eq!(shown, json!({ "password": HIDDEN, "period": 60 }));
    process.ran_with("updating", settings()).await;
    assert_eq!(
        process.manager.connector("updating").unwrap().phase,
        Phase::Ready
    );
}

#[tokio::test]
async fn a_reset_begins_anew_with_the_same_settings() {
    let (place, world) = (Embedded::new(), Arc::new(World::default()));
    let process = Process::start(&place, &world).await;
    process
        .manager
        .install("one", None, settings())
        .await
        .unwrap();
    process
        .engine
        .schedule("one", TaskSpec::new(named("more")))
        .await
        .unwrap();
    let view = process.manager.reset("one").await.unwrap();
    assert_eq!((view.phase, view.incarnation), (Phase::Ready, 2));
    assert_eq!(process.tasks("one").await, 1, "nothing of the past is left");
    process.ran_with("one", settings()).await;
    world.break_("install");
    process.manager.reset("one").await.unwrap_err();
    let view = process.manager.connector("one").unwrap();
    assert_eq!((view.phase, view.incarnation), (Phase::Failed, 3));
    assert!(view.error.unwrap().contains("install is broken"));
    process.end().await;
    world.mend();
    let process = Process::start(&place, &world).await;
    assert_eq!(
        process.manager.connector("one").unwrap().phase,
        Phase::Failed
    );
    process.manager.reset("one").await.unwrap();
    process.ran_with("one", settings()).await;
}

#[tokio::test]
async fn what_is_not_possible_is_refused_and_changes_nothing() {
    let (place, world) = (Embedded::new(), Arc::new(World::default()));
    let process = Process::start(&place, &world).await;
    let manager = &process.manager;
    manager
        .install("one", Some("kind"), settings())
        .await
        .unwrap();
    let refused = [
        manager.install("one", None, settings()).await.map(drop),
        manager
            .install("two", Some("other"), settings())
            .await
            .map(drop),
        manager
            .install("two", None, json!({ "period": "x" }))
            .await
            .map(drop),
        manager.install("", None, settings()).await.map(drop),
        manager.install("../etc", None, settings()).await.map(drop),
        manager.uninstall("two").await,
        manager.update("two", settings()).await.map(drop),
        manager.reset("two").await.map(drop),
        manager.settings("two").map(drop),
    ];
    let codes: Vec<&str> = refused
        .iter()
        .map(|result| result.as_ref().unwrap_err().code())
        .collect();
    let expected = [
        "already_installed",
        "unknown_provider",
        "invalid_settings",
        "invalid_name",
        "invalid_name",
        "unknown_connector",
        "unknown_connector",
        "unknown_connector",
        "unknown_connector",
    ];
    assert_eq!(codes, expected);
    assert_eq!(manager.connectors().len(), 1);
    // Twice at the same time is once.
    let both = tokio::join!(
        manager.install("three", None, settings()),
        manager.install("three", None, settings())
    );
    assert!(both.0.is_ok() != both.1.is_ok(), "{both:?}");
}

#[tokio::test]
async fn a_connector_of_the_flags_cannot_be_changed_and_its_tasks_go_on() {
    let (place, world) = (Embedded::new(), Arc::new(World::default()));
    let polling = || -> Arc<dyn TaskConnector> {
        Arc::new(Polling {
            world: Arc::new(World::default()),
            period: Duration::from_secs(60),
            settings: json!("flags"),
        })
    };
    for _ in 0..2 {
        let process = Process::start(&place, &world).await;
        process
            .manager
            .run_fixed("fixed", "flags", 2, polling())
            .await
            .unwrap();
        process.ran_with("fixed", json!("flags")).await;
        for refused in [
            process.manager.uninstall("fixed").await,
            process.manager.reset("fixed").await.map(drop),
            process.manager.update("fixed", settings()).await.map(drop),
        ] {
            assert!(
                matches!(refused, Err(ConnectorError::Fixed(_))),
                "{refused:?}"
            );
        }
        let again = process
            .manager
            .run_fixed("fixed", "flags", 2, polling())
            .await;
        assert!(matches!(again, Err(ConnectorError::Exists(_))));
        let id = named("poll").id("fixed");
        assert_eq!(process.engine.task("fixed", &id).await.unwrap().runs, 1);
        process.end().await;
    }
    let process = Process::start(&place, &world).await;
    process.end().await;
    let closed = SqliteEngine::open(&place.path()).await.unwrap();
    closed.close().await.unwrap();
    assert!(matches!(closed.close().await, Err(TaskError::Stopped)));
}

#[tokio::test]
async fn a_task_is_woken_before_its_time_unless_somebody_paused_or_stopped_it() {
    let (place, world) = (Embedded::new(), Arc::new(World::default()));
    let process = Process::start(&place, &world).await;
    let installed = process.manager.install("one", None, settings()).await;
    installed.unwrap();
    let id = named("poll").id("one");
    let ran = async |runs: u64| {
        soon(async {
            loop {
                let view = process.engine.task("one", &id).await.unwrap();
                if view.runs >= runs && view.activity == Activity::Waiting {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        })
        .await;
    };
    ran(1).await;
    let context = world.context.lock().unwrap().clone().unwrap();
    let wake = async || {
        let task = poll(Duration::from_secs(60)).unwrap();
        context.wake(task).await.unwrap()
    };
    assert!(wake().await);
    ran(2).await;
    process.engine.pause("one", &id).await.unwrap();
    assert!(!wake().await);
    process.engine.resume("one", &id).await.unwrap();
    assert!(wake().await);
    ran(3).await;
    process.engine.stop("one", &id).await.unwrap();
    assert!(!wake().await);
    let view = process.engine.task("one", &id).await.unwrap();
    assert_eq!(view.status, Status::Stopped);
}

#[tokio::test]
async fn a_source_that_no_service_takes_is_refused_when_it_is_named() {
    let (place, world) = (Embedded::new(), Arc::new(World::default()));
    let engine = SqliteEngine::open_with(&place.path(), place.options()).await;
    let mock = CarMock::start().await;
    let setup = Setup::new(&mock);
    let car = CarAccess {
        car: setup.car_options.clone(),
        options: setup.options.clone(),
        reporter: Arc::new(Silent),
    };
    let manager = manager_with(&Arc::new(engine.unwrap()), &world, Some(Arc::new(car))).await;
    for source in ["", ".", "..", "a/b", "a b"] {
        let settings = json!({ "source": source });
        let refused = manager.install("payments", None, settings).await;
        let refused = refused.unwrap_err();
        assert_eq!(refused.code(), "invalid_settings", "{source}");
        let text = refused.text();
        assert!(text.contains("the name of the source"), "{text}");
    }
    let settings = json!({ "source": "a.b" });
    manager.install("payments", None, settings).await.unwrap();
}

#[tokio::test]
async fn a_worker_schedules_nothing_and_stores_nothing() {
    let (place, world) = (Embedded::new(), Arc::new(World::default()));
    let process = Process::start(&place, &world).await;
    let manager = &process.manager;
    let settings = json!({ "password": "hush" });
    manager
        .work_for("payments", None, settings.clone())
        .await
        .unwrap();
    assert_eq!(world.calls(), ["load"]);
    let tasks = process.engine.tasks("payments", &Listing::default()).await;
    assert_eq!(tasks.unwrap().tasks, []);
    assert_eq!(process.engine.connectors().await.unwrap(), []);
    let again = manager.work_for("payments", None, settings).await;
    assert_eq!(again.unwrap_err().code(), "already_installed");
    let wrong = manager
        .work_for("other", Some("no such kind"), json!({}))
        .await;
    assert_eq!(wrong.unwrap_err().code(), "unknown_provider");
    let task = TaskSpec::new(named("once"));
    let run = process.engine.run("payments", task, PATIENCE).await;
    let done = process.engine.task("payments", &run.unwrap().id).await;
    assert_eq!(done.unwrap().state.unwrap()["password"], "hush");
    process.end().await;
}
