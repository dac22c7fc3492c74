//! Running a connector's binary as a user would.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use car_core::report::RunReport;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::wait::within_time;
use crate::{Service, TestFolder, within};

/// How long a run may take before the test gives up on it.
const LIMIT: Duration = Duration::from_secs(120);

/// A connector's program with its settings; each run gets a folder of its own to work in.
///
/// The environment of the test is not passed on, nor are the machine's secret files.
#[derive(Debug, Clone)]
pub struct Program {
    binary: PathBuf,
    environment: BTreeMap<String, String>,
    arguments: Vec<String>,
}

impl Program {
    /// Names the binary: `env!("CARGO_BIN_EXE_my-connector")` in the connector's own tests.
    #[must_use]
    pub fn new(binary: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            environment: BTreeMap::new(),
            arguments: Vec::new(),
        }
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl Into<String>) -> Self {
        self.environment.insert(name.to_owned(), value.into());
        self
    }

    /// Takes an environment variable out again.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.environment.remove(name);
        self
    }

    /// Takes all environment variables and arguments out.
    #[must_use]
    pub fn without_settings(mut self) -> Self {
        self.environment.clear();
        self.arguments.clear();
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Imports into a service that takes the testkit's credentials, as this source.
    #[must_use]
    pub fn into_service(self, url: &str, source: &str) -> Self {
        self.for_service(url).env("CONNECTION_NAME", source)
    }

    /// Names a service that takes the testkit's credentials, and no source.
    #[must_use]
    pub fn for_service(self, url: &str) -> Self {
        let credentials = Service::credentials();
        self.env("CAR_SERVICE_URL", url)
            .env("CAR_SERVICE_KEY", credentials.key)
            .env("CAR_SERVICE_PASSWORD", credentials.password)
    }

    /// Runs the program to its end.
    ///
    /// # Panics
    ///
    /// When it does not end within two minutes.
    pub async fn run(&self) -> Ended {
        self.start().ended().await
    }

    /// Starts the program.
    #[must_use]
    pub fn start(&self) -> Running {
        let folder = TestFolder::new();
        for name in ["tmp", "secrets", "work"] {
            std::fs::create_dir(folder.file(name)).unwrap();
        }
        let mut command = self.command(&folder.file("work"));
        for (name, part) in [
            ("TMPDIR", "tmp"),
            ("CAR_SECRETS_DIR", "secrets"),
            ("XDG_STATE_HOME", "state"),
        ] {
            if !self.environment.contains_key(name) {
                command.env(name, folder.file(part));
            }
        }
        let verb = self
            .arguments
            .first()
            .is_some_and(|first| !first.starts_with('-'));
        if !verb
            || self
                .arguments
                .first()
                .is_some_and(|first| first == "import")
        {
            command.arg("--report").arg(folder.file("report.json"));
        }
        let mut child = command.spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let stderr = child.stderr.take().unwrap();
        Running {
            child,
            stdout: drain(stdout),
            stderr: drain(stderr),
            folder,
        }
    }
}

impl Program {
    /// Returns the command that runs it in a folder, with pipes for what it says.
    pub(crate) fn command(&self, folder: &Path) -> Command {
        let mut command = Command::new(&self.binary);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.environment)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

fn drain(mut stream: impl AsyncReadExt + Unpin + Send + 'static) -> JoinHandle<String> {
    tokio::spawn(async move {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        String::from_utf8(bytes).unwrap()
    })
}

/// A signal that asks a program to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// What platforms send.
    Term,
    /// What Ctrl-C sends.
    Interrupt,
}

/// A program that runs. Dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: JoinHandle<String>,
    stderr: JoinHandle<String>,
    folder: TestFolder,
}

impl Running {
    /// Kills the process as a power cut would.
    pub async fn kill(mut self) {
        within("killing the program", self.child.kill())
            .await
            .unwrap();
    }

    /// Sends a signal.
    pub async fn signal(&self, signal: Signal) {
        let Some(id) = self.child.id() else {
            panic!("the program ended before the signal");
        };
        let name = match signal {
            Signal::Term => "TERM",
            Signal::Interrupt => "INT",
        };
        let command = format!("kill -{name} {id}");
        let sent = Command::new("sh").args(["-c", &command]).status();
        assert!(
            within("sending a signal", sent).await.unwrap().success(),
            "{command}"
        );
    }

    /// Waits until the process is gone, and leaves what came of it to [`ended`](Self::ended).
    ///
    /// # Panics
    ///
    /// When it takes more than two minutes.
    pub async fn exited(&mut self) {
        within_time("the program", LIMIT, self.child.wait())
            .await
            .unwrap();
    }

    /// Waits for the end.
    ///
    /// # Panics
    ///
    /// When it takes more than two minutes.
    pub async fn ended(self) -> Ended {
        self.ended_within(LIMIT).await
    }

    /// Waits for the end.
    ///
    /// # Panics
    ///
    /// When it takes longer than `limit`.
    pub async fn ended_within(mut self, limit: Duration) -> Ended {
        let status = within_time("the program", limit, self.child.wait())
            .await
            .unwrap();
        let stdout = within("reading stdout", self.stdout).await.unwrap();
        let stderr = within("reading stderr", self.stderr).await.unwrap();
        let report = std::fs::read(self.folder.file("report.json")).ok();
        let left = std::fs::read_dir(self.folder.file("tmp")).unwrap();
        let left = left.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
        Ended {
            code: status.code(),
            stdout,
            stderr,
            report: report.map(|json| serde_json::from_slice(&json).unwrap()),
            left_in_tmp: left.collect(),
            folder: self.folder,
        }
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Ended {
    /// The exit code; `None` when a signal ended the process.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said.
    pub stderr: String,
    /// The run report, where one was written.
    pub report: Option<RunReport>,
    /// Names of what it left in its folder for temporary files.
    pub left_in_tmp: Vec<String>,
    folder: TestFolder,
}

impl Ended {
    /// Asserts the exit code.
    ///
    /// # Panics
    ///
    /// When it is another one; the message has what the program said.
    #[track_caller]
    #[must_use]
    pub fn with_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stderr:\n{}", self.stderr);
        self
    }

    /// Asserts that the program said something.
    ///
    /// # Panics
    ///
    /// When it did not.
    #[track_caller]
    #[must_use]
    pub fn saying(self, text: &str) -> Self {
        assert!(
            self.stderr.contains(text),
            "`{text}` is not in:\n{}",
            self.stderr
        );
        self
    }

    /// Tells what users see: the exit code and both outputs, without what differs from machine to
    /// machine: the times of log lines, and each text of the list, which its name stands for.
    #[must_use]
    pub fn shown(&self, volatile: &[(&str, &str)]) -> String {
        let code = self.code.map_or("none".to_owned(), |code| code.to_string());
        let mut text = format!(
            "exit code: {code}\n----- stdout -----\n{}----- stderr -----\n{}",
            self.stdout, self.stderr
        );
        for (value, name) in volatile {
            text = text.replace(value, name);
        }
        text.lines().map(without_time).collect()
    }

    /// Returns the run report.
    ///
    /// # Panics
    ///
    /// When there is none.
    #[track_caller]
    #[must_use]
    pub fn report(&self) -> &RunReport {
        match &self.report {
            Some(report) => report,
            None => panic!("no run report; stderr:\n{}", self.stderr),
        }
    }

    /// Returns how often a call to the service was made.
    #[track_caller]
    #[must_use]
    pub fn calls(&self, name: &str) -> u64 {
        self.report().calls.get(name).copied().unwrap_or_default()
    }

    /// Returns the files that the program wrote, the run report among them: names and contents.
    #[must_use]
    pub fn files(&self) -> Vec<(String, String)> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let bytes = std::fs::read(&path).unwrap();
                    let text = String::from_utf8_lossy(&bytes).into_owned();
                    files.push((path.display().to_string(), text));
                }
            }
        }
        files
    }

    /// Reads a file that the program wrote into the folder that it ran in.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<String> {
        std::fs::read_to_string(self.folder.file("work").join(name)).ok()
    }
}

/// Replaces the time at the beginning of a log line.
fn without_time(line: &str) -> String {
    match line.split_once("Z ") {
        Some((time, rest)) if time.len() == 8 && time.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("TIME {rest}\n")
        }
        _ => format!("{line}\n"),
    }
}
