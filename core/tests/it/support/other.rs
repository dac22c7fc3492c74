//! Another process of this test program: it is told what to do on its standard input, says how
//! it goes on its standard output, and can be killed.

use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::soon;

const MARK: &str = "said: ";

/// Another process.
pub(crate) struct Other {
    child: Child,
    /// Closed when this is dropped, and the process ends.
    _stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Other {
    /// Starts an ignored test of this program as a process of its own.
    pub(crate) async fn start(test: &str, task: &str, folder: &Path) -> Self {
        let command = Command::new(std::env::current_exe().unwrap());
        Self::start_by(command, test, task, folder).await
    }

    /// Starts it with files that the system keeps below so many blocks of 512 bytes.
    pub(crate) async fn start_limited(blocks: u32, test: &str, task: &str, folder: &Path) -> Self {
        let mut limited = Command::new("sh");
        let script = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$@\"");
        limited
            .args(["-c", &script, "sh"])
            .arg(std::env::current_exe().unwrap());
        Self::start_by(limited, test, task, folder).await
    }

    async fn start_by(mut command: Command, test: &str, task: &str, folder: &Path) -> Self {
        let mut child = command
            .args([test, "--exact", "--ignored", "--nocapture"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let line = format!("{task} {}\n", folder.display());
        stdin.write_all(line.as_bytes()).await.unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self {
            child,
            _stdin: stdin,
            lines,
        }
    }

    /// Returns what it says next, `None` when it has ended.
    pub(crate) async fn says(&mut self) -> Option<String> {
        soon(async {
            loop {
                let line = self.lines.next_line().await.unwrap()?;
                // The test program's own words may stand before it on the line.
                if let Some((_, said)) = line.split_once(MARK) {
                    return Some(said.to_owned());
                }
            }
        })
        .await
    }

    /// Kills it as `kill -9` does.
    pub(crate) async fn kill(mut self) {
        soon(self.child.kill()).await.unwrap();
    }
}

/// Says something to the process that started this one.
pub(crate) fn say(what: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{MARK}{what}").unwrap();
    out.flush().unwrap();
}
