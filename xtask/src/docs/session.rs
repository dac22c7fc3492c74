//! One shell that runs the blocks of one page, in a folder of its own.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{Block, Mark, blocks, not_printed, stands_in};
use crate::place::environment;

/// How often a running page is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long what a page started may take to end once it is asked to.
const GRACE: Duration = Duration::from_secs(10);
/// Lines of output that a failure shows.
const SHOWN: usize = 40;
/// Begins the line that the shell prints before each block.
const MARKER: &str = "@@@ block at line ";
/// What the shell inherits; settings of whoever runs the tests would change what a page does.
const INHERITED: &[&str] = &[
    "CARGO_HOME",
    "CARGO_TARGET_DIR",
    "HOME",
    "RUSTFLAGS",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
];

/// What every page begins with: failures end it, what runs in the background ends with it,
/// `cargo` works on the workspace, and a server in the background is waited for.
const PRELUDE: &str = r#"
set -euo pipefail
trap 'kill $(jobs -p) 2>/dev/null || true; wait' EXIT
cargo() { (cd "$WORKSPACE" && command cargo "$@"); }
await_port() {
    for _ in $(seq 300); do
        if (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; then return 0; fi
        sleep 0.1
    done
    echo "nothing listens on port $1 after 30 s"; return 1
}
"#;

/// Where the pages find what they talk about.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The folder of the workspace.
    pub workspace: PathBuf,
    /// The folder of the built programs.
    pub programs: PathBuf,
}

/// Runs the commands of a page in `folder`, which is best empty, and compares what they print
/// with the output that the page shows.
///
/// The folder looks like the workspace: its entries are linked, `target/debug` has the built
/// programs, which are on `PATH` too. `/tmp/` is a folder in it, and each port of `127.0.0.1`
/// that the page names is replaced by a free one. Whatever still runs at the end is ended.
///
/// # Errors
///
/// When a block has no mark, ends with another code than 0, takes longer than it may, or when
/// output or a file are not as the page shows them.
pub fn run_page(page: &str, folder: &Path, at: &Programs) -> Result<()> {
    let blocks = match blocks(page) {
        Ok(blocks) => blocks,
        Err(wrong) => bail!("{}", wrong.join("\n")),
    };
    quotes(&blocks, at)?;
    if !blocks
        .iter()
        .any(|block| matches!(block.mark, Mark::Run { .. }))
    {
        return Ok(());
    }
    furnish(folder, at)?;
    let script = localised(&script(&blocks), folder)?;
    let log = folder.join("page.log");
    let mut shell = start(&script, folder, &log, at)?;
    let ended = watch(&mut shell, &blocks, &log);
    end_group(&mut shell)?;
    let printed = fs::read_to_string(&log).context("cannot read what the page printed")?;
    let status = ended.with_context(|| last_lines(&printed))?;
    if !status.success() {
        let line = current_block(&printed).unwrap_or_default();
        bail!(
            "the commands at line {line} failed ({status}):\n{}",
            last_lines(&printed)
        );
    }
    compare(&blocks, &printed)
}

/// Compares what the page shows of files with the files.
fn quotes(blocks: &[Block], at: &Programs) -> Result<()> {
    for block in blocks {
        let Mark::From { file } = &block.mark else {
            continue;
        };
        let text = fs::read_to_string(at.workspace.join(file))
            .with_context(|| format!("line {}: cannot read {file}", block.line))?;
        if !stands_in(&block.text, &text) {
            bail!("line {} shows what is not in {file}", block.line);
        }
    }
    Ok(())
}

/// Makes the folder look like the workspace.
fn furnish(folder: &Path, at: &Programs) -> Result<()> {
    let here = folder.join("target");
    for made in [&here, &folder.join("tmp")] {
        fs::create_dir_all(made).with_context(|| format!("cannot make {}", made.display()))?;
    }
    let mut links = vec![(at.programs.clone(), here.join("debug"))];
    for entry in fs::read_dir(&at.workspace).context("cannot read the workspace's folder")? {
        let entry = entry.context("cannot read the workspace's folder")?;
        if entry.file_name() != "target" && entry.file_name() != "tmp" {
            links.push((entry.path(), folder.join(entry.file_name())));
        }
    }
    for (from, to) in links {
        symlink(&from, &to).with_context(|| format!("cannot link {}", from.display()))?;
    }
    Ok(())
}

/// The blocks as one script.
fn script(blocks: &[Block]) -> String {
    let mut script = PRELUDE.to_owned();
    for block in blocks {
        if matches!(block.mark, Mark::Run { .. }) {
            script.push_str(&format!("printf '\\n{MARKER}{}\\n'\n", block.line));
            script.push_str(&with_waits(&block.text));
        }
    }
    script
}

/// Adds, after each command in the background, a wait for the address it is told to listen on.
fn with_waits(text: &str) -> String {
    let mut script = String::new();
    let mut command = String::new();
    for line in text.lines() {
        script.push_str(line);
        script.push('\n');
        command.push_str(line);
        command.push(' ');
        if line.ends_with('\\') {
            continue;
        }
        let ended = line.trim_end();
        if ended.ends_with('&') && !ended.ends_with("&&") {
            let words = command.split([' ', '=', '\\']).collect::<Vec<_>>();
            let ports = words
                .windows(2)
                .filter(|pair| pair.first() == Some(&"--listen"));
            for port in ports.filter_map(|pair| pair.get(1)?.rsplit_once(':')) {
                script.push_str(&format!("await_port {}\n", port.1));
            }
        }
        command.clear();
    }
    script
}

/// The script with ports and temporary files of its own, so that pages do not meet each other,
/// nor what runs on this machine anyway.
fn localised(script: &str, folder: &Path) -> Result<String> {
    const HOST: &str = "127.0.0.1:";
    let mut ports: Vec<String> = Vec::new();
    for (at, _) in script.match_indices(HOST) {
        let digits = script.get(at + HOST.len()..).unwrap_or_default();
        let port: String = digits.chars().take_while(char::is_ascii_digit).collect();
        if !port.is_empty() && !ports.contains(&port) {
            ports.push(port);
        }
    }
    // The listeners are held until all ports are chosen, so that no two are the same.
    let listeners = ports.iter().map(|_| TcpListener::bind(("127.0.0.1", 0)));
    let listeners = listeners
        .collect::<std::io::Result<Vec<_>>>()
        .context("there is no free port")?;
    // Longest first: 8000 is the beginning of 80001.
    let mut pairs: Vec<_> = ports.into_iter().zip(&listeners).collect();
    pairs.sort_by_key(|(port, _)| std::cmp::Reverse(port.len()));
    let mut script = script.replace("/tmp/", &format!("{}/tmp/", folder.display()));
    for (port, listener) in &pairs {
        let own = listener.local_addr().context("a listener has no address")?;
        script = script.replace(
            &format!("{HOST}{port}"),
            &format!("127.0.0.1;{}", own.port()),
        );
        script = script.replace(
            &format!("await_port {port}\n"),
            &format!("await_port {}\n", own.port()),
        );
    }
    Ok(script.replace("127.0.0.1;", HOST))
}

fn start(script: &str, folder: &Path, log: &Path, at: &Programs) -> Result<Child> {
    let out = File::options().create(true).append(true).open(log);
    let out = out.with_context(|| format!("cannot write {}", log.display()))?;
    let err = out.try_clone().context("cannot write the page's output")?;
    let mut path = at.programs.clone().into_os_string();
    path.push(":");
    path.push(environment("PATH").unwrap_or_default());
    let mut command = Command::new("bash");
    command
        .args(["-c", script])
        .current_dir(folder)
        .env_clear()
        .envs(
            INHERITED
                .iter()
                .filter_map(|name| Some((name, environment(name)?))),
        )
        .env("PATH", path)
        .env("TMPDIR", folder.join("tmp"))
        .env("WORKSPACE", &at.workspace)
        // Programs leave nothing in the home of whoever runs the tests.
        .env("XDG_STATE_HOME", folder.join("tmp"))
        // A group of its own, so that what it leaves behind can be ended with it.
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err);
    command.spawn().context("cannot start `bash`")
}

/// Waits for the end of the shell, or of the time that a block has.
fn watch(shell: &mut Child, blocks: &[Block], log: &Path) -> Result<ExitStatus> {
    let mut current = None;
    let mut began = Instant::now();
    loop {
        if let Some(status) = shell.try_wait().context("cannot wait for `bash`")? {
            return Ok(status);
        }
        let printed = fs::read(log).context("cannot read what the page printed")?;
        let line = current_block(&String::from_utf8_lossy(&printed));
        if line != current {
            (current, began) = (line, Instant::now());
        }
        let limit = blocks.iter().find_map(|block| match block.mark {
            Mark::Run { limit } if current == Some(block.line) => Some(limit),
            _ => None,
        });
        if began.elapsed() > limit.unwrap_or(GRACE) {
            let line = current.unwrap_or_default();
            let seconds = limit.unwrap_or(GRACE).as_secs();
            bail!("the commands at line {line} did not end within {seconds} s");
        }
        thread::sleep(LOOK);
    }
}

/// Ends the shell and everything that it started: first politely, then for certain.
fn end_group(shell: &mut Child) -> Result<()> {
    let group = format!("-{}", shell.id());
    let signal = |name: &str| -> Result<bool> {
        let mut kill = Command::new("kill");
        kill.args([name, "--", &group]);
        let status = kill.stdout(Stdio::null()).stderr(Stdio::null()).status();
        Ok(status.context("cannot run `kill`")?.success())
    };
    let asked = Instant::now();
    if !signal("-TERM")? {
        return Ok(());
    }
    while signal("-0")? {
        if asked.elapsed() > GRACE {
            signal("-KILL")?;
            break;
        }
        shell.try_wait().context("cannot wait for `bash`")?;
        thread::sleep(LOOK);
    }
    shell.wait().map(drop).context("cannot wait for `bash`")
}

/// The line of the block that was begun last.
fn current_block(printed: &str) -> Option<usize> {
    let mut markers = printed.lines().rev();
    markers.find_map(|line| line.strip_prefix(MARKER)?.parse().ok())
}

fn last_lines(printed: &str) -> String {
    let lines: Vec<&str> = printed.lines().collect();
    let from = lines.len().saturating_sub(SHOWN);
    lines.get(from..).unwrap_or_default().join("\n")
}

/// Compares what was printed with what the page shows.
fn compare(blocks: &[Block], printed: &str) -> Result<()> {
    let mut wrong = Vec::new();
    let mut commands = None;
    for block in blocks {
        match block.mark {
            Mark::Run { .. } => commands = Some(block.line),
            Mark::NotRun => commands = None,
            Mark::Output => {
                let output = commands
                    .map(|line| of_block(printed, line))
                    .unwrap_or_default();
                for line in not_printed(&block.text, &output) {
                    wrong.push(format!(
                        "line {} shows `{line}`, which was not printed:\n{output}",
                        block.line
                    ));
                }
            }
            Mark::From { .. } => {}
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{}", wrong.join("\n"))
}

/// What the block at a line printed.
fn of_block(printed: &str, line: usize) -> String {
    let marker = format!("{MARKER}{line}");
    let after = printed.lines().skip_while(|text| *text != marker).skip(1);
    let lines: Vec<&str> = after.take_while(|text| !text.starts_with(MARKER)).collect();
    lines.join("\n")
}
