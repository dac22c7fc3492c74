//! The command line as users meet it: a real process, a CAR service over loopback.

mod import;
mod offline;
mod plan;
mod shown;

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};

/// Longest time that a process of these tests takes; it ends in a fraction of it.
const DEADLINE: Duration = Duration::from_secs(60);

/// A command line of the example connector.
struct Probe {
    command: Command,
}

/// What came of it.
#[derive(Debug)]
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Probe {
    fn new(line: &str) -> Self {
        let tests = std::env::current_exe().unwrap();
        let program: PathBuf = tests.ancestors().nth(2).unwrap().join("examples/probe");
        assert!(
            program.exists(),
            "`{}` is not built; run `cargo build -p car-core --examples`",
            program.display()
        );
        let mut command = Command::new(program);
        command
            .args(line.split_whitespace())
            .env_clear()
            .env("CAR_SECRETS_DIR", "/nonexistent/secrets")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Self { command }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// Adds the settings of a source that needs none.
    fn source(self) -> Self {
        self.env("CONFIGURATION_AUTH_URL", "http://source")
            .env("CONFIGURATION_AUTH_PASSWORD", "hush-source")
            .env("CONNECTION_NAME", "s1")
    }

    /// Adds where the CAR service is.
    fn car(self, address: &str) -> Self {
        self.env("CAR_SERVICE_URL", &format!("{address}/api/car/v2"))
            .env("CAR_SERVICE_KEY", "hush-key")
            .env("CAR_SERVICE_PASSWORD", "hush-car")
    }

    fn start(mut self) -> Child {
        self.command.spawn().unwrap()
    }

    async fn run(self) -> Ended {
        ended(self.start()).await
    }
}

async fn ended(child: Child) -> Ended {
    let output = tokio::time::timeout(DEADLINE, child.wait_with_output())
        .await
        .expect("the process should have ended")
        .unwrap();
    let ended = Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    };
    let both = format!("{}{}", ended.stdout, ended.stderr);
    assert!(!both.contains("hush-"), "a secret was printed:\n{both}");
    ended
}

/// Returns the log lines of a process, each of which must be JSON.
fn lines(stderr: &str) -> Vec<serde_json::Value> {
    let parse = |line: &str| match serde_json::from_str(line) {
        Ok(value) => value,
        Err(error) => panic!("not JSON ({error}): {line}"),
    };
    stderr.lines().map(parse).collect()
}
