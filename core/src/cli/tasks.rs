//! `tasks`: the client of `serve`, for the command line.

use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use reqwest::Method;
use serde_json::Value;

use super::console::Console;
use super::grid;
use super::serve::{KEY_VARIABLE, USUAL_ADDRESS, file, given_key, key, key_file, read_key, state};
use crate::config::Environment;
use crate::exit::SUCCESS;
use crate::failure::{Failure, FailureKind, Retry};
use crate::secret::Secret;
use crate::tasks::{TaskHistory, TaskPage, TaskView};
use crate::telemetry::{printable, timestamp};

/// How long a call may take: longer than the other side takes.
const PATIENCE: Duration = Duration::from_secs(160);

/// Adds the verb and what can be done.
pub(super) fn command() -> Command {
    let connector = || {
        Arg::new("connector")
            .value_name("CONNECTOR")
            .required(true)
            .help("The connector")
    };
    let mut command = Command::new("tasks")
        .about("Show and change the tasks of a connector that serves")
        .subcommand_required(true)
        .subcommand(with_access(
            Command::new("list")
                .about("List the tasks of a connector, the latest first")
                .arg(connector())
                .arg(
                    Arg::new("status")
                        .long("status")
                        .value_name("STATUS")
                        .help("Only those that are active, paused, stopped, terminated or failed"),
                ),
        ));
    for (name, about) in [
        ("show", "Show a task with its history"),
        ("retry", "Run a task now"),
        ("pause", "Keep a task from running"),
        ("resume", "Let a paused task run again"),
        ("stop", "Stop a task"),
    ] {
        let task = Arg::new("task")
            .value_name("TASK")
            .required(true)
            .help("The task");
        let verb = Command::new(name).about(about).arg(connector()).arg(task);
        command = command.subcommand(with_access(verb));
    }
    command
}

fn with_access(command: Command) -> Command {
    command
        .arg(
            Arg::new("url")
                .long("url")
                .value_name("URL")
                .default_value(format!("http://{USUAL_ADDRESS}"))
                .help("Address of the process that serves"),
        )
        .arg(key())
        .arg(state())
        .arg(
            Arg::new("json")
                .long("json")
                .action(clap::ArgAction::SetTrue)
                .help("Print JSON"),
        )
}

/// Does what is asked for and returns the exit code.
pub(super) fn run(console: &Console, verb: &ArgMatches, environment: &Environment) -> u8 {
    let Some((action, arguments)) = verb.subcommand() else {
        return SUCCESS;
    };
    match call(action, arguments, environment) {
        Ok(text) => console.print(&text),
        Err(failure) => console.fail(&failure),
    }
}

fn call(
    action: &str,
    arguments: &ArgMatches,
    environment: &Environment,
) -> Result<String, Failure> {
    let text = |name: &str| arguments.get_one::<String>(name).map(String::as_str);
    let base = text("url").unwrap_or_default().trim_end_matches('/');
    let connector = path_part(text("connector").unwrap_or_default())?;
    let mut address = format!("{base}/connectors/{connector}/tasks");
    let method = match action {
        "list" => {
            address.push_str("?limit=1000");
            if let Some(status) = text("status") {
                address.push_str(&format!("&status={}", path_part(status)?));
            }
            Method::GET
        }
        "show" => {
            address.push_str(&format!(
                "/{}",
                path_part(text("task").unwrap_or_default())?
            ));
            Method::GET
        }
        action => {
            let task = path_part(text("task").unwrap_or_default())?;
            address.push_str(&format!("/{task}/{action}"));
            Method::POST
        }
    };
    let kept = || read_key(&key_file(&file(arguments)));
    let key = given_key(arguments, environment).or_else(kept).ok_or_else(|| {
        Failure::new(FailureKind::InvalidParameter, "the key is missing").hint(format!(
            "give it by `--api-key` or {KEY_VARIABLE}, or name the file of the process that serves by `--tasks`"
        ))
    })?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(FailureKind::General, "could not start").because(error))?;
    let answer = runtime.block_on(send(method, &address, &key))?;
    if arguments.get_flag("json") {
        let pretty = serde_json::to_string_pretty(&answer).map_err(unreadable)?;
        return Ok(pretty + "\n");
    }
    Ok(match action {
        "list" => list(&serde_json::from_value(answer).map_err(unreadable)?),
        "show" => show(&serde_json::from_value(answer).map_err(unreadable)?),
        _ => one(&serde_json::from_value(answer).map_err(unreadable)?),
    })
}

/// Refuses what would change the path of an address.
fn path_part(text: &str) -> Result<&str, Failure> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !text.is_empty() && text.chars().all(fine) && !matches!(text, "." | "..") {
        return Ok(text);
    }
    Err(Failure::new(
        FailureKind::InvalidParameter,
        format!("`{text}` is neither a connector nor a task"),
    ))
}

async fn send(method: Method, address: &str, key: &Secret) -> Result<Value, Failure> {
    let failed = |error: reqwest::Error| {
        Failure::new(
            FailureKind::General,
            "the process that serves does not answer",
        )
        .with_retry(Retry::Backoff)
        .because(error.without_url())
        .hint("start it with `serve`, or give its address by `--url`")
    };
    let client = crate::http::client_builder()
        .timeout(PATIENCE)
        .build()
        .map_err(failed)?;
    let answer = client
        .request(method, address)
        .bearer_auth(key.expose())
        .send()
        .await
        .map_err(failed)?;
    let status = answer.status();
    let body = answer.bytes().await.map_err(failed)?;
    let value: Value = serde_json::from_slice(&body).map_err(unreadable)?;
    if status.is_success() {
        return Ok(value);
    }
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default();
    let mut failure = Failure::new(FailureKind::General, text("message").to_owned())
        .with("code", text("code"))
        .with("status", status.as_u16());
    for hint in value
        .get("hints")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        failure = failure.hint(hint.as_str().unwrap_or_default().to_owned());
    }
    Err(failure)
}

fn unreadable(error: serde_json::Error) -> Failure {
    Failure::new(FailureKind::General, "the answer cannot be understood")
        .because(error)
        .hint("check that `--url` is the address of a connector that serves")
}

fn list(page: &TaskPage) -> String {
    let rows: Vec<Vec<String>> = page.tasks.iter().map(row).collect();
    let mut text = grid::texts(
        &["task", "name", "state", "runs", "next run", "last error"],
        &rows,
    );
    text.push('\n');
    if page.next.is_some() {
        text.push_str("there are more\n");
    }
    text
}

fn row(task: &TaskView) -> Vec<String> {
    let error = task.reason.as_deref().or(task.error.as_deref());
    let clean = |text: &str| printable(text).into_owned();
    vec![
        task.id.to_string(),
        clean(&task.name),
        task.status.as_str().to_lowercase(),
        task.runs.to_string(),
        task.next.map(time).unwrap_or_default(),
        error.map(clean).unwrap_or_default(),
    ]
}

fn one(task: &TaskView) -> String {
    format!(
        "{} is {} now\n",
        task.id,
        task.status.as_str().to_lowercase()
    )
}

fn show(history: &TaskHistory) -> String {
    let mut text = list(&TaskPage {
        tasks: vec![history.task.clone()],
        next: None,
    });
    let runs: Vec<Vec<String>> = history
        .runs
        .iter()
        .map(|run| {
            vec![
                run.run.to_string(),
                time(run.began_at),
                run.outcome.as_str().to_owned(),
                run.steps.to_string(),
                run.failed_attempts.to_string(),
                printable(run.error.as_deref().unwrap_or_default()).into_owned(),
            ]
        })
        .collect();
    text.push('\n');
    text.push_str(&grid::texts(
        &[
            "run",
            "began",
            "outcome",
            "steps",
            "failed attempts",
            "error",
        ],
        &runs,
    ));
    text.push('\n');
    text
}

fn time(millis: i64) -> String {
    timestamp(millis.max(0).unsigned_abs().saturating_mul(1000))
}
