//! A PostgreSQL server for tests and measurements: made for one run, on loopback, gone with it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::place::Place;
use crate::process::{find_in_path, output, run};

/// How long the server may take to be made, to start and to stop.
const LIMIT: Duration = Duration::from_secs(2 * 60);

/// Where Debian keeps the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// A server that stops, and whose data goes, when this is dropped.
pub(crate) struct Postgres {
    programs: PathBuf,
    data: PathBuf,
    port: u16,
    as_postgres: bool,
    /// Held for its end.
    _folder: TempDir,
}

impl Postgres {
    /// Starts a server, if PostgreSQL is installed. A durable one has what it answered on disk;
    /// the other is faster.
    ///
    /// # Errors
    ///
    /// When it is installed and does not start.
    pub(crate) fn start(place: &Place, durable: bool) -> Result<Option<Self>> {
        Self::start_with(place, durable, None)
    }

    /// Starts one that also has a socket in a folder, for what is in another network.
    ///
    /// # Errors
    ///
    /// As [`Postgres::start`].
    pub(crate) fn start_with(
        place: &Place,
        durable: bool,
        socket: Option<&Path>,
    ) -> Result<Option<Self>> {
        let Some(programs) = programs() else {
            return Ok(None);
        };
        let folder = tempfile::Builder::new().prefix("car-postgres-").tempdir()?;
        // It refuses to work for root; Debian's package brings a user of its own.
        let as_postgres = output(place.command("id").arg("-u"), LIMIT)?.trim() == "0";
        if as_postgres {
            run(
                place.command("chown").arg("postgres").arg(folder.path()),
                LIMIT,
            )?;
        }
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let data = folder.path().join("data");
        let server = Self {
            programs,
            data,
            port,
            as_postgres,
            _folder: folder,
        };
        let mut make = server.program("initdb");
        make.arg("-D").arg(&server.data);
        make.args(["-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8"]);
        output(make.arg("--locale=C.UTF-8"), LIMIT).context("PostgreSQL cannot make its files")?;
        let mut sockets = server.data.display().to_string();
        if let Some(folder) = socket {
            sockets.push_str(&format!(",{}", folder.display()));
        }
        let fsync = if durable { "on" } else { "off" };
        let options = format!(
            "-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={sockets} -c fsync={fsync} -c max_connections=200"
        );
        let mut start = server.control();
        start
            .arg("-l")
            .arg(server.data.join("log"))
            .args(["-w", "-o", &options, "start"]);
        run(&mut start, LIMIT).context("PostgreSQL does not start")?;
        Ok(Some(server))
    }

    /// Returns the address.
    #[must_use]
    pub(crate) fn url(&self) -> String {
        format!("postgres://postgres@127.0.0.1:{}/postgres", self.port)
    }

    /// Returns the address by the socket, for those who have its folder at `folder`.
    #[must_use]
    pub(crate) fn url_in(&self, folder: &str) -> String {
        let port = self.port;
        format!("postgres://postgres@localhost/postgres?host={folder}&port={port}")
    }

    /// Runs a statement.
    ///
    /// # Errors
    ///
    /// When the server refuses it.
    pub(crate) fn execute(&self, statement: &str) -> Result<()> {
        let mut client = Command::new("psql");
        client.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"]);
        client.args(["--command", statement, &self.url()]);
        output(&mut client, LIMIT).map(drop)
    }

    fn control(&self) -> Command {
        let mut command = self.program("pg_ctl");
        command.arg("-D").arg(&self.data);
        command
    }

    fn program(&self, name: &str) -> Command {
        let program = self.programs.join(name);
        if !self.as_postgres {
            return Command::new(program);
        }
        let mut command = Command::new("runuser");
        command
            .current_dir("/")
            .args(["-u", "postgres", "--"])
            .arg(program);
        command
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Its data goes with it, so however it ends is good.
        drop(output(
            self.control().args(["-m", "immediate", "stop"]),
            LIMIT,
        ));
    }
}

/// Returns the folder with the server's programs, those of the newest version.
fn programs() -> Option<PathBuf> {
    if let Some(program) = find_in_path("initdb") {
        return program.parent().map(Path::to_owned);
    }
    let mut versions: Vec<PathBuf> = fs::read_dir(DEBIAN)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|folder| folder.join("initdb").is_file())
        .collect();
    versions.sort();
    versions.pop()
}
