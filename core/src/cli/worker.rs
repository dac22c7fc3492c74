//! `worker`: does the steps of connectors whose tasks a server keeps. It schedules nothing and
//! answers nobody, so that as many machines as one likes have one beside the process that serves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use clap::{Arg, ArgMatches, Command, ValueHint};
use serde::Deserialize;
use tokio_util::sync::CancellationToken;

use super::serve::{Means, elsewhere, tasks_on};
use super::setup::Setup;
use crate::config::Catalog;
use crate::connector::Connector;
use crate::exit::SUCCESS;
use crate::failure::{Failure, FailureKind};
use crate::serve::when;
use crate::tasks::{ConnectorRow, ConnectorStore, Manager, ManagerOptions, TaskError};
use crate::telemetry::Value;

/// Adds the verb's own arguments.
pub(super) fn command() -> Command {
    Command::new("worker")
        .about("Do the steps of connectors whose tasks a server keeps, nothing else")
        .arg(tasks_on().required(true))
        .arg(
            Arg::new("connectors")
                .long("connectors")
                .value_name("FILE")
                .value_hint(ValueHint::FilePath)
                .value_parser(clap::value_parser!(PathBuf))
                .help("YAML file with the connectors that are installed elsewhere, as `NAME: {provider: KIND, settings: {…}}`"),
        )
}

/// Works until a signal comes, and returns the exit code.
pub(super) fn run<C: Connector>(setup: &Setup, catalog: &Catalog, verb: &ArgMatches) -> u8 {
    match setup.run(|cancel| work::<C>(setup, catalog, verb, cancel)) {
        Ok(()) => {
            setup.console.say("stopped", "stopped", &[]);
            SUCCESS
        }
        Err(failure) => setup.console.fail(&failure),
    }
}

async fn work<C: Connector>(
    setup: &Setup,
    catalog: &Catalog,
    verb: &ArgMatches,
    cancel: CancellationToken,
) -> Result<(), Failure> {
    let address = verb.get_one::<String>("tasks-on").map(String::as_str);
    let address = address.unwrap_or_default();
    let installed = match verb.get_one::<PathBuf>("connectors") {
        Some(path) => read(path)?,
        None => BTreeMap::new(),
    };
    let own = !setup.source().is_empty();
    if installed.is_empty() && !own {
        return Err(Failure::new(
            FailureKind::InvalidParameter,
            "there is no connector to work for",
        )
        .hint("give `--source` and the settings of its imports, or `--connectors FILE`"));
    }
    let means = Means::new::<C>(setup, catalog)?;
    let engine = elsewhere::<C>(address).await?;
    let manager = Manager::start(ManagerOptions {
        engine: Arc::clone(&engine),
        store: Arc::new(Nothing),
        providers: means.providers.clone(),
        car: means.car.clone(),
        cancel: cancel.clone(),
    })
    .await?;
    let wrong = |name: &str, text: String| {
        Failure::new(FailureKind::InvalidParameter, text).with("connector", name)
    };
    let mut names: Vec<&str> = Vec::new();
    for (name, entry) in &installed {
        let settings = serde_json::Value::Object(entry.settings.clone());
        manager
            .work_for(name, entry.provider.as_deref(), settings)
            .await
            .map_err(|error| wrong(name, error.text()))?;
        names.push(name);
    }
    if own {
        // When it runs is for the process that serves to say.
        let imports = means.imports::<C>(setup, when(None, None)?)?;
        imports.check(&cancel).await?;
        let source = setup.source();
        manager
            .work_for_fixed(source, setup.about.name, 1, Arc::new(imports))
            .await
            .map_err(|error| wrong(source, error.text()))?;
        names.push(source);
    }
    let names = names.join(", ");
    setup.console.say(
        &format!("working for {names} on {address}"),
        "working",
        &[
            ("connectors", Value::Text(names.clone())),
            ("server", Value::Text(address.to_owned())),
        ],
    );
    cancel.cancelled().await;
    Ok(engine.close().await?)
}

/// A connector in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    provider: Option<String>,
    #[serde(default)]
    settings: serde_json::Map<String, serde_json::Value>,
}

/// Reads the file with the connectors.
fn read(path: &Path) -> Result<BTreeMap<String, Entry>, Failure> {
    let failed = |what: String| {
        Failure::new(FailureKind::InvalidParameter, what)
            .with("--connectors", path.display())
            .hint("it has `NAME: {provider: KIND, settings: {…}}` for each connector, with the settings that it was installed with")
    };
    let text = std::fs::read_to_string(path)
        .map_err(|error| failed("the connectors cannot be read".to_owned()).because(error))?;
    // The library's own text may hold a secret, so only the place is told.
    serde_yaml::from_str(&text).map_err(|error| {
        let place = error.location().map_or_else(String::new, |place| {
            format!(": line {} column {}", place.line(), place.column())
        });
        failed(format!("the file with the connectors is not valid{place}"))
    })
}

/// Keeps no connectors: those of a worker are in its file.
struct Nothing;

#[async_trait]
impl ConnectorStore for Nothing {
    async fn connectors(&self) -> Result<Vec<ConnectorRow>, TaskError> {
        Ok(Vec::new())
    }

    async fn put(&self, _: ConnectorRow) -> Result<(), TaskError> {
        Ok(())
    }

    async fn delete(&self, _: &str) -> Result<(), TaskError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Result<BTreeMap<String, Entry>, Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path())
    }

    #[test]
    fn files_with_connectors_are_read_and_refused_without_their_secrets() {
        let read = file("a:\n  settings: {password: hush}\nb: {provider: x}\n").unwrap();
        assert_eq!(read["a"].settings["password"], "hush");
        assert_eq!(read["b"].provider.as_deref(), Some("x"));
        for wrong in [
            "a: hush",
            "a: {password: hush}",
            "a: {settings: [hush]}",
            "a: {settings: {x: hush",
            "hush",
        ] {
            let failure = file(wrong).err().expect(wrong);
            assert_eq!(failure.kind(), FailureKind::InvalidParameter);
            let told = format!("{failure:?} {}", failure.chain().join(": "));
            assert!(!told.contains("hush"), "{wrong}: {told}");
        }
    }
}
