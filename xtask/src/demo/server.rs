//! A server of the demo: started, listened to until it is ready, ended with the demo.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// How long a server may take to get ready.
const READY: Duration = Duration::from_secs(30);

/// How long after its first line a server goes on telling about itself.
const REST: Duration = Duration::from_millis(300);

/// A server that ends when this is dropped.
pub(super) struct Server {
    child: Child,
    lines: Vec<String>,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Server {
    /// Starts a server and reads what it prints on stdout until it is quiet.
    pub(super) fn start(command: &mut Command) -> Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {command:?}"))?;
        let output = child.stdout.take().context("a server without output")?;
        let (send, receive) = channel();
        thread::spawn(move || {
            // Reads to the end, so that the server never waits for us.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                drop(send.send(line));
            }
        });
        let mut server = Self {
            child,
            lines: Vec::new(),
        };
        let mut patience = READY;
        loop {
            match receive.recv_timeout(patience) {
                Ok(line) => server.lines.push(line),
                Err(RecvTimeoutError::Timeout) if !server.lines.is_empty() => return Ok(server),
                Err(RecvTimeoutError::Timeout) => {
                    bail!("{command:?} was not ready within {} s", READY.as_secs())
                }
                Err(RecvTimeoutError::Disconnected) => {
                    bail!("{command:?} ended at once; its reason is above")
                }
            }
            patience = REST;
        }
    }

    /// Returns the first word that begins in this way.
    pub(super) fn word(&self, beginning: &str) -> Result<String> {
        let mut words = self.lines.iter().flat_map(|line| line.split_whitespace());
        let word = words.find(|word| word.starts_with(beginning));
        word.map(str::to_owned)
            .with_context(|| format!("a server did not print `{beginning}…`"))
    }

    /// Returns the word after a label.
    pub(super) fn after(&self, label: &str) -> Result<String> {
        let value = self
            .lines
            .iter()
            .find_map(|line| line.trim().strip_prefix(label));
        value
            .map(|value| value.trim().to_owned())
            .with_context(|| format!("a server did not print `{label}`"))
    }

    /// Waits for the server's end.
    pub(super) fn wait(mut self) -> Result<()> {
        self.child.wait().context("cannot wait for a server")?;
        Ok(())
    }
}
