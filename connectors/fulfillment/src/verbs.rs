//! The verbs of this connector: `fulfill`, and `saga` for those who look after it.

use std::time::Duration;

use car_core::config::Span;
use car_core::connector::{Context, SettingsVerb, VerbWork};
use car_core::saga::{Status, abandon, list_text};
use car_core::{Failure, FailureKind};
use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio::sync::mpsc;

use crate::config::Settings;
use crate::log::open_log;
use crate::webhook::{self, Named};
use crate::work::{Tally, Worker};

/// Lists the verbs.
pub(crate) fn all() -> Vec<SettingsVerb<Settings>> {
    vec![
        SettingsVerb {
            command: fulfill_command(),
            run: |settings, context, arguments| -> VerbWork {
                Box::pin(fulfill(settings, context, arguments))
            },
        },
        SettingsVerb {
            command: saga_command(),
            run: |settings, context, arguments| -> VerbWork {
                Box::pin(saga(settings, context, arguments))
            },
        },
    ]
}

fn fulfill_command() -> Command {
    Command::new("fulfill")
        .about("Work on the requests that are pending")
        .arg(
            Arg::new("watch")
                .long("watch")
                .action(ArgAction::SetTrue)
                .help("Go on until a signal ends it"),
        )
        .arg(
            Arg::new("every")
                .long("every")
                .value_name("TIME")
                .default_value("30s")
                .value_parser(clap::value_parser!(Span))
                .help("With --watch: time between two looks at the platform"),
        )
        .arg(
            Arg::new("webhook")
                .long("webhook")
                .value_name("HOST:PORT")
                .requires("watch")
                .help("With --watch: address to take the platform's notifications at"),
        )
}

fn saga_command() -> Command {
    let id = || {
        Arg::new("id")
            .value_name("ID")
            .required(true)
            .help("Id of the request")
    };
    Command::new("saga")
        .about("Show and change the sagas of purchases")
        .subcommand_required(true)
        .subcommand(
            Command::new("list")
                .about("List sagas, the latest first")
                .arg(
                    Arg::new("status")
                        .long("status")
                        .value_name("STATUS")
                        .value_parser(Status::ALL.map(Status::as_str))
                        .help("Only those that stand there"),
                ),
        )
        .subcommand(
            Command::new("show")
                .about("Show a saga with its steps and records")
                .arg(id()),
        )
        .subcommand(
            Command::new("resume")
                .about("Go on with a saga now, also with one that is stuck")
                .arg(id()),
        )
        .subcommand(
            Command::new("abandon")
                .about("End a saga as it is; nothing is done or undone")
                .arg(id())
                .arg(
                    Arg::new("reason")
                        .long("reason")
                        .value_name("TEXT")
                        .default_value("abandoned by hand")
                        .help("Why, for the record"),
                ),
        )
}

async fn fulfill(
    settings: Settings,
    context: Context,
    arguments: ArgMatches,
) -> Result<String, Failure> {
    let worker = Worker::new(&settings).await?;
    if !arguments.get_flag("watch") {
        return Ok(format!("{}\n", worker.pass(&context.cancel).await?));
    }
    let every = arguments
        .get_one::<Span>("every")
        .map_or(Duration::from_secs(30), |span| span.0)
        .max(Duration::from_millis(100));
    let mut names = match arguments.get_one::<String>("webhook") {
        Some(address) => {
            let Some(secret) = settings.webhook_secret.clone() else {
                return Err(Failure::new(
                    FailureKind::InvalidParameter,
                    "`--webhook` needs a secret that notifications are signed with",
                )
                .hint("`--webhook-secret` (`CONFIGURATION_AUTH_WEBHOOK_SECRET`) names it"));
            };
            let (url, names) = webhook::listen(address, secret, context.cancel.clone()).await?;
            tracing::info!(url, "notifications are taken at /webhook");
            Some(names)
        }
        None => None,
    };
    let mut total = Tally::default();
    let mut wait = Duration::ZERO;
    loop {
        tokio::select! {
            biased;
            () = context.cancel.cancelled() => break,
            (model, id) = next(&mut names) => {
                worker.notified(model, &id, &context.cancel, &mut total).await;
            }
            () = tokio::time::sleep(wait) => {
                match worker.pass(&context.cancel).await {
                    Ok(tally) => total.add(&tally),
                    Err(failure) => tracing::warn!(
                        error = failure.chain().join(": "),
                        wait_s = every.as_secs(),
                        "the platform cannot be asked now"
                    ),
                }
                wait = every;
            }
        }
    }
    Ok(format!("{total}\n"))
}

/// Waits for a notification; for ever where none are taken.
async fn next(names: &mut Option<mpsc::Receiver<Named>>) -> Named {
    if let Some(names) = names
        && let Some(named) = names.recv().await
    {
        return named;
    }
    std::future::pending().await
}

async fn saga(
    settings: Settings,
    context: Context,
    arguments: ArgMatches,
) -> Result<String, Failure> {
    let Some((verb, arguments)) = arguments.subcommand() else {
        return Ok(String::new());
    };
    let text = |name: &str| arguments.get_one::<String>(name).map(String::as_str);
    match verb {
        "list" => {
            let status = text("status").and_then(Status::parse);
            let log = open_log(&settings).await?;
            Ok(list_text(&log.list(status, 1000).await?))
        }
        "show" => {
            let worker = Worker::new(&settings).await?;
            worker.show(text("id").unwrap_or_default()).await
        }
        "resume" => {
            let id = text("id").unwrap_or_default();
            let worker = Worker::new(&settings).await?;
            worker.resume(id, context.cancel).await?;
            worker.show(id).await
        }
        _ => {
            let id = text("id").unwrap_or_default();
            let log = open_log(&settings).await?;
            let reason = text("reason").unwrap_or_default();
            abandon(&*log, id, reason).await?;
            Ok(format!("{id} is abandoned\n"))
        }
    }
}
