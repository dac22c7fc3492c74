//! Servers of others, run on this machine in the network of a container.

use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::LIMIT;
use crate::images::Container;
use crate::process::output;

/// How often a server is tried.
const LOOK: Duration = Duration::from_millis(100);

/// A server that ends when this is dropped.
pub(super) struct Beside(Child);

impl Beside {
    /// Starts a program in the network of a container, and waits until it answers at an address.
    pub(super) fn start(
        container: &Container<'_>,
        program: &Path,
        arguments: &[String],
        address: &str,
    ) -> Result<Self> {
        let name = program.display().to_string();
        let mut command = container.beside(&name)?;
        command.args(arguments).stdin(Stdio::null());
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn();
        let mut server = Self(child.with_context(|| format!("cannot start {name}"))?);
        let since = Instant::now();
        loop {
            let mut look = container.beside("curl")?;
            // Any answer will do.
            look.args(["--silent", "--output", "/dev/null", address]);
            if output(&mut look, LIMIT).is_ok() {
                return Ok(server);
            }
            if let Some(status) = server.0.try_wait()? {
                bail!("{name} ended at its start: {status}");
            }
            ensure!(since.elapsed() < LIMIT, "{name} does not start");
            std::thread::sleep(LOOK);
        }
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
