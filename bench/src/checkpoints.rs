//! What checkpoints cost: the same import with a state and without, in turns.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;
use car_core::report::RunReport;
use clap::Args;

use crate::measure::{self, Running};
use crate::run;

/// Most that checkpoints may take of the objects per CPU second.
const GOAL: f64 = 0.10;

/// What to measure.
#[derive(Debug, Args)]
pub(crate) struct Plan {
    /// Assets to import each time.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    assets: u64,

    /// Imports of each kind, one after the other in turns.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,

    /// Folder with the programs to measure; this program's own by default.
    #[arg(long)]
    binaries: Option<PathBuf>,
}

/// What imports of one kind took.
#[derive(Debug, Default)]
struct Taken {
    objects: u64,
    cpu: Vec<f64>,
    wall: Vec<f64>,
}

impl Taken {
    /// Returns the objects per CPU second of all imports together.
    fn rate(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "figures of three digits")]
        let objects = self.objects as f64;
        objects / self.cpu.iter().sum::<f64>()
    }

    fn line(&self, name: &str) -> String {
        let mut cpu = self.cpu.clone();
        cpu.sort_by(f64::total_cmp);
        let middle = cpu.get(cpu.len() / 2).copied().unwrap_or_default();
        let (first, last) = (cpu.first(), cpu.last());
        format!(
            "{name}: {:.0} objects per CPU second; CPU seconds {middle:.2} ({:.2} to {:.2}), elapsed {:.1} in all",
            self.rate(),
            first.copied().unwrap_or_default(),
            last.copied().unwrap_or_default(),
            self.wall.iter().sum::<f64>(),
        )
    }
}

/// Measures and prints what came of it.
pub(crate) fn all(plan: &Plan, own: PathBuf) -> anyhow::Result<()> {
    let binaries = plan.binaries.clone().unwrap_or(own);
    let source = Running::start(
        Command::new(std::env::current_exe()?)
            .arg("source")
            .arg(plan.assets.to_string()),
    )?;
    let (mut without, mut with) = (Taken::default(), Taken::default());
    for number in 0..plan.runs {
        // Whatever slows the machine down falls on both, whichever comes first.
        for second in [false, true] {
            let state = second == (number % 2 == 0);
            let taken = if state { &mut with } else { &mut without };
            import(&binaries, &source, state, taken)?;
        }
    }
    let share = 1.0 - with.rate() / without.rate();
    let met = if share < GOAL { "met" } else { "NOT met" };
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}", without.line("--state none"))?;
    writeln!(out, "{}", with.line("--state FILE"))?;
    writeln!(
        out,
        "checkpoints take {:.1} % of the objects per CPU second; the goal, less than {:.0} %, is {met}",
        share * 100.0,
        GOAL * 100.0
    )?;
    Ok(())
}

/// Imports into a service of its own: only one that tells of its sessions gets checkpoints.
fn import(binaries: &Path, source: &Running, state: bool, taken: &mut Taken) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let service = run::service(binaries, folder.path())?;
    let report = folder.path().join("report.json");
    let mut connector = run::reference(binaries, source, run::port(&service)?);
    connector.arg("--report").arg(&report).arg("--state");
    match state {
        true => connector.arg(folder.path().join("state.db")),
        false => connector.arg("none"),
    };
    let cost = measure::run(&mut connector)?;
    let report: RunReport = serde_json::from_slice(&std::fs::read(report)?)?;
    let objects = report.totals().sent;
    ensure!(objects > 0, "nothing was imported");
    let kept = folder.path().join("state.db").exists();
    ensure!(kept == state, "the state is not what was asked for");
    taken.objects += objects;
    taken.cpu.push(cost.cpu.as_secs_f64());
    taken.wall.push(cost.wall.as_secs_f64());
    Ok(())
}
