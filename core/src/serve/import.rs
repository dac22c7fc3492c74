//! Imports on schedule: each is a task with one step, so that it is retried, paused and shown as
//! every other.

use std::ffi::OsString;
use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::{Catalog, Common, Environment, Kind, Loaded, Refused, schema};
use crate::connector::{Connector, Context};
use crate::engine::{self, Options, Run};
use crate::failure::{Failure, FailureKind, Retry};
use crate::tasks::{
    CarAccess, ConnectorContext, HIDDEN, Outcome, Policy, Provider, Recurring, Restart, Schedule,
    Step, Task, TaskConnector, TaskDescriptor, TaskError, TaskSpec,
};

/// How often an import runs when nobody says.
const USUAL_PERIOD: Duration = Duration::from_secs(3600);
/// How long one import may take: longer than any that is known.
const LONGEST_IMPORT: Duration = Duration::from_secs(48 * 3600);
/// Shortest time between two imports at news.
const PAUSE: Duration = Duration::from_secs(10);
/// Settings that say when, beside those of the connector.
const WHEN: [&str; 2] = ["every", "cron"];

/// Makes the options of the engine from the common settings.
pub(crate) type EngineOptions = Arc<dyn Fn(&Common, &str) -> Options + Send + Sync>;

/// Imports of a connector with the settings that it was given.
pub(crate) struct Imports<C> {
    loaded: Arc<Loaded>,
    source: String,
    options: Options,
    car: Arc<CarAccess>,
    when: Recurring,
    listening: OnceLock<AbortOnDropHandle<()>>,
    connector: PhantomData<fn() -> C>,
}

impl<C: Connector> Imports<C> {
    pub(crate) fn new(
        loaded: Loaded,
        source: &str,
        options: Options,
        car: Arc<CarAccess>,
        when: Recurring,
    ) -> Self {
        Self {
            loaded: Arc::new(loaded),
            source: source.to_owned(),
            options,
            car,
            when,
            listening: OnceLock::new(),
            connector: PhantomData,
        }
    }

    fn task(&self) -> Result<TaskSpec, TaskError> {
        let policy = Policy::default()
            .waits(Duration::from_secs(30), Duration::from_secs(900))
            .attempts(4)
            .step_timeout(LONGEST_IMPORT)
            .grace(Duration::from_secs(9))
            .pause_after(0);
        Ok(TaskSpec::of("import")?
            .name(format!("import of {}", self.source))
            .schedule(Schedule::Every(self.when.clone()))
            .restart(Restart::IfNotActive)
            .policy(policy))
    }

    /// Begins to import at news of the source, where something tells, until this is dropped.
    fn listen(&self, context: &ConnectorContext) -> Result<(), Failure> {
        let Some(mut news) = C::news(&self.loaded.settings()?) else {
            return Ok(());
        };
        let (task, context) = (self.task()?, context.clone());
        self.listening.get_or_init(|| {
            AbortOnDropHandle::new(tokio::spawn(async move {
                let cancel = context.cancel().clone();
                let wake = async {
                    loop {
                        news.next().await;
                        tracing::debug!("something changed in the source");
                        if let Err(error) = context.wake(task.clone()).await {
                            tracing::debug!(%error, "news of the source have to wait");
                        }
                        tokio::time::sleep(PAUSE).await;
                    }
                };
                cancel.run_until_cancelled(wake).await;
            }))
        });
        Ok(())
    }

    /// Checks the settings by opening the connector once, which talks to nobody.
    pub(crate) async fn check(&self, cancel: &CancellationToken) -> Result<(), Failure> {
        self.loaded.require_own_and(&[])?;
        open::<C>(&self.loaded, &self.source, cancel.clone())
            .await
            .map(drop)
    }
}

async fn open<C: Connector>(
    loaded: &Loaded,
    source: &str,
    cancel: CancellationToken,
) -> Result<C, Failure> {
    let context = Context {
        source: source.to_owned(),
        cancel,
    };
    C::open(loaded.settings()?, context).await
}

#[async_trait]
impl<C: Connector> TaskConnector for Imports<C> {
    async fn install(&self, context: &ConnectorContext) -> Result<(), Failure> {
        self.listen(context)?;
        context.schedule(self.task()?).await?;
        Ok(())
    }

    fn resolve(&self, descriptor: &TaskDescriptor) -> Result<Arc<dyn Task>, Failure> {
        if descriptor.as_str() != "\"import\"" {
            return Err(Failure::new(
                FailureKind::General,
                format!("there is no task {descriptor} in a connector that imports"),
            ));
        }
        Ok(Arc::new(Import::<C> {
            loaded: Arc::clone(&self.loaded),
            source: self.source.clone(),
            options: self.options.clone(),
            car: Arc::clone(&self.car),
            connector: PhantomData,
        }))
    }
}

/// One import.
struct Import<C> {
    loaded: Arc<Loaded>,
    source: String,
    options: Options,
    car: Arc<CarAccess>,
    connector: PhantomData<fn() -> C>,
}

#[async_trait]
impl<C: Connector> Task for Import<C> {
    async fn step(&self, step: Step) -> Result<Outcome, Failure> {
        let connector: C = open(&self.loaded, &self.source, step.cancel.clone()).await?;
        let car = self.car.client(&step.cancel)?;
        let reporter = Arc::clone(&self.car.reporter);
        let options = self.options.clone();
        let cancel = step.cancel.clone();
        let Run { report, failure } =
            engine::run(Arc::new(connector), options, car, reporter, cancel).await;
        let totals = report.totals();
        let state = json!({
            "outcome": report.outcome,
            "mode": report.mode,
            "why": report.why,
            "savePoint": report.save_point,
            "sent": totals.sent,
            "rejected": totals.rejected,
            "withheld": totals.withheld,
            "retired": totals.retired,
            "durationMs": report.duration_ms,
            "exitCode": report.exit_code,
        });
        match failure {
            None => Outcome::done().with_state(&state),
            Some(_) if step.cancel.is_cancelled() => Err(step.interrupted()),
            Some(failure) => match may_pass(failure.kind()) {
                true => Err(failure.with_retry(Retry::Backoff)),
                false => Outcome::fail(failure).with_state(&state),
            },
        }
    }
}

/// Returns whether a failed import is worth another try before its next time.
#[deny(clippy::wildcard_enum_match_arm)]
const fn may_pass(kind: FailureKind) -> bool {
    match kind {
        FailureKind::CarUnreachable
        | FailureKind::CarThrottled
        | FailureKind::CarUnavailable
        | FailureKind::CarUnexpected
        | FailureKind::Partial
        | FailureKind::Interrupted
        | FailureKind::Unrecoverable
        | FailureKind::Source
        | FailureKind::SourceUnavailable => true,
        FailureKind::General
        | FailureKind::InvalidParameter
        | FailureKind::CarAuthentication
        | FailureKind::CarRejected
        | FailureKind::Held
        | FailureKind::SourceAuthentication
        | FailureKind::SourceForbidden
        | FailureKind::SourceInvalidParameter
        | FailureKind::SourceData
        | FailureKind::PlatformUnavailable
        | FailureKind::PlatformRejected
        | FailureKind::PlatformUnexpected
        | FailureKind::RowsLost => false,
    }
}

/// Reads when imports run.
///
/// # Errors
///
/// When both are given, or one is not valid.
pub(crate) fn when(every: Option<&str>, cron: Option<&str>) -> Result<Recurring, Failure> {
    let invalid = |message: String| Failure::new(FailureKind::InvalidParameter, message);
    match (every, cron) {
        (Some(_), Some(_)) => Err(invalid("`every` and `cron` exclude each other".to_owned())),
        (None, Some(expression)) => Ok(Recurring::cron(expression)?),
        (Some(period), None) => {
            let period: crate::config::Span = period
                .parse()
                .map_err(|error| invalid(format!("`every`: {error}")))?;
            Ok(Recurring::period(period.0)?)
        }
        (None, None) => Ok(Recurring::period(USUAL_PERIOD)?),
    }
}

/// Installs further imports of the same connector, each with its own settings and source.
pub(crate) struct ImportProvider<C> {
    name: String,
    description: String,
    catalog: Catalog,
    car: Arc<CarAccess>,
    options: EngineOptions,
    connector: PhantomData<fn() -> C>,
}

impl<C: Connector> ImportProvider<C> {
    pub(crate) fn new(catalog: Catalog, car: Arc<CarAccess>, options: EngineOptions) -> Self {
        let about = C::about();
        Self {
            name: about.name.to_owned(),
            description: about.description.to_owned(),
            catalog,
            car,
            options,
            connector: PhantomData,
        }
    }

    /// Writes settings as a command line, which is where all settings are understood.
    fn words(&self, settings: &Value) -> Result<Vec<OsString>, Failure> {
        let invalid = |text: String| Failure::new(FailureKind::InvalidParameter, text);
        let mut words = vec![OsString::from(&self.name)];
        for (key, value) in settings.as_object().into_iter().flatten() {
            let flag = key.replace('_', "-");
            if WHEN.contains(&flag.as_str()) {
                continue;
            }
            let known = self.catalog.setting(&flag);
            let Some(setting) = known.filter(|setting| setting.own || setting.flag == "source")
            else {
                return Err(invalid(format!("unknown setting `{key}`"))
                    .hint("`GET /providers` tells which there are"));
            };
            let values = match value {
                Value::Array(values) if setting.many => values.iter().collect(),
                value => vec![value],
            };
            for value in values {
                let text = match (setting.kind, value) {
                    (_, Value::Null) | (Kind::Switch, Value::Bool(false)) => continue,
                    (Kind::Switch, Value::Bool(true)) => {
                        words.push(format!("--{flag}").into());
                        continue;
                    }
                    (Kind::Text | Kind::Secret | Kind::Other, Value::String(text)) => text.clone(),
                    (Kind::Other, Value::Number(_) | Value::Bool(_)) => value.to_string(),
                    _ => {
                        return Err(invalid(format!(
                            "setting `{key}` has a value of the wrong type"
                        )));
                    }
                };
                words.push(format!("--{flag}={text}").into());
            }
        }
        Ok(words)
    }
}

#[async_trait]
impl<C: Connector> Provider for ImportProvider<C> {
    fn name(&self) -> &str {
        &self.name
    }

    fn description(&self) -> String {
        self.description.clone()
    }

    fn schema(&self) -> Value {
        schema::<C::Settings>(&C::about(), &self.catalog)
    }

    fn limit(&self) -> usize {
        1
    }

    fn hide(&self, settings: &Value) -> Value {
        let hidden = settings
            .as_object()
            .into_iter()
            .flatten()
            .map(|(key, value)| {
                let setting = self.catalog.setting(&key.replace('_', "-"));
                let shown = match setting.map(|setting| setting.kind) {
                    Some(Kind::Secret) => HIDDEN.into(),
                    // A key that is known to nobody is a secret that was misspelt, for all we know.
                    None if !WHEN.contains(&key.as_str()) => HIDDEN.into(),
                    _ => value.clone(),
                };
                (key.clone(), shown)
            });
        Value::Object(hidden.collect())
    }

    async fn load(
        &self,
        settings: &Value,
        context: &ConnectorContext,
    ) -> Result<Arc<dyn TaskConnector>, Failure> {
        let text = |name: &str| settings.get(name).and_then(Value::as_str);
        let when = when(text("every"), text("cron"))?;
        let words = self.words(settings)?;
        let line = self.catalog.read(words).map_err(|refused| match refused {
            Refused::Wrong { failure, .. } => failure,
            Refused::Help(_) => {
                Failure::new(FailureKind::InvalidParameter, "the settings ask for help")
            }
        })?;
        let nothing: Environment = std::iter::empty::<(OsString, OsString)>().collect();
        let loaded = self.catalog.load(&line, &nothing, &mut Vec::new())?;
        let common: Common = loaded.settings()?;
        let source = common
            .source
            .clone()
            .unwrap_or_else(|| context.name().to_owned());
        let options = (self.options)(&common, &source);
        let car = Arc::clone(&self.car);
        let imports = Imports::<C>::new(loaded, &source, options, car, when);
        imports.check(context.cancel()).await?;
        imports.listen(context)?;
        Ok(Arc::new(imports))
    }
}
