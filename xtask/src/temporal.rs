//! A Temporal server for tests: made for one run, on loopback, in memory, gone with it.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::place::Place;
use crate::tools::Tool;

/// How long the server may take to start.
const LIMIT: Duration = Duration::from_secs(60);
/// How often it is tried whether it is there.
const LOOK: Duration = Duration::from_millis(50);

/// Has the server end the calls of a worker that ends.
const CANCEL_POLLS: &str = "frontend.enableCancelWorkerPollsOnShutdown=true";

/// A server that ends when this is dropped.
pub(crate) struct Temporal {
    program: PathBuf,
    port: u16,
    child: Child,
    /// Held for its end: has the server's log.
    _folder: TempDir,
}

impl Temporal {
    /// Starts a server, if the program is installed.
    ///
    /// # Errors
    ///
    /// When it is installed and does not start.
    pub(crate) fn start(place: &Place) -> Result<Option<Self>> {
        let Some(program) = Tool::named("temporal").and_then(|tool| tool.program(place)) else {
            return Ok(None);
        };
        let folder = tempfile::Builder::new().prefix("car-temporal-").tempdir()?;
        let log = File::create(folder.path().join("log"))?;
        let port = free_port()?;
        let child = place
            .command(&program)
            .args(arguments([port, free_port()?, free_port()?]))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut server = Self {
            program,
            port,
            child,
            _folder: folder,
        };
        server.wait()?;
        Ok(Some(server))
    }

    /// Waits until the server takes connections.
    fn wait(&mut self) -> Result<()> {
        let since = Instant::now();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        while TcpStream::connect_timeout(&address, LOOK).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the Temporal server ended at its start: {status}");
            }
            if since.elapsed() > LIMIT {
                bail!(
                    "the Temporal server does not start in {} s",
                    LIMIT.as_secs()
                );
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Returns the address, `HOST:PORT`.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }
}

impl Drop for Temporal {
    fn drop(&mut self) {
        // Its data goes with it, so however it ends is good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What makes it a server, with its port and those of its numbers and its HTTP interface.
pub(crate) fn arguments([port, http, metrics]: [u16; 3]) -> Vec<String> {
    let mut all: Vec<String> = [
        "server start-dev --headless --ip 127.0.0.1 --log-level warn",
        // Tests look at lists at once; attributes that are added later take a while.
        "--search-attribute CarConnector=Keyword",
        "--search-attribute CarStatus=Keyword",
        "--search-attribute CarParent=Keyword",
        // Else what a worker that ends has just been given waits until it counts as dead.
        "--dynamic-config-value",
        CANCEL_POLLS,
    ]
    .iter()
    .flat_map(|words| words.split(' '))
    .map(str::to_owned)
    .collect();
    let ports = [
        ("--port", port),
        ("--http-port", http),
        ("--metrics-port", metrics),
    ];
    for (flag, port) in ports {
        all.extend([flag.to_owned(), port.to_string()]);
    }
    all
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?
        .local_addr()?
        .port())
}
