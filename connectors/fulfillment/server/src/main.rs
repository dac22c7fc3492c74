//! The program `fulfillment-server`: settings in, one library call, exit code out.

use std::process::ExitCode;

use clap::Parser;
use fulfillment_server::{Options, Server};

/// A platform with requests and a vendor with accounts, in memory, to learn and test with.
#[derive(Parser)]
#[command(name = "fulfillment-server", version, about, max_term_width = 100)]
struct Cli {
    /// Address to listen on; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8020")]
    listen: String,
    /// What callers of the platform send as their key. Prefer the environment: other users can
    /// see the arguments of a program
    #[arg(long, env = "FULFILLMENT_SERVER_KEY", hide_env_values = true)]
    key: String,
    /// What callers of the vendor send as their token
    #[arg(long, env = "FULFILLMENT_SERVER_TOKEN", hide_env_values = true)]
    token: String,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let options = Options {
        listen: cli.listen,
        key: cli.key,
        token: cli.token,
    };
    match Server::start(options).await {
        Ok(server) => {
            // The one line on standard output: where the server is, for people and scripts.
            say(&mut std::io::stdout(), &server.url());
            stop_signal().await;
            ExitCode::SUCCESS
        }
        Err(error) => {
            say(
                &mut std::io::stderr(),
                &format!("error: `--listen` cannot be listened on\n  Caused by: {error}"),
            );
            ExitCode::from(1)
        }
    }
}

/// Resolves on the first SIGTERM or Ctrl-C.
async fn stop_signal() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminate) = signal(SignalKind::terminate()) {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
            return;
        }
    }
    drop(tokio::signal::ctrl_c().await);
}

#[expect(clippy::let_underscore_must_use, reason = "nobody is left to tell")]
fn say(to: &mut impl std::io::Write, line: &str) {
    let _ = writeln!(to, "{line}").and_then(|()| to.flush());
}
