//! Running other programs: no standard input, always a time limit, errors that name the call.

use std::io::{BufRead, BufReader, PipeReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often a running program is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long a program may take to end after it was asked to, and its output to close after it.
const GRACE: Duration = Duration::from_secs(10);

/// Runs a command whose output goes where ours goes.
///
/// # Errors
///
/// When it cannot be started, ends with another code than 0, or runs longer than `limit`.
pub fn run(command: &mut Command, limit: Duration) -> Result<()> {
    let call = describe(command);
    let mut child = start(command.stdin(Stdio::null()), &call)?;
    check(&call, wait(&mut child, &call, limit)?)
}

/// Runs a command and gives each line of its stdout and stderr, in the order it wrote them.
///
/// # Errors
///
/// As [`run`].
pub fn run_lines(
    command: &mut Command,
    limit: Duration,
    mut on_line: impl FnMut(&str),
) -> Result<()> {
    let call = describe(command);
    let (reader, writer) = std::io::pipe().context("cannot open a pipe")?;
    let second = writer.try_clone().context("cannot open a pipe")?;
    let mut child = start(
        command.stdin(Stdio::null()).stdout(second).stderr(writer),
        &call,
    )?;
    // The command keeps our ends of the pipe open; without them the reader sees the end.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let lines = read_lines(reader);
    let deadline = Instant::now() + limit;
    let mut ended = None;
    let mut closing = deadline;
    while Instant::now() < closing {
        match lines.recv_timeout(LOOK) {
            Ok(line) => on_line(&line),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) if ended.is_none() => {
                ended = child
                    .try_wait()
                    .with_context(|| format!("cannot wait for {call}"))?;
                if ended.is_some() {
                    closing = Instant::now() + GRACE;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
        }
    }
    let status = match ended {
        Some(status) => status,
        None => wait(
            &mut child,
            &call,
            deadline.saturating_duration_since(Instant::now()),
        )?,
    };
    check(&call, status)
}

/// Runs a command and returns its stdout; its stderr becomes part of the error.
///
/// # Errors
///
/// As [`run`], and when stdout is not UTF-8.
pub fn output(command: &mut Command, limit: Duration) -> Result<String> {
    let call = describe(command);
    let mut child = start(
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
        &call,
    )?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let out = thread::spawn(move || read_all(out));
    let err = thread::spawn(move || read_all(err));
    let status = wait(&mut child, &call, limit);
    let (Ok(out), Ok(err)) = (out.join(), err.join()) else {
        bail!("cannot read the output of {call}");
    };
    let status = status?;
    if !status.success() {
        let said = String::from_utf8_lossy(&err);
        return check(&call, status)
            .map(|()| String::new())
            .context(said.trim().to_owned());
    }
    String::from_utf8(out).with_context(|| format!("{call} wrote what is not UTF-8"))
}

/// Finds a program in the folders of `PATH`.
#[must_use]
pub fn find_in_path(program: &str) -> Option<std::path::PathBuf> {
    let folders = crate::place::environment("PATH")?;
    std::env::split_paths(&folders)
        .map(|folder| folder.join(program))
        .find(|candidate| is_program(candidate))
}

/// Whether a path is a file that may be executed.
#[must_use]
pub fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|facts| facts.is_file() && facts.permissions().mode() & 0o111 != 0)
}

/// The command as a person would type it, without its environment.
#[must_use]
pub fn describe(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str());
    let mut call = format!("`{}", name.display());
    for argument in command.get_args() {
        call.push(' ');
        call.push_str(&argument.to_string_lossy());
    }
    call.push('`');
    call
}

fn start(command: &mut Command, call: &str) -> Result<Child> {
    command
        .spawn()
        .with_context(|| format!("cannot start {call}"))
}

fn wait(child: &mut Child, call: &str, limit: Duration) -> Result<ExitStatus> {
    if let Some(status) = wait_until(child, Instant::now() + limit)? {
        return Ok(status);
    }
    // First politely, so that it ends what it started itself.
    let polite = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    if polite.is_ok_and(|status| status.success()) {
        wait_until(child, Instant::now() + GRACE)?;
    }
    child.kill().with_context(|| format!("cannot end {call}"))?;
    child
        .wait()
        .with_context(|| format!("cannot wait for {call}"))?;
    bail!("{call} was ended after its limit of {} s", limit.as_secs());
}

fn wait_until(child: &mut Child, deadline: Instant) -> Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for a program")? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        thread::sleep(LOOK);
    }
}

fn check(call: &str, status: ExitStatus) -> Result<()> {
    if status.success() {
        return Ok(());
    }
    bail!("{call} failed ({status})");
}

fn read_lines(reader: PipeReader) -> Receiver<String> {
    let (send, receive) = channel();
    thread::spawn(move || {
        let mut reader = BufReader::new(reader);
        let mut line = Vec::new();
        while reader
            .read_until(b'\n', &mut line)
            .is_ok_and(|count| count > 0)
        {
            let text = String::from_utf8_lossy(&line);
            if send
                .send(text.trim_end_matches(['\r', '\n']).to_owned())
                .is_err()
            {
                return;
            }
            line.clear();
        }
    });
    receive
}

fn read_all(source: Option<impl std::io::Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut source) = source {
        // What was read before an error is worth showing.
        drop(source.read_to_end(&mut bytes));
    }
    bytes
}
