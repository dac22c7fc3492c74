//! A PostgreSQL server of a test's own, for what must not happen to the one that tests share:
//! it stops, starts again, and may ask for TLS and a password.

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::support::in_ci;

/// Where Debian keeps the programs of each version.
const DEBIAN: &str = "/usr/lib/postgresql";

/// Certificates and keys of tests; `cert.pem` is for `localhost` and 127.0.0.1.
pub(crate) const CERTIFICATES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/tls");

/// Ports that are tried before the test gives up: between choosing and taking one, another
/// program may take it.
const ATTEMPTS: usize = 10;

pub(crate) struct OwnServer {
    programs: PathBuf,
    folder: TempDir,
    as_postgres: bool,
    options: String,
}

impl OwnServer {
    /// Makes a server that listens on a socket in its folder only, if PostgreSQL is installed.
    pub(crate) fn make() -> Option<Self> {
        let Some(programs) = programs() else {
            assert!(!in_ci(), "CI needs PostgreSQL's programs in {DEBIAN}");
            println!("SKIPPED: install PostgreSQL's server, Debian calls it postgresql");
            return None;
        };
        let id = Command::new("id").arg("-u").output().unwrap();
        // It refuses to work for root; Debian's package brings a user of its own.
        let as_postgres = id.stdout.trim_ascii() == b"0";
        let folder = tempfile::Builder::new().prefix("pg-").tempdir().unwrap();
        let server = Self {
            programs,
            as_postgres,
            options: format!(
                "-p 5432 -c unix_socket_directories={} -c fsync=off -c listen_addresses=",
                folder.path().display()
            ),
            folder,
        };
        server.give_away(server.folder.path());
        let mut make = server.program("initdb");
        make.arg("-D").arg(server.data());
        make.args(["-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8"]);
        run(make.arg("--locale=C.UTF-8")).unwrap();
        Some(server)
    }

    /// Starts it, also after a stop.
    pub(crate) fn start(&self) {
        self.try_start().unwrap();
    }

    fn try_start(&self) -> Result<(), String> {
        run(self.control().arg("-l").arg(self.data().join("log")).args([
            "-w",
            "-o",
            &self.options,
            "start",
        ]))
    }

    /// Starts it so that it takes calls over TCP too, with TLS and the password only, and
    /// returns its port.
    pub(crate) fn start_with_tls(&mut self) -> u16 {
        for name in ["cert.pem", "key.pem"] {
            let file = self.data().join(name);
            std::fs::copy(Path::new(CERTIFICATES).join(name), &file).unwrap();
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
            self.give_away(&file);
        }
        let rules = "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n";
        std::fs::write(self.data().join("pg_hba.conf"), rules).unwrap();
        let socket = self.options.clone();
        for _ in 0..ATTEMPTS {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            let port = free.local_addr().unwrap().port();
            drop(free);
            self.options = format!(
                "{socket}127.0.0.1 -p {port} -c ssl=on -c ssl_cert_file=cert.pem -c ssl_key_file=key.pem"
            );
            if self.try_start().is_ok() {
                return port;
            }
        }
        panic!("no port was free in {ATTEMPTS} attempts");
    }

    /// Stops it as a crash would.
    pub(crate) fn stop(&self) {
        run(self.control().args(["-m", "immediate", "stop"])).unwrap();
    }

    /// Returns the address by its socket.
    pub(crate) fn url(&self, port: u16) -> String {
        let folder = self.folder.path().display().to_string();
        let folder = crate::support::encode(&folder);
        format!("postgres://postgres@localhost:{port}/postgres?host={folder}")
    }

    fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn control(&self) -> Command {
        let mut command = self.program("pg_ctl");
        command.arg("-D").arg(self.data());
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

    fn give_away(&self, path: &Path) {
        if self.as_postgres {
            run(Command::new("chown").arg("postgres").arg(path)).unwrap();
        }
    }
}

impl Drop for OwnServer {
    fn drop(&mut self) {
        // Its data goes with it, so however it ends is good.
        drop(run(self.control().args(["-m", "immediate", "stop"])));
    }
}

/// Runs a command; its output goes to files of its own, since the server inherits it.
fn run(command: &mut Command) -> Result<(), String> {
    let said = tempfile::NamedTempFile::new().unwrap();
    let status = command
        .stdin(std::process::Stdio::null())
        .stdout(said.reopen().unwrap())
        .stderr(said.reopen().unwrap())
        .status()
        .unwrap();
    if status.success() {
        return Ok(());
    }
    let said = std::fs::read_to_string(said.path()).unwrap();
    Err(format!("{command:?} ended with {status}: {said}"))
}

fn programs() -> Option<PathBuf> {
    let mut versions: Vec<PathBuf> = std::fs::read_dir(DEBIAN)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|folder| folder.join("initdb").is_file())
        .collect();
    versions.sort();
    versions.pop()
}
