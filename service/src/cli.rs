//! The command line of `car-service`; the only place that prints.

mod place;

use std::io::{IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use axum::http::HeaderValue;
use clap::{Args, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use place::PlaceArgs;

use crate::admin::{Admin, Place};
use crate::folder::StartError;
use crate::server::{Options, Server};
use crate::tls::TlsFiles;

/// Exit code of settings that cannot work.
const INVALID: u8 = 2;

/// Exit code of a check that found something to do.
const NEEDED: u8 = 3;

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
    /// Makes, lists and takes away API keys; the service may run meanwhile
    Key {
        #[command(subcommand)]
        verb: KeyVerb,
    },
    /// Brings the database up to this version, as a start of the service does, and ends
    Migrate {
        #[command(flatten)]
        place: PlaceArgs,

        /// Only tell what is missing; exit code 3 when something is
        #[arg(long)]
        check: bool,
    },
    /// Writes what exists now to standard output, as lines of JSON
    Export {
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Takes in from standard input what `export` wrote, here or elsewhere
    Import {
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Copies the data of a folder to a new file; the service may run meanwhile
    Backup {
        #[command(flatten)]
        place: PlaceArgs,

        /// File to make
        #[arg(long, value_name = "FILE")]
        to: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum KeyVerb {
    /// Makes a key and prints it with its password, once
    Create {
        #[command(flatten)]
        place: PlaceArgs,

        /// What the key may do: admin, connector or consumer
        #[arg(long, value_name = "ROLE")]
        role: String,

        /// Source that a connector's key may act for; may be given several times
        #[arg(long, value_name = "SOURCE")]
        source: Vec<String>,
    },
    /// Lists the keys with their roles
    List {
        #[command(flatten)]
        place: PlaceArgs,
    },
    /// Takes a key away
    Revoke {
        #[command(flatten)]
        place: PlaceArgs,

        /// The key
        key: String,
    },
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    place: PlaceArgs,

    /// Address to listen on
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8110")]
    listen: SocketAddr,

    /// Longest time of a query, in seconds; it is stopped then
    #[arg(
        long,
        value_name = "SECONDS",
        env = "CAR_SERVICE_QUERY_TIMEOUT",
        default_value_t = 30,
        value_parser = clap::value_parser!(u64).range(1..=3600)
    )]
    query_timeout: u64,

    /// Origin whose pages may call from a browser, such as https://portal.example.com; may be
    /// given several times
    #[arg(
        long,
        value_name = "ORIGIN",
        env = "CAR_SERVICE_CORS_ORIGIN",
        value_delimiter = ',',
        value_parser = origin
    )]
    cors_origin: Vec<HeaderValue>,

    /// Certificate in PEM, with those that lead to its root; the service then speaks HTTPS
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,

    /// Private key of the certificate, in PEM
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,

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

/// Reads an origin as browsers send it.
fn origin(text: &str) -> Result<HeaderValue, String> {
    let host = ["http://", "https://"]
        .iter()
        .find_map(|scheme| text.strip_prefix(scheme));
    match host {
        Some(host) if !host.is_empty() && !host.contains(['/', '?', '#', '@', '*', ' ']) => {
            HeaderValue::from_str(text).map_err(|error| error.to_string())
        }
        _ => Err("an origin is scheme and host, with a port where it is unusual, and no path: https://portal.example.com".to_owned()),
    }
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
    let done: Result<u8, Failure> = runtime.block_on(async {
        match cli.verb {
            Verb::Serve(options) => serve(options).await.map(|()| 0),
            Verb::Migrate { place, check } => migrate(&place.place()?, check).await,
            Verb::Key { verb } => key(verb).await.map(|()| 0),
            Verb::Export { place } => {
                let admin = Admin::open(&place.place()?).await?;
                let mut out = std::io::BufWriter::new(std::io::stdout());
                let count = admin.export(&mut out).await?;
                out.flush()?;
                tracing::info!(rows = count, "exported");
                Ok(0)
            }
            Verb::Import { place } => {
                let admin = Admin::open(&place.place()?).await?;
                let mut input = std::io::BufReader::new(std::io::stdin());
                let count = admin.import(&mut input).await?;
                tracing::info!(rows = count, "imported");
                Ok(0)
            }
            Verb::Backup { place, to } => {
                let admin = Admin::open(&place.place()?).await?;
                admin.backup(&to).await?;
                admin.close().await;
                Ok(0)
            }
        }
    });
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => fail(INVALID, error.as_ref()),
    }
}

type Failure = Box<dyn std::error::Error>;

async fn key(verb: KeyVerb) -> Result<(), Failure> {
    let (KeyVerb::Create { place, .. } | KeyVerb::List { place } | KeyVerb::Revoke { place, .. }) =
        &verb;
    let admin = Admin::open(&place.clone().place()?).await?;
    let text = match verb {
        KeyVerb::Create { role, source, .. } => {
            let credentials = admin.create_key(&role, source).await?;
            format!(
                "key: {}\npassword: {}\n",
                credentials.key, credentials.password
            )
        }
        KeyVerb::List { .. } => admin
            .keys()
            .await?
            .into_iter()
            .map(|key| format!("{}\t{}\t{}\n", key.key, key.role, key.sources.join(",")))
            .collect(),
        KeyVerb::Revoke { key, .. } => {
            admin.revoke_key(&key).await?;
            String::new()
        }
    };
    admin.close().await;
    print(&text);
    Ok(())
}

/// Brings the database up to this version, or only tells what it lacks.
async fn migrate(place: &Place, check: bool) -> Result<u8, Failure> {
    if check {
        let missing = match Admin::missing(place).await {
            // A folder without a database lacks all of it.
            Err(StartError::Folder { source, .. })
                if source.kind() == std::io::ErrorKind::NotFound =>
            {
                vec!["there is no database yet".to_owned()]
            }
            other => other?,
        };
        print(&lines("missing", &missing));
        return Ok(if missing.is_empty() { 0 } else { NEEDED });
    }
    print(&lines("made", &Admin::migrate(place).await?));
    Ok(0)
}

fn lines(word: &str, names: &[String]) -> String {
    if names.is_empty() {
        return "the database is up to date\n".to_owned();
    }
    names
        .iter()
        .map(|name| format!("{word}: {name}\n"))
        .collect()
}

fn print(text: &str) {
    let mut stdout = std::io::stdout().lock();
    if stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .is_err()
    {
        tracing::debug!("nobody reads the standard output");
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

async fn serve(options: Serve) -> Result<(), Failure> {
    let mut server = match options.place.place()? {
        Place::Folder(data) => Options::new(data),
        Place::Server(url) => Options::new(PathBuf::new()).database_url(url),
    }
    .listen(options.listen)
    .query_timeout(Duration::from_secs(options.query_timeout));
    if let (Some(key), Some(password)) = (options.api_key, options.api_password) {
        server = server.credentials(key, password);
    }
    if let (Some(cert), Some(key)) = (options.tls_cert, options.tls_key) {
        server = server.tls(TlsFiles { cert, key });
    }
    for origin in options.cors_origin {
        server = server.origin(origin);
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
    print(&text);
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
