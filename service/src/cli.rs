//! The command line of `car-service`; the only place that prints.

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::folder::StartError;
use crate::server::{Options, Server};

/// Exit code of settings that cannot work.
const INVALID: u8 = 2;

/// Keeps the graph of connected assets and risks, answers imports and queries.
#[derive(Debug, Parser)]
#[command(name = "car-service", version)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Answers calls until it is stopped
    Serve(Serve),
}

#[derive(Debug, Args)]
struct Serve {
    /// Folder for the data; made where it is missing
    #[arg(long, value_name = "DIR", required_unless_present = "database_url")]
    data: Option<PathBuf>,

    /// PostgreSQL server to keep the data on, instead of a folder
    #[arg(
        long,
        value_name = "URL",
        env = "CAR_SERVICE_DATABASE_URL",
        hide_env_values = true
    )]
    database_url: Option<String>,

    /// Address to listen on
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8110")]
    listen: SocketAddr,

    /// Fixed API key; without it the first start makes one and prints it
    #[arg(
        long,
        value_name = "KEY",
        env = "CAR_SERVICE_KEY",
        hide_env_values = true,
        requires = "api_password"
    )]
    api_key: Option<String>,

    /// Password of the fixed API key
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "CAR_SERVICE_PASSWORD",
        hide_env_values = true,
        requires = "api_key"
    )]
    api_password: Option<String>,

    /// Fixed token for `Authorization: car-token`
    #[arg(
        long,
        value_name = "TOKEN",
        env = "CAR_SERVICE_AUTHTOKEN",
        hide_env_values = true
    )]
    api_token: Option<String>,
}

/// Runs the program and returns its exit code: 0 after a stop that was asked for, 2 when the
/// settings cannot work, 1 otherwise.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { INVALID } else { 0 };
            // Nothing can be done about a terminal that is gone.
            drop(error.print());
            return ExitCode::from(code);
        }
    };
    start_log();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return fail(1, &error),
    };
    let Verb::Serve(options) = cli.verb;
    match runtime.block_on(serve(options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(INVALID, &error),
    }
}

fn start_log() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
}

fn fail(code: u8, error: &dyn std::error::Error) -> ExitCode {
    let mut text = format!("error: {error}\n");
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!("  Caused by: {cause}\n"));
        source = cause.source();
    }
    // Nothing can be done about a terminal that is gone.
    drop(std::io::stderr().write_all(text.as_bytes()));
    ExitCode::from(code)
}

async fn serve(options: Serve) -> Result<(), StartError> {
    let mut server = Options::new(options.data.unwrap_or_default()).listen(options.listen);
    if let (Some(key), Some(password)) = (options.api_key, options.api_password) {
        server = server.credentials(key, password);
    }
    if let Some(url) = options.database_url {
        server = server.database_url(url);
    }
    if let Some(token) = options.api_token {
        server = server.token(token);
    }
    // Before the port opens, so that no signal is missed once somebody can call.
    let stop = stop_signal();
    let running = Server::start(server).await?;
    let mut text = format!("listening on {}\n", running.url());
    if let Some(credentials) = running.generated() {
        text.push_str(&format!(
            "key: {}\npassword: {}\nKeep them: they are shown once and only their hash is stored.\n",
            credentials.key, credentials.password
        ));
    }
    let mut stdout = std::io::stdout().lock();
    if stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .is_err()
    {
        tracing::debug!("nobody reads the standard output");
    }
    drop(stdout);
    stop.await;
    tracing::info!("stopping");
    running.shutdown().await;
    Ok(())
}

/// Ends when the process is asked to stop.
fn stop_signal() -> impl Future<Output = ()> {
    use tokio::signal::unix::{SignalKind, signal};
    let terminate = signal(SignalKind::terminate());
    let interrupt = signal(SignalKind::interrupt());
    async move {
        match (terminate, interrupt) {
            (Ok(mut terminate), Ok(mut interrupt)) => {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
            }
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%error, "signals cannot be heard; only kill -9 stops this process");
                std::future::pending::<()>().await;
            }
        }
    }
}
