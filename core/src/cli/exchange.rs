//! `data-source`, `data-service`, `export`, `export-delta`: rows in and out.
//!
//! Each mode has settings of its own, so its command line is read by a parser of its own, without
//! those of an import.

mod shown;

use std::ffi::OsString;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use clap::{Arg, Command};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::LevelFilter;

use super::console::{Console, Look};
use super::setup::Setup;
use crate::config::{Catalog, Environment, Kind, Refused};
use crate::connector::{About, Connector};
use crate::exchange::{
    ContainerApi, Declared, DeltaOptions, ExchangeSettings, FileContainer, Finished, Forwarder,
    HttpContainer, HttpOptions, LogLevel, Mode, ModeContext, OnProgress, ReadOptions, RunOptions,
    SEPARATOR, import_as_source, input_file, make_delta,
};
use crate::exit::SUCCESS;
use crate::failure::{Failure, FailureKind};
use crate::layer::Backoff;
use shown::{headline, line, table};

/// How often a run that goes well says how far it is, where there is no terminal.
const INTERVAL: Duration = Duration::from_secs(10);

/// Returns the verbs that a connector has, for the list in the help.
pub(super) fn commands<C: Connector>() -> Vec<Command> {
    let declared = C::modes().declared;
    let has = |mode: &Mode| {
        *mode == Mode::DataSource || declared.iter().any(|declared| declared.mode == *mode)
    };
    let verb = |mode: Mode| Command::new(mode.as_str()).about(mode.about());
    Mode::ALL.into_iter().filter(has).map(verb).collect()
}

/// Finds the mode that a command line asks for, and returns the line without its word.
pub(super) fn asked_for(argv: &[OsString], catalog: &Catalog) -> Option<(Mode, Vec<OsString>)> {
    let mut place = 1;
    while let Some(word) = argv.get(place).and_then(|word| word.to_str()) {
        if let Some(mode) = Mode::named(word) {
            let mut rest = argv.to_vec();
            rest.remove(place);
            return Some((mode, rest));
        }
        if !word.starts_with('-') || word == "--" {
            return None;
        }
        place += if takes_next(word, argv.get(place + 1), catalog) {
            2
        } else {
            1
        };
    }
    None
}

/// Tells whether the word behind a flag is its value.
fn takes_next(flag: &str, next: Option<&OsString>, catalog: &Catalog) -> bool {
    let next = next.and_then(|next| next.to_str()).unwrap_or_default();
    if flag.contains('=') || next.is_empty() || next.starts_with('-') {
        return false;
    }
    let name = flag.trim_start_matches('-');
    match catalog.setting(name) {
        Some(setting) => setting.kind != Kind::Switch,
        // A flag of the mode: what follows it is the mode, or belongs to it.
        None => name.len() > 1 && Mode::named(next).is_none(),
    }
}

/// Runs a mode and returns the exit code.
pub(super) fn run<C: Connector>(
    mode: Mode,
    argv: Vec<OsString>,
    about: About,
    environment: &Environment,
) -> u8 {
    let mut console = Console::before_settings(&about);
    console.look(Look::guess(&argv));
    let declared = match declared::<C>(mode, &argv, environment) {
        Ok(declared) => declared,
        Err(failure) => return console.fail(&failure),
    };
    let name = format!("{} {}", about.name, mode.as_str());
    let command = super::command_without_verbs(&about, name.clone())
        .bin_name(name)
        .about(mode.about());
    let catalog = (declared.catalog)(command).hiding(is_of_imports);
    let line = match catalog.read(argv) {
        Ok(line) => line,
        Err(Refused::Help(help)) => return console.print_help(&help),
        Err(Refused::Wrong { failure, secrets }) => {
            console.hide(&secrets);
            return console.fail(&failure);
        }
    };
    if super::prints_version(line.matches()) {
        return console.print(&format!("{} {}\n", about.name, about.version));
    }
    let mut secrets = Vec::new();
    let loaded = catalog.load(&line, environment, &mut secrets);
    secrets.extend(line.secrets().iter().cloned());
    console.hide(&secrets);
    let setup = loaded.and_then(|loaded| {
        loaded.require_own_and(&[])?;
        let exchange: ExchangeSettings = loaded.settings()?;
        let setup = Setup::without_log(about, loaded, environment, &mut console)?;
        Ok((setup, exchange))
    });
    let (setup, exchange) = match setup {
        Ok(setup) => setup,
        Err(failure) => return console.fail(&failure),
    };
    let forwarder = match platform_level(&exchange) {
        Some(level) => Some(setup.console.forward_log(level)),
        None => {
            setup.console.start_log(setup.common.debug);
            None
        }
    };
    let bar = (console.has_look() == Look::Terminal).then(bar);
    let finished = setup.run(|cancel| {
        exchange_rows(
            &setup,
            &exchange,
            &declared,
            forwarder,
            on_progress(bar.clone()),
            cancel,
        )
    });
    if let Some(bar) = bar {
        bar.finish_and_clear();
    }
    match finished {
        Ok(finished) => end(&console, &finished),
        Err(failure) => console.fail(&failure),
    }
}

/// Finds the mode among those of the connector.
fn declared<C: Connector>(
    mode: Mode,
    argv: &[OsString],
    environment: &Environment,
) -> Result<Declared, Failure> {
    let names_collection = |word: &OsString| {
        word.to_str()
            .is_some_and(|word| word == "--collection" || word.starts_with("--collection="))
    };
    let collection = argv.iter().any(names_collection) || environment.get("COLLECTION").is_some();
    let modes = C::modes().declared;
    let has: Vec<&str> = modes
        .iter()
        .map(|declared| declared.mode.as_str())
        .collect();
    let failure = Failure::new(
        FailureKind::InvalidParameter,
        format!("this connector has no mode `{}`", mode.as_str()),
    )
    .hint(match has.as_slice() {
        [] => "it has the mode `data-source`".to_owned(),
        has => format!("it has the modes {}", has.join(", ")),
    });
    let own = modes.into_iter().find(|declared| declared.mode == mode);
    match own {
        Some(own) if mode != Mode::DataSource || !collection => Ok(own),
        _ if mode == Mode::DataSource => import_as_source::<C>().declared.pop().ok_or(failure),
        _ => Err(failure),
    }
}

/// Tells which settings mean nothing to a mode.
fn is_of_imports(arg: &Arg) -> bool {
    match arg.get_help_heading() {
        Some("CAR service") => true,
        Some("Import") => !matches!(arg.get_long(), Some("config" | "source")),
        _ => matches!(arg.get_long(), Some("report" | "quarantine")),
    }
}

/// Returns the least serious lines that go to the platform, if any do.
fn platform_level(exchange: &ExchangeSettings) -> Option<LevelFilter> {
    if exchange.exchange.is_some() {
        return None;
    }
    Some(match exchange.platform_log.as_str() {
        "none" => return None,
        "error" => LevelFilter::ERROR,
        "warning" => LevelFilter::WARN,
        "debug" => LevelFilter::DEBUG,
        _ => LevelFilter::INFO,
    })
}

async fn exchange_rows(
    setup: &Setup,
    exchange: &ExchangeSettings,
    declared: &Declared,
    forwarder: Option<Forwarder>,
    on_progress: OnProgress,
    cancel: CancellationToken,
) -> Result<Finished, Failure> {
    let api = container(setup, exchange, declared.mode, &cancel).await?;
    let end = CancellationToken::new();
    let forwarding = forwarder.map(|forwarder| {
        let sending = forwarder.run(Arc::clone(&api), end.clone());
        tokio::spawn(sending)
    });
    let context = ModeContext {
        source: setup.source().to_owned(),
        cancel: cancel.clone(),
    };
    let finished = match (declared.open)(&setup.loaded, context) {
        Ok(job) => {
            let options = options(setup, exchange);
            let api = Arc::clone(&api);
            Ok(crate::exchange::run(job, api, options, on_progress, cancel).await)
        }
        Err(failure) => Err(failure),
    };
    if let Some(forwarding) = forwarding {
        end.cancel();
        // It ends by itself within a limit of its own.
        drop(forwarding.await);
        let (level, text) = match &finished {
            Ok(Finished {
                summary,
                failure: None,
            }) => (LogLevel::Success, headline(summary)),
            Ok(Finished {
                failure: Some(failure),
                ..
            })
            | Err(failure) => (LogLevel::Error, failure.chain().join(": ")),
        };
        let text = setup.console.redactor().redact(&text).into_owned();
        // Said on standard error, too, and by the exit code.
        drop(api.log(level, &text, None).await);
    }
    finished
}

/// Makes the other side: a folder, or the platform's container.
async fn container(
    setup: &Setup,
    exchange: &ExchangeSettings,
    mode: Mode,
    cancel: &CancellationToken,
) -> Result<Arc<dyn ContainerApi>, Failure> {
    let separator = exchange.separator.as_deref();
    let wrong = |message: &'static str| Err(Failure::new(FailureKind::InvalidParameter, message));
    let Some(folder) = &exchange.exchange else {
        if !exchange.delta_key.is_empty() {
            return wrong("`--delta-key` needs a folder with two snapshots, by `--exchange`");
        }
        let mut options = HttpOptions::new(&exchange.container_api);
        options.separator = exchange.separator.clone();
        options.timeout = exchange.container_api_timeout.0;
        options.backoff.deadline = exchange.container_api_retry_for.0;
        options.user_agent = format!("{}/{}", setup.about.name, setup.about.version);
        return Ok(Arc::new(HttpContainer::new(options, cancel.clone())?));
    };
    let container = FileContainer::open(folder, exchange.exchange_format, separator)?;
    if !exchange.delta_key.is_empty() {
        if mode != Mode::ExportDelta {
            return wrong("`--delta-key` is for `export-delta`");
        }
        let Some(after) = input_file(folder, "input")? else {
            return wrong("`--delta-key` needs input.jsonl or input.csv in the folder");
        };
        let before = input_file(folder, "before")?;
        let mut options = DeltaOptions::new(before, after, exchange.delta_key.clone(), folder);
        separator
            .unwrap_or(SEPARATOR)
            .clone_into(&mut options.separator);
        options.format = exchange.exchange_format;
        let cancel = cancel.clone();
        let made = tokio::task::spawn_blocking(move || make_delta(&options, &cancel)).await;
        let counts = made.map_err(|error| {
            Failure::new(
                FailureKind::General,
                "comparing snapshots ended unexpectedly",
            )
            .because(error)
        })??;
        tracing::info!(
            new = counts.new,
            modified = counts.modified,
            unchanged = counts.unchanged,
            deleted = counts.deleted,
            "compared two snapshots"
        );
    }
    Ok(Arc::new(container))
}

fn options(setup: &Setup, exchange: &ExchangeSettings) -> RunOptions {
    RunOptions {
        batch_rows: exchange.batch_rows,
        read: ReadOptions {
            show_hidden: exchange.show_hidden,
            classification: exchange.classification,
        },
        feedback: exchange.feedback,
        feedback_columns: exchange.feedback_columns.clone(),
        max_failures: exchange.max_failures,
        allow_empty: exchange.allow_empty,
        missing: exchange.missing_input,
        backoff: Backoff {
            deadline: setup.common.source_retry_for.0,
            ..Backoff::default()
        },
        redactor: Arc::clone(setup.console.redactor()),
    }
}

fn bar() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {msg}");
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = style {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Makes what tells how far a run is.
fn on_progress(bar: Option<ProgressBar>) -> OnProgress {
    let began = Instant::now();
    let told = Mutex::new(began);
    Arc::new(move |progress| {
        if let Some(bar) = &bar {
            bar.set_message(line(progress, began.elapsed()));
            return;
        }
        let Ok(mut told) = told.lock() else {
            return;
        };
        if told.elapsed() >= INTERVAL {
            *told = Instant::now();
            tracing::info!(
                rows_read = progress.read,
                rows_written = progress.written,
                rows_sent = progress.sent,
                rows_failed = progress.failed,
                "exchanging rows"
            );
        }
    })
}

/// Prints what was done, says why it is no success, and returns the exit code.
fn end(console: &Console, finished: &Finished) -> u8 {
    let summary = &finished.summary;
    let printed = match console.has_look() {
        Look::Json => console.print(&format!(
            "{}\n",
            json!({
                "mode": summary.mode.as_str(),
                "inputs": summary.inputs,
                "rows": summary.counts,
                "duration_ms": u64::try_from(summary.duration.as_millis()).unwrap_or(u64::MAX),
                "success": finished.failure.is_none(),
            })
        )),
        Look::Terminal | Look::Text => console.print(&table(summary)),
    };
    match &finished.failure {
        Some(failure) => console.fail(failure),
        None if printed == SUCCESS => {
            tracing::info!(
                rows_read = summary.counts.read,
                rows_written = summary.counts.written,
                rows_sent = summary.counts.sent,
                "the exchange succeeded"
            );
            SUCCESS
        }
        None => printed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mode_is_found_among_flags() {
        let catalog = Catalog::new::<Nothing>(Command::new("x"));
        for (words, found) in [
            ("x export", Some((Mode::Export, "x"))),
            ("x -d export --to a", Some((Mode::Export, "x -d --to a"))),
            (
                "x --source export export-delta",
                Some((Mode::ExportDelta, "x --source export")),
            ),
            (
                "x --exchange dir data-source",
                Some((Mode::DataSource, "x --exchange dir")),
            ),
            (
                "x --exchange=dir data-service",
                Some((Mode::DataService, "x --exchange=dir")),
            ),
            ("x import export", None),
            ("x -- export", None),
            ("x", None),
        ] {
            let argv: Vec<OsString> = words.split(' ').map(OsString::from).collect();
            let asked = asked_for(&argv, &catalog).map(|(mode, rest)| {
                let rest: Vec<String> = rest
                    .into_iter()
                    .map(|word| word.into_string().unwrap())
                    .collect();
                (mode, rest.join(" "))
            });
            let found = found.map(|(mode, rest)| (mode, rest.to_owned()));
            assert_eq!(asked, found, "{words}");
        }
    }

    #[derive(Debug, clap::Args, schemars::JsonSchema)]
    struct Nothing {}
}
