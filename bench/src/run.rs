//! The measurements and their table.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::Context;
use car_core::report::RunReport;
use comfy_table::{CellAlignment, Table, presets};

use crate::measure::{self, Running};

/// What to measure.
pub(crate) struct Plan {
    pub(crate) assets: Vec<u64>,
    pub(crate) runs: u32,
    pub(crate) service: bool,
    pub(crate) binaries: PathBuf,
    pub(crate) arguments: Vec<String>,
}

/// One line of the table.
struct Line {
    assets: u64,
    into: &'static str,
    objects: u64,
    cpu: f64,
    wall: f64,
    service_cpu: Option<f64>,
    memory: u64,
}

/// Measures everything and prints the table.
pub(crate) fn all(plan: &Plan) -> anyhow::Result<()> {
    let mut lines = Vec::new();
    for assets in &plan.assets {
        let source = Running::start(
            Command::new(std::env::current_exe()?)
                .arg("source")
                .arg(assets.to_string()),
        )?;
        lines.push(median(plan, *assets, &source, false)?);
        if plan.service {
            lines.push(median(plan, *assets, &source, true)?);
        }
    }
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", table(&lines))?;
    for into in ["sink", "service"] {
        let mut these = lines.iter().filter(|line| line.into == into);
        if let (Some(first), Some(last)) = (these.next(), these.next_back()) {
            let exponent = (last.cpu / first.cpu).ln() / ratio(last.objects, first.objects).ln();
            writeln!(
                out,
                "growth of CPU time into the {into}, from {} to {} objects: exponent {exponent:.2}",
                first.objects, last.objects
            )?;
        }
    }
    Ok(())
}

fn median(plan: &Plan, assets: u64, source: &Running, service: bool) -> anyhow::Result<Line> {
    let mut lines = (0..plan.runs)
        .map(|_| one(plan, assets, source, service))
        .collect::<anyhow::Result<Vec<Line>>>()?;
    lines.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
    let middle = lines.len() / 2;
    Ok(lines.swap_remove(middle))
}

fn one(plan: &Plan, assets: u64, source: &Running, service: bool) -> anyhow::Result<Line> {
    let folder = tempfile::tempdir()?;
    let target = if service {
        self::service(&plan.binaries, folder.path())?
    } else {
        Running::start(Command::new(std::env::current_exe()?).arg("sink"))?
    };
    let port = port(&target)?;
    let before = target.cpu()?;
    let report = folder.path().join("report.json");
    let mut connector = reference(&plan.binaries, source, port);
    connector
        .arg("--report")
        .arg(&report)
        .arg("--export-data-dir")
        .arg(folder.path())
        .args(&plan.arguments)
        .env("CAR_STATE", folder.path().join("state.db"));
    let cost = measure::run(&mut connector)?;
    let report: RunReport = serde_json::from_slice(&std::fs::read(report)?)?;
    Ok(Line {
        assets,
        into: if service { "service" } else { "sink" },
        objects: report.totals().sent,
        cpu: cost.cpu.as_secs_f64(),
        wall: cost.wall.as_secs_f64(),
        service_cpu: service
            .then_some(target.cpu()?.saturating_sub(before))
            .as_ref()
            .map(Duration::as_secs_f64),
        memory: report.peak_memory_bytes.unwrap_or_default(),
    })
}

/// Starts a service on an empty folder.
pub(crate) fn service(binaries: &Path, folder: &Path) -> anyhow::Result<Running> {
    Running::start(
        Command::new(binaries.join("car-service"))
            .arg("serve")
            .arg("--data")
            .arg(folder.join("service"))
            .args(["--listen", "127.0.0.1:0"])
            .args(["--api-key", "key", "--api-password", "password"]),
    )
}

/// Returns the port that a server named in its first line.
pub(crate) fn port(server: &Running) -> anyhow::Result<u16> {
    let mut parts = server.line.rsplit([':', '/']);
    let port = parts.find_map(|part| part.parse().ok());
    port.with_context(|| format!("no port in `{}`", server.line))
}

/// Returns a full import of the connector, from a source to a service at this port.
pub(crate) fn reference(binaries: &Path, source: &Running, port: u16) -> Command {
    let mut command = Command::new(binaries.join("reference-connector"));
    command
        .args(["import", "--full", "--source", "bench"])
        .args(["--log-format", "json"])
        .env(
            "CONFIGURATION_AUTH_URL",
            format!("http://127.0.0.1:{}", source.line),
        )
        .env("CONFIGURATION_AUTH_USERNAME", "user")
        .env("CONFIGURATION_AUTH_PASSWORD", "password")
        .env(
            "CAR_SERVICE_URL",
            format!("http://127.0.0.1:{port}/api/car/v2"),
        )
        .env("CAR_SERVICE_KEY", "key")
        .env("CAR_SERVICE_PASSWORD", "password");
    command
}

fn table(lines: &[Line]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN);
    table.set_header([
        "assets",
        "into",
        "objects",
        "CPU s",
        "objects per CPU s",
        "elapsed s",
        "objects per s",
        "peak MB",
        "service CPU s",
    ]);
    for line in lines {
        table.add_row([
            line.assets.to_string(),
            line.into.to_owned(),
            line.objects.to_string(),
            format!("{:.2}", line.cpu),
            format!("{:.0}", per(line.objects, line.cpu)),
            format!("{:.2}", line.wall),
            format!("{:.0}", per(line.objects, line.wall)),
            format!("{}", line.memory / 1_000_000),
            line.service_cpu
                .map(|cpu| format!("{cpu:.2}"))
                .unwrap_or_default(),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table
}

#[expect(clippy::cast_precision_loss, reason = "figures of three digits")]
fn per(objects: u64, seconds: f64) -> f64 {
    objects as f64 / seconds
}

#[expect(clippy::cast_precision_loss, reason = "figures of three digits")]
fn ratio(a: u64, b: u64) -> f64 {
    a as f64 / b as f64
}
