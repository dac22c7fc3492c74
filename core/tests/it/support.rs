//! What the tests of the engine share: a data source that follows a script, a CAR service that
//! can be told to misbehave, and a run with short waits.

mod car_mock;
mod other;
mod recorder;
mod script;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use car_core::car::{CarClient, Options as CarOptions};
use car_core::config::CarCredentials;
use car_core::connector::Connector;
use car_core::engine::{self, Options, PlanOptions, Planned, Run};
use car_core::layer::Backoff;
use car_core::progress::Silent;
use car_schema::vertices::Asset;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

pub(crate) use car_mock::{Answer, CarMock, Order};
pub(crate) use other::{Other, say};
pub(crate) use recorder::Recorder;
pub(crate) use script::{Script, assets, extension, records};

/// Name of the source in all tests.
pub(crate) const SOURCE: &str = "test-source";

/// Longest that a test waits for something that has to happen. Only a hanging test meets it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A connector without incremental import, one with it, and one that also extends the model.
pub(crate) type FullOnly = Script<false, false>;
/// See [`FullOnly`].
pub(crate) type Incremental = Script<true, false>;
/// See [`FullOnly`].
pub(crate) type Extended = Script<true, true>;

/// Waits that suit tests: the first is short, and giving up takes a second.
pub(crate) fn quick() -> Backoff {
    Backoff {
        first: Duration::from_millis(1),
        longest: Duration::from_millis(400),
        deadline: Duration::from_secs(1),
    }
}

/// A run that is being set up.
pub(crate) struct Setup {
    pub(crate) options: Options,
    pub(crate) car_options: CarOptions,
    pub(crate) cancel: CancellationToken,
    pub(crate) recorder: Arc<Recorder>,
    pub(crate) folder: tempfile::TempDir,
}

impl Setup {
    pub(crate) fn new(car: &CarMock) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut options = Options::new(SOURCE);
        options.quarantine = folder.path().join("quarantine.jsonl");
        options.spill_folder = Some(folder.path().join("spill"));
        options.source_backoff = quick();
        Self {
            options,
            car_options: car_options(car),
            cancel: CancellationToken::new(),
            recorder: Arc::default(),
            folder,
        }
    }

    /// Changes how the run works.
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        change(&mut self.options);
        self
    }

    pub(crate) fn client(&self) -> CarClient {
        CarClient::new(
            self.car_options.clone(),
            Arc::clone(&self.recorder) as _,
            self.cancel.clone(),
        )
        .unwrap()
    }

    /// Where a plan is kept.
    pub(crate) fn plan_file(&self) -> std::path::PathBuf {
        self.folder.path().join("plan.jsonl")
    }

    /// Plans, and keeps the plan if the service can compare.
    pub(crate) async fn plan<C: Connector>(&self, connector: C, keep: bool) -> Planned {
        let plan_options = PlanOptions {
            out: keep.then(|| self.plan_file()),
            samples: 3,
            ..PlanOptions::default()
        };
        engine::plan(
            Arc::new(connector),
            self.options.clone(),
            plan_options,
            self.client(),
            Arc::clone(&self.recorder) as _,
            self.cancel.clone(),
        )
        .await
    }

    /// Imports the plan that was kept.
    pub(crate) async fn apply<C: Connector>(&self) -> Run {
        engine::apply(
            &C::about(),
            (&self.plan_file(), None),
            self.options.clone(),
            self.client(),
            Arc::clone(&self.recorder) as _,
            self.cancel.clone(),
        )
        .await
    }

    pub(crate) async fn run<C: Connector>(&self, connector: C) -> Run {
        engine::run(
            Arc::new(connector),
            self.options.clone(),
            self.client(),
            Arc::clone(&self.recorder) as _,
            self.cancel.clone(),
        )
        .await
    }
}

pub(crate) fn car_options(car: &CarMock) -> CarOptions {
    let credentials = CarCredentials::Key {
        url: car.address(),
        key: car_mock::KEY.to_owned(),
        password: car_mock::PASSWORD.into(),
    };
    CarOptions {
        backoff: quick(),
        ..CarOptions::new(credentials, "test/1")
    }
}

/// A client of a service, without a run around it.
pub(crate) fn client(car: &CarMock) -> CarClient {
    CarClient::new(car_options(car), Arc::new(Silent), CancellationToken::new()).unwrap()
}

/// Runs an import with the usual options.
pub(crate) async fn run<C: Connector>(car: &CarMock, connector: C) -> Run {
    Setup::new(car).run(connector).await
}

/// Waits for something that has to happen.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("it happens")
}

/// Runs tests side by side, because most of their time they wait.
pub(crate) async fn side_by_side<F>(runs: impl IntoIterator<Item = F>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let runs: JoinSet<()> = runs.into_iter().collect();
    soon(runs.join_all()).await;
}

/// An asset that is as valid as can be.
pub(crate) fn asset(id: &str) -> Asset {
    Asset::new(id, format!("asset {id}"))
}
