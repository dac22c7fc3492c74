//! The program `reference-server`: settings in, one library call, exit code out.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use reference_server::{Error, Options, Server};

/// A small asset inventory over HTTP, to learn and test connectors with.
#[derive(Parser)]
#[command(name = "reference-server", version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Serves the inventory over HTTP until SIGTERM or Ctrl-C.
    Serve(Serve),
    /// Adds made assets with their addresses, applications and vulnerabilities.
    Populate(Populate),
    /// Loads this machine, or brings what was loaded before up to date.
    ///
    /// Host name, operating system, interfaces with MAC and IP addresses, listening ports,
    /// installed packages.
    Inventory(Data),
}

#[derive(Args)]
struct Data {
    /// The database file; it is created when it does not exist
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
}

#[derive(Args)]
struct Serve {
    #[command(flatten)]
    data: Data,
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8000")]
    listen: String,
    /// User name that clients must send
    #[arg(
        long,
        value_name = "NAME",
        env = "REFERENCE_SERVER_USERNAME",
        default_value = "reference"
    )]
    username: String,
    /// Password that clients must send; without one, a password is made and printed once. Prefer
    /// the environment: other users can see the arguments of a program
    #[arg(long, env = "REFERENCE_SERVER_PASSWORD", hide_env_values = true)]
    password: Option<String>,
    /// Number of changes to keep for `GET /delta/`; older ones need a full import
    #[arg(long, value_name = "N", default_value_t = 1_000_000)]
    keep_changes: u64,
}

#[derive(Args)]
struct Populate {
    #[command(flatten)]
    data: Data,
    /// Number of assets to add
    #[arg(long, value_name = "N")]
    assets: u64,
    /// Varies the values; the same seed on the same file gives the same objects
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u32,
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let level = tracing_subscriber::EnvFilter::builder()
        .with_default_directive(tracing::level_filters::LevelFilter::WARN.into())
        .from_env_lossy();
    tracing_subscriber::fmt()
        .with_env_filter(level)
        .with_writer(std::io::stderr)
        .init();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!(
                "error: starting the runtime\n  Caused by: {error}"
            ));
            return ExitCode::from(1);
        }
    };
    match runtime.block_on(run(cli.verb)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&with_causes(&error));
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run(verb: Verb) -> Result<(), Error> {
    match verb {
        Verb::Serve(settings) => serve(settings).await,
        Verb::Populate(settings) => {
            let data = settings.data.data;
            let done = reference_server::populate(&data, settings.assets, settings.seed).await?;
            for (name, count) in done.objects {
                print(&format!("{name} {count}"));
            }
            if !done.logged {
                say(
                    "this load is too large for the change log: clients will be told to do a full import",
                );
            }
            Ok(())
        }
        Verb::Inventory(settings) => {
            let done = reference_server::inventory(&settings.data).await?;
            for (name, count) in done.objects {
                print(&format!("{name} {count}"));
            }
            print(&format!("deleted {}", done.deleted));
            for note in done.notes {
                say(&format!("note: {note}"));
            }
            Ok(())
        }
    }
}

async fn serve(settings: Serve) -> Result<(), Error> {
    let signal = stop_signal()?;
    let (password, made) = match settings.password.filter(|p| !p.is_empty()) {
        Some(password) => (password, false),
        None => (made_password(), true),
    };
    let server = Server::start(Options {
        data: settings.data.data,
        listen: settings.listen,
        username: settings.username.clone(),
        password: password.clone(),
        keep_changes: settings.keep_changes,
    })
    .await?;
    if made {
        say(&format!(
            "user name: {}\npassword:  {password}   (made for this run; set \
             REFERENCE_SERVER_PASSWORD to choose one)",
            settings.username
        ));
    }
    if !server.address().ip().is_loopback() {
        say(
            "warning: --listen is not a loopback address: passwords and data cross the network \
             unencrypted",
        );
    }
    // The one line on standard output: where the server is, for people and scripts.
    print(&format!("{}/", server.url()));
    signal.await;
    server.stop().await
}

/// A password of 24 random letters and digits (about 142 bits).
fn made_password() -> String {
    use rand::RngExt as _;
    rand::rng()
        .sample_iter(rand::distr::Alphanumeric)
        .take(24)
        .map(char::from)
        .collect()
}

/// Registers the handlers now, so that a signal during start is not lost; resolves on the first
/// SIGTERM or Ctrl-C.
#[cfg(unix)]
fn stop_signal() -> Result<impl Future<Output = ()>, Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).map_err(Error::Serve)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Error::Serve)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

#[cfg(not(unix))]
fn stop_signal() -> Result<impl Future<Output = ()>, Error> {
    Ok(async {
        // Without a handler the server runs until it is killed.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    })
}

/// The failure and its causes, without those whose text the one above repeats.
fn with_causes(error: &Error) -> String {
    let mut text = format!("error: {error}");
    let mut above = text.clone();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let own = error.to_string();
        if !above.contains(&own) {
            text.push_str("\n  Caused by: ");
            text.push_str(&own);
        }
        above = own;
        cause = error.source();
    }
    text
}

/// Data: standard output. A reader that went away is no reason to fail.
#[expect(clippy::let_underscore_must_use, reason = "nobody is left to tell")]
fn print(line: &str) {
    use std::io::Write as _;
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// Talk: standard error.
#[expect(clippy::let_underscore_must_use, reason = "nobody is left to tell")]
fn say(text: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
