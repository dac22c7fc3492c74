//! What an emulator knows: cursors, what was written, the log, processes.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use car_core::exchange::{
    Classification, InputType, LogLevel, OutputType, Process, RowReader, Rows, input_file,
};
use car_core::{Failure, FailureKind};
use serde_json::Value;
use tempfile::TempDir;

use super::EmulatorOptions;
use super::fault::Faults;

/// Lines of the log that are kept.
const LINES: usize = 10_000;

/// How long a process may run, as it says.
const SECONDS: i64 = 21_600;

/// A line of the log.
#[derive(Debug, Clone, PartialEq)]
pub struct LogEntry {
    /// How serious it is.
    pub level: LogLevel,
    /// What it says.
    pub message: String,
    /// What belongs to it.
    pub context: Option<Value>,
}

/// Everything that requests share.
#[derive(Debug)]
pub(super) struct State {
    pub(super) faults: Faults,
    pub(super) repeatable: bool,
    folder: PathBuf,
    out: PathBuf,
    delta: Option<TempDir>,
    inputs: Mutex<HashMap<InputType, Cursor>>,
    outputs: Mutex<HashMap<OutputType, Written>>,
    logs: Mutex<Vec<LogEntry>>,
    processes: Mutex<Vec<Looked>>,
}

/// Where a reader of an input is.
#[derive(Default)]
pub(super) struct Cursor {
    reader: Option<RowReader>,
    hidden: bool,
    /// Rows that were read from the file and not served yet.
    ahead: Rows,
    ahead_from: usize,
    /// The number and the answer of the last read that may be repeated.
    pub(super) last: Option<(String, Rows)>,
}

impl std::fmt::Debug for Cursor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cursor").finish_non_exhaustive()
    }
}

/// An output.
#[derive(Debug)]
pub(super) struct Written {
    file: File,
    path: PathBuf,
    pub(super) rows: u64,
    pub(super) keys: std::collections::HashSet<String>,
}

/// A process, and how often it was looked at.
#[derive(Debug)]
struct Looked {
    process: Process,
    looks: u32,
}

impl State {
    pub(super) fn open(options: &EmulatorOptions) -> Result<Self, Failure> {
        if !options.folder.is_dir() {
            return Err(Failure::new(
                FailureKind::InvalidParameter,
                "there is no folder with rows",
            )
            .with("folder", options.folder.display())
            .hint("make it, and put input.jsonl or input.csv into it"));
        }
        let out = options
            .out
            .clone()
            .unwrap_or_else(|| options.folder.clone());
        fs::create_dir_all(&out).map_err(|error| unwritable(&out, error))?;
        let mut outputs = HashMap::new();
        for output in OutputType::ALL {
            let path = out.join(format!("{output}.jsonl"));
            let file = File::create(&path).map_err(|error| unwritable(&path, error))?;
            let written = Written {
                file,
                path,
                rows: 0,
                keys: Default::default(),
            };
            outputs.insert(output, written);
        }
        Ok(Self {
            faults: Faults::default(),
            repeatable: options.repeatable,
            folder: options.folder.clone(),
            out,
            delta: super::delta_of(options)?,
            inputs: Mutex::default(),
            outputs: Mutex::new(outputs),
            logs: Mutex::default(),
            processes: Mutex::default(),
        })
    }

    /// Returns the file of an input.
    pub(super) fn file(&self, input: InputType) -> Result<Option<PathBuf>, Failure> {
        if let Some(delta) = &self.delta
            && !matches!(input, InputType::Input | InputType::Full)
        {
            return input_file(delta.path(), input.as_str());
        }
        match input_file(&self.folder, input.as_str())? {
            // The old name of the same thing.
            None if input == InputType::Full => input_file(&self.folder, "input"),
            file => Ok(file),
        }
    }

    pub(super) fn inputs(&self) -> MutexGuard<'_, HashMap<InputType, Cursor>> {
        lock(&self.inputs)
    }

    /// Reads the next rows of an input; none when it was not supplied.
    pub(super) fn read(
        &self,
        cursor: &mut Cursor,
        input: InputType,
        most: usize,
        hidden: bool,
        wants: impl Fn(car_core::exchange::Row<'_>) -> bool,
    ) -> Result<Option<Rows>, Failure> {
        if cursor.reader.is_none() || cursor.hidden != hidden {
            let Some(file) = self.file(input)? else {
                return Ok(None);
            };
            *cursor = Cursor {
                reader: Some(RowReader::open(&file, hidden)?),
                hidden,
                last: cursor.last.take(),
                ..Cursor::default()
            };
        }
        let mut served = Rows::new();
        while served.len() < most {
            match cursor.ahead.get(cursor.ahead_from) {
                Some(row) => {
                    cursor.ahead_from += 1;
                    if wants(row) {
                        served.push_row(row);
                    }
                }
                None => {
                    cursor.ahead.clear();
                    cursor.ahead_from = 0;
                    let Some(reader) = &mut cursor.reader else {
                        break;
                    };
                    let more = reader.read(&mut cursor.ahead, most)?;
                    if !more && cursor.ahead.is_empty() {
                        break;
                    }
                }
            }
        }
        Ok(Some(served))
    }

    pub(super) fn outputs(&self) -> MutexGuard<'_, HashMap<OutputType, Written>> {
        lock(&self.outputs)
    }

    pub(super) fn written(&self, output: OutputType) -> String {
        let path = self
            .outputs()
            .get(&output)
            .map(|written| written.path.clone());
        path.and_then(|path| fs::read_to_string(path).ok())
            .unwrap_or_default()
    }

    pub(super) fn log(&self, entry: LogEntry) {
        let mut logs = lock(&self.logs);
        if logs.len() >= LINES {
            logs.remove(0);
        }
        logs.push(entry);
    }

    pub(super) fn logs(&self) -> Vec<LogEntry> {
        lock(&self.logs).clone()
    }

    /// Returns the classifications in `classifications.jsonl`, if there is one.
    pub(super) fn classifications(&self) -> Vec<Classification> {
        let text = fs::read_to_string(self.folder.join("classifications.jsonl"));
        let lines = text.unwrap_or_default();
        let read = |line: &str| serde_json::from_str(line).ok();
        lines.lines().filter_map(read).collect()
    }

    /// Begins to store a file, and returns the id of the process.
    pub(super) fn store(&self, place: &str, from: &str, to: &str) -> String {
        let name: String = to
            .chars()
            .map(|c| {
                if c.is_alphanumeric() || "._-".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        let folder = self.out.join("storage").join(place);
        let copied = fs::create_dir_all(&folder).and_then(|()| fs::copy(from, folder.join(name)));
        let mut processes = lock(&self.processes);
        let id = format!("00000000-0000-4000-8000-{:012}", processes.len() + 1);
        processes.push(Looked {
            process: Process {
                id: id.clone(),
                status: "running".to_owned(),
                exit_code: Some(i64::from(copied.is_err())),
                seconds_remaining: Some(SECONDS),
            },
            looks: 0,
        });
        id
    }

    /// Looks at a process: it runs at the first look, and is over at the second.
    pub(super) fn process(&self, id: &str) -> Option<Process> {
        let mut processes = lock(&self.processes);
        let looked = processes
            .iter_mut()
            .find(|looked| looked.process.id == id)?;
        looked.looks += 1;
        Some(looked.shown())
    }

    pub(super) fn pending(&self) -> Vec<Process> {
        let processes = lock(&self.processes);
        let shown = processes.iter().map(Looked::shown);
        shown
            .filter(|process| process.status == "running")
            .collect()
    }
}

impl Looked {
    fn shown(&self) -> Process {
        let mut process = self.process.clone();
        if self.looks < 2 {
            process.exit_code = None;
        } else {
            process.status = "done".to_owned();
        }
        process
    }
}

impl Written {
    /// Adds rows; they are there for others to read when this returns.
    pub(super) fn add(&mut self, rows: &Rows) -> Result<(), Failure> {
        self.file
            .write_all(rows.lines().as_bytes())
            .map_err(|error| unwritable(&self.path, error))?;
        self.rows += rows.len() as u64;
        Ok(())
    }
}

fn unwritable(path: &std::path::Path, error: std::io::Error) -> Failure {
    Failure::new(FailureKind::General, "cannot write")
        .with("path", path.display())
        .because(error)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
