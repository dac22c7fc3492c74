//! `serve`: stays up, imports on schedule, keeps tasks going, and answers over HTTP.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Arg, ArgMatches, Command, ValueHint};
use tokio_util::sync::CancellationToken;

use super::import;
use super::setup::Setup;
use crate::config::{Catalog, Common, Environment};
use crate::connector::Connector;
use crate::exit::SUCCESS;
use crate::failure::{Failure, FailureKind};
use crate::progress::Reporter;
use crate::secret::Secret;
#[cfg(feature = "saga")]
use crate::serve::SagaRounds;
use crate::serve::{
    EngineOptions, ImportProvider, Imports, SealedStore, ServeOptions, answer, listen, random_key,
    router, when,
};
use crate::tasks::{
    CarAccess, Manager, ManagerOptions, Provider, Recurring, SqliteEngine, TaskEngine,
};
use crate::telemetry::{LogReporter, Value};

/// Where it listens when nobody says.
pub(super) const USUAL_ADDRESS: &str = "127.0.0.1:8090";
/// Environment variable with the key that settings are sealed with.
const SETTINGS_KEY_VARIABLE: &str = "CONNECTOR_SETTINGS_KEY";
/// Environment variable with the key.
pub(super) const KEY_VARIABLE: &str = "CONNECTOR_API_KEY";

/// Adds the verb's own arguments.
pub(super) fn command() -> Command {
    let text = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    Command::new("serve")
        .about("Stay up: import on schedule, keep tasks going, answer over HTTP")
        .arg(
            text(
                "listen",
                "HOST:PORT",
                "Address to listen on; port 0 takes a free one",
            )
            .default_value(USUAL_ADDRESS)
            .value_parser(clap::value_parser!(SocketAddr)),
        )
        .arg(key())
        .arg(state())
        .arg(tasks_on())
        .arg(
            Arg::new("settings_key")
                .long("settings-key")
                .value_name("KEY")
                .value_parser(clap::value_parser!(Secret))
                .help("Key that seals the settings of installed connectors in the file [env: CONNECTOR_SETTINGS_KEY]"),
        )
        .arg(text("every", "TIME", "Import once in this time [default: 1h]").conflicts_with("cron"))
        .arg(text(
            "cron",
            "EXPRESSION",
            "Import when a cron expression says, in UTC",
        ))
}

/// Makes the argument for the key.
pub(super) fn key() -> Arg {
    Arg::new("api_key")
        .long("api-key")
        .value_name("KEY")
        .value_parser(clap::value_parser!(Secret))
        .help("Key that callers give [env: CONNECTOR_API_KEY] [default: one in FILE-key, made at the first start]")
}

/// Makes the argument for the file with the tasks.
pub(super) fn state() -> Arg {
    Arg::new("tasks")
        .long("tasks")
        .value_name("FILE")
        .value_hint(ValueHint::FilePath)
        .value_parser(clap::value_parser!(PathBuf))
        .default_value("connector-tasks.db")
        .help("File with the tasks and the installed connectors")
}

/// Makes the argument for the server with the tasks.
pub(super) fn tasks_on() -> Arg {
    Arg::new("tasks-on")
        .long("tasks-on")
        .value_name("ADDRESS")
        .help("Server that keeps the tasks, as temporal://HOST:PORT/NAMESPACE")
}

/// Serves until a signal comes, and returns the exit code.
pub(super) fn run<C: Connector>(
    setup: &Setup,
    catalog: &Catalog,
    verb: &ArgMatches,
    environment: &Environment,
) -> u8 {
    let served = setup.run(|cancel| serve::<C>(setup, catalog, verb, environment, cancel));
    match served {
        Ok(()) => {
            setup.console.say("stopped", "stopped", &[]);
            SUCCESS
        }
        Err(failure) => setup.console.fail(&failure),
    }
}

async fn serve<C: Connector>(
    setup: &Setup,
    catalog: &Catalog,
    verb: &ArgMatches,
    environment: &Environment,
    cancel: CancellationToken,
) -> Result<(), Failure> {
    let address = verb.get_one::<SocketAddr>("listen").copied();
    let address = address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8090)));
    let tasks = file(verb);
    let period = |name: &str| verb.get_one::<String>(name).map(String::as_str);
    let when = when(period("every"), period("cron"))?;
    let listener = listen(address).await?;
    let key = match given_key(verb, environment) {
        Some(key) => key,
        None => kept_key(&tasks)?,
    };
    let store = Arc::new(SqliteEngine::open(&tasks).await?);
    let settings_key = given(verb, environment, "settings_key", SETTINGS_KEY_VARIABLE);
    let sealed = SealedStore::new(Arc::clone(&store) as _, settings_key.as_ref())?;
    sealed.seal_all().await?;
    let engine: Arc<dyn TaskEngine> = match verb.get_one::<String>("tasks-on") {
        Some(address) => elsewhere::<C>(address).await?,
        None => Arc::clone(&store) as _,
    };
    let means = Means::new::<C>(setup, catalog)?;
    let manager = Manager::start(ManagerOptions {
        engine: Arc::clone(&engine),
        store: Arc::new(sealed),
        providers: means.providers.clone(),
        car: means.car.clone(),
        cancel: cancel.clone(),
    })
    .await?;
    if !setup.source().is_empty() {
        let (source, imports) = (setup.source(), means.imports::<C>(setup, when)?);
        imports.check(&cancel).await?;
        let connector = Arc::new(imports);
        let started = manager
            .run_fixed(source, setup.about.name, 1, connector)
            .await;
        started.map_err(|error| {
            Failure::new(FailureKind::InvalidParameter, error.text())
                .hint("`--source` names a source of its own, which no installed connector has")
        })?;
    }
    let options = ServeOptions::new(setup.about.name, setup.about.version, key);
    #[cfg(feature = "saga")]
    let options = with_sagas::<C>(setup, &manager, options, &cancel).await?;
    let router = router(manager, options);
    let bound = listener.local_addr().map_err(|error| {
        Failure::new(FailureKind::General, "the socket has no address").because(error)
    })?;
    setup.console.say(
        &format!("listening on http://{bound}/"),
        "listening",
        &[("address", Value::Text(bound.to_string()))],
    );
    let answered = answer(listener, router, cancel.clone()).await;
    // Whatever ended the interface, tasks come to rest before the process does.
    cancel.cancel();
    let mut closed = engine.close().await;
    if verb.get_one::<String>("tasks-on").is_some() {
        closed = closed.and(store.close().await);
    }
    answered?;
    Ok(closed?)
}

/// Opens the sagas of the connector, where its settings are there, and works on what is pending
/// where they ask for that.
#[cfg(feature = "saga")]
async fn with_sagas<C: Connector>(
    setup: &Setup,
    manager: &Manager,
    options: ServeOptions,
    cancel: &CancellationToken,
) -> Result<ServeOptions, Failure> {
    let Some(open) = C::sagas() else {
        return Ok(options);
    };
    if setup.source().is_empty()
        && let Err(missing) = setup.loaded.require_own_and(&[])
    {
        tracing::info!(why = %missing, "no sagas are shown");
        return Ok(options);
    }
    let opened = open(setup.own_settings()?, setup.context(cancel.clone())).await?;
    let Some(desk) = opened else {
        return Ok(options);
    };
    if let Some(rounds) = desk.rounds() {
        let work = Arc::new(SagaRounds::new(Arc::clone(&desk), rounds));
        let started = manager
            .run_fixed(rounds.name, setup.about.name, 1, work)
            .await;
        started.map_err(|error| {
            Failure::new(FailureKind::InvalidParameter, error.text())
                .hint("uninstall the connector that has this name, or install it under another")
        })?;
    }
    Ok(options.sagas(desk, cancel.clone()))
}

/// What connectors are made with.
pub(super) struct Means {
    pub(super) car: Option<Arc<CarAccess>>,
    pub(super) providers: Vec<Arc<dyn Provider>>,
    options: EngineOptions,
}

impl Means {
    /// Gathers it from the settings. Imports can be installed where there is a CAR service.
    pub(super) fn new<C: Connector>(setup: &Setup, catalog: &Catalog) -> Result<Self, Failure> {
        let common = &setup.common;
        let has_car =
            common.car_service_url.is_some() || common.car_service_url_for_token.is_some();
        let car = has_car.then(|| access(setup)).transpose()?;
        let options: EngineOptions =
            Arc::new(|common: &Common, source: &str| import::engine_options(common, source));
        let mut providers = C::task_providers();
        if let Some(car) = &car {
            let imports =
                ImportProvider::<C>::new(catalog.clone(), Arc::clone(car), Arc::clone(&options));
            providers.push(Arc::new(imports));
        }
        Ok(Self {
            car,
            providers,
            options,
        })
    }

    /// Makes the imports that the settings of the process ask for.
    pub(super) fn imports<C: Connector>(
        &self,
        setup: &Setup,
        when: Recurring,
    ) -> Result<Imports<C>, Failure> {
        setup.loaded.require_own_and(&[])?;
        let car = match &self.car {
            Some(car) => Arc::clone(car),
            None => access(setup)?,
        };
        let source = setup.source();
        let options = (self.options)(&setup.common, source);
        let loaded = setup.loaded.clone();
        Ok(Imports::new(loaded, source, options, car, when))
    }
}

/// Opens an engine that is somewhere else.
pub(super) async fn elsewhere<C: Connector>(address: &str) -> Result<Arc<dyn TaskEngine>, Failure> {
    let kinds = C::task_engines();
    let found = kinds
        .iter()
        .find(|kind| kind.begins().iter().any(|begin| address.starts_with(begin)));
    match found {
        Some(kind) => kind.open(address).await,
        None => {
            let failure = Failure::new(
                FailureKind::InvalidParameter,
                format!("`--tasks-on`: this program knows no server for `{address}`"),
            );
            let known: Vec<&str> = kinds
                .iter()
                .flat_map(|kind| kind.begins())
                .copied()
                .collect();
            Err(match known.is_empty() {
                true => failure
                    .hint("it was built without one; a build with `--features temporal` has one"),
                false => failure.hint(format!("an address begins with {}", known.join(" or "))),
            })
        }
    }
}

/// Returns how to reach the CAR service.
fn access(setup: &Setup) -> Result<Arc<CarAccess>, Failure> {
    let reporter: Arc<dyn Reporter> = Arc::new(LogReporter::new());
    Ok(Arc::new(CarAccess {
        car: import::car_options(setup)?,
        options: import::engine_options(&setup.common, setup.source()),
        reporter,
    }))
}

/// Returns the file with the tasks.
pub(super) fn file(verb: &ArgMatches) -> PathBuf {
    verb.get_one::<PathBuf>("tasks")
        .cloned()
        .unwrap_or_default()
}

/// Returns the key that the user gives.
pub(super) fn given_key(verb: &ArgMatches, environment: &Environment) -> Option<Secret> {
    given(verb, environment, "api_key", KEY_VARIABLE)
}

/// Returns a secret that is given by a flag, or in the environment.
fn given(
    verb: &ArgMatches,
    environment: &Environment,
    flag: &str,
    variable: &str,
) -> Option<Secret> {
    let flag = verb.get_one::<Secret>(flag).cloned();
    flag.or_else(|| {
        let value = environment.get(variable)?;
        Some(Secret::from(value.to_string_lossy().into_owned()))
    })
    .filter(|key| !key.expose().is_empty())
}

/// Names the file with the key that was made at the first start.
pub(super) fn key_file(tasks: &Path) -> PathBuf {
    let mut name = OsString::from(tasks.file_name().unwrap_or_default());
    name.push("-key");
    tasks.with_file_name(name)
}

/// Reads the key of earlier starts, or makes one.
fn kept_key(tasks: &Path) -> Result<Secret, Failure> {
    use std::io::Write as _;

    let path = key_file(tasks);
    if let Some(key) = read_key(&path) {
        return Ok(key);
    }
    let key = random_key();
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
        .open(&path)
        .and_then(|mut file| writeln!(file, "{}", key.expose()))
        .map_err(|error| {
            Failure::new(
                FailureKind::InvalidParameter,
                "the key for callers cannot be kept",
            )
            .with("file", path.display())
            .because(error)
            .hint(format!("give one by `--api-key` or {KEY_VARIABLE}"))
        })?;
    Ok(key)
}

/// Reads a key, if there is one.
pub(super) fn read_key(path: &Path) -> Option<Secret> {
    let text = std::fs::read_to_string(path).ok()?;
    let key = text.trim();
    (!key.is_empty()).then(|| Secret::from(key))
}
