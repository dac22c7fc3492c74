//! Processes: starting them, and what they cost.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use axum::Router;
use tokio::net::TcpListener;

/// Ticks of the kernel's accounting in a second; the same on every Linux.
const TICKS: f64 = 100.0;

/// What a process cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cost {
    /// CPU time, user and system.
    pub(crate) cpu: Duration,
    /// Time from start to end.
    pub(crate) wall: Duration,
}

/// Runs a program to its end.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<Cost> {
    let before = children_cpu()?;
    let began = Instant::now();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{command:?}"))?;
    let wall = began.elapsed();
    if !output.status.success() {
        bail!(
            "{command:?} ended with {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(Cost {
        cpu: children_cpu()?.saturating_sub(before),
        wall,
    })
}

/// A server that is ended when this is dropped.
pub(crate) struct Running {
    child: Child,
    pub(crate) line: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which is as good.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Running {
    /// Starts a server and reads the first line that it prints.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{command:?}"))?;
        let mut line = String::new();
        if let Some(output) = child.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        Ok(Self {
            child,
            line: line.trim().to_owned(),
        })
    }

    /// Returns the CPU time that the server took so far.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
        cpu_fields(format!("/proc/{}/stat", self.child.id()), 13)
    }

    /// Returns the memory that the server has now, in bytes.
    pub(crate) fn memory(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.split_whitespace().next());
        let kib: u64 = kib.context("no such format")?.parse()?;
        Ok(kib * 1024)
    }
}

fn children_cpu() -> anyhow::Result<Duration> {
    cpu_fields("/proc/self/stat", 15)
}

/// Adds two neighbouring fields of ticks, counted from 0.
fn cpu_fields(file: impl AsRef<Path>, first: usize) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(file)?;
    // The name of the program, field 1, may hold spaces; it ends with the last parenthesis.
    let (_, rest) = stat.rsplit_once(')').context("no such format")?;
    let ticks: Vec<f64> = rest
        .split_whitespace()
        .skip(first - 2)
        .take(2)
        .map(str::parse)
        .collect::<Result<_, _>>()?;
    Ok(Duration::from_secs_f64(ticks.iter().sum::<f64>() / TICKS))
}

/// Serves on a free port of the loopback interface and prints the port.
pub(crate) fn serve(router: Router) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?.port())?;
        axum::serve(listener, router).await?;
        Ok(())
    })
}
