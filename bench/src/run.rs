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
        Running::start(
            Command::new(plan.binaries.join("car-service"))
                .arg("serve")
                .arg("--data")
                .arg(folder.path().join("service"))
                .args([
                    "--listen",
                    "127.0.0.1:0",
                    "--api-key",
                    "key",
                    "--api-password",
                    "password",
                ]),
        )?
    } else {
        Running::start(Command::new(std::env::current_exe()?).arg("sink"))?
    };
    let port = target
        .line
        .rsplit([':', '/'])
        .find_map(|part| part.parse::<u16>().ok());
    let port = port.with_context(|| format!("no port in `{}`", target.line))?;
    let before = target.cpu()?;
    let report = folder.path().join("report.json");
    let cost = measure::run(&mut connector(plan, source, port, &report, folder.path()))?;
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

fn connector(plan: &Plan, source: &Running, port: u16, report: &Path, folder: &Path) -> Command {
    let mut command = Command::new(plan.binaries.join("reference-connector"));
    command
        .args([
            "import",
            "--full",
            "--source",
            "bench",
            "--log-format",
            "json",
        ])
        .arg("--report")
        .arg(report)
        .arg("--export-data-dir")
        .arg(folder)
        .args(&plan.arguments)
        .env("CAR_STATE", folder.join("state.db"))
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
