//! The container API as a folder, so that every mode runs where there is no platform.
//!
//! `input.jsonl` or `input.csv` is the input, `new`, `modified`, `unchanged` and `deleted` are
//! those of a delta, `output` and `feedback` are written. An output appears when the run has
//! succeeded, and not before.

mod read;
mod write;

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde_json::{Value, json};

use super::api::{
    Abilities, Classification, ContainerApi, InputType, Items, LogLevel, OutputType, Process, Read,
    ReadOptions, Storage, StoreFile,
};
use super::row::{Rows, SEPARATOR};
use crate::failure::{Failure, FailureKind};

pub use read::RowReader;
pub use write::RowWriter;

/// Rows of one read, where the rows are small.
const LARGEST_BATCH: usize = 8192;

/// How rows are written in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// A JSON object a line.
    #[default]
    Lines,
    /// Comma-separated values below a line with the names of the columns.
    Csv,
}

impl Format {
    /// Tells it by the name of a file.
    #[must_use]
    pub fn of(path: &Path) -> Option<Self> {
        let ending = path.extension()?.to_str()?;
        match ending.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => Some(Self::Lines),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }

    /// Returns the parser of a setting that names it: `jsonl` or `csv`.
    pub fn parser() -> impl TypedValueParser<Value = Self> {
        PossibleValuesParser::new(["jsonl", "csv"]).map(|word| match word.as_str() {
            "csv" => Self::Csv,
            _ => Self::Lines,
        })
    }

    /// Returns the ending of names of files.
    #[must_use]
    pub const fn ending(self) -> &'static str {
        match self {
            Self::Lines => "jsonl",
            Self::Csv => "csv",
        }
    }
}

/// A folder as container API.
pub struct FileContainer {
    folder: PathBuf,
    format: Format,
    separator: String,
    inputs: Mutex<HashMap<InputType, RowReader>>,
    outputs: Mutex<HashMap<OutputType, RowWriter>>,
    stored: Mutex<Vec<String>>,
}

impl FileContainer {
    /// Takes a folder; outputs are written in this format.
    ///
    /// # Errors
    ///
    /// When it is not there.
    pub fn open(folder: &Path, format: Format, separator: Option<&str>) -> Result<Self, Failure> {
        if !folder.is_dir() {
            return Err(Failure::new(
                FailureKind::InvalidParameter,
                "there is no folder to exchange rows with",
            )
            .with("folder", folder.display())
            .hint("make it, put input.jsonl or input.csv into it where the mode has an input, and name it by `--exchange`"));
        }
        Ok(Self {
            folder: folder.to_owned(),
            format,
            separator: separator.unwrap_or(SEPARATOR).to_owned(),
            inputs: Mutex::default(),
            outputs: Mutex::default(),
            stored: Mutex::default(),
        })
    }

    /// Returns the file of an input, if there is one.
    ///
    /// # Errors
    ///
    /// When there are two.
    pub fn input(&self, input: InputType) -> Result<Option<PathBuf>, Failure> {
        input_file(&self.folder, input.as_str())
    }

    fn output(&self, output: OutputType) -> PathBuf {
        self.folder
            .join(format!("{output}.{}", self.format.ending()))
    }

    fn reader(&self, input: InputType, show_hidden: bool) -> Result<Option<RowReader>, Failure> {
        match self.input(input)? {
            Some(file) => Ok(Some(
                RowReader::open(&file, show_hidden)?.separator(&self.separator),
            )),
            None => Ok(None),
        }
    }

    fn read(&self, input: InputType, size: usize, options: ReadOptions) -> Result<Read, Failure> {
        if options.classification.is_some() {
            return Err(Failure::new(
                FailureKind::InvalidParameter,
                "rows in files have no classification",
            )
            .hint("leave `--classification` out together with `--exchange`"));
        }
        let mut inputs = lock(&self.inputs);
        let reader = match inputs.entry(input) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                match self.reader(input, options.show_hidden)? {
                    Some(reader) => place.insert(reader),
                    None => return Ok(Read::NotSupplied),
                }
            }
        };
        let mut rows = Rows::new();
        // Blank rows alone are no end.
        while reader.read(&mut rows, size)? && rows.is_empty() {}
        Ok(if rows.is_empty() {
            Read::Empty
        } else {
            Read::Rows(rows)
        })
    }

    fn keep(&self, output: OutputType) -> Result<(), Failure> {
        let writer = lock(&self.outputs).remove(&output);
        match (writer, output) {
            (Some(writer), _) => writer.keep(),
            (None, OutputType::Output) => RowWriter::create(&self.output(output))?.keep(),
            // What an earlier run said about its rows is not true of this one's.
            (None, OutputType::Feedback) => {
                let file = self.output(output);
                match fs::remove_file(&file) {
                    Err(error) if error.kind() != io::ErrorKind::NotFound => {
                        Err(unreadable(&file, error))
                    }
                    _ => Ok(()),
                }
            }
        }
    }
}

/// Returns the file with the rows of this name in a folder, if there is one.
///
/// # Errors
///
/// When there are two.
pub fn input_file(folder: &Path, name: &str) -> Result<Option<PathBuf>, Failure> {
    let named = |ending: &str| folder.join(format!("{name}.{ending}"));
    let files: Vec<PathBuf> = ["jsonl", "ndjson", "csv"]
        .map(named)
        .into_iter()
        .filter(|file| file.is_file())
        .collect();
    match files.as_slice() {
        [] => Ok(None),
        [file] => Ok(Some(file.clone())),
        [one, other, ..] => Err(Failure::new(
            FailureKind::InvalidParameter,
            format!("there are two files with rows of `{name}`"),
        )
        .with("one", one.display())
        .with("other", other.display())
        .hint("remove one of them")),
    }
}

/// Says that a file cannot be read.
fn unreadable(path: &Path, error: io::Error) -> Failure {
    Failure::new(FailureKind::SourceUnavailable, "a file cannot be read")
        .with("file", path.display())
        .because(error)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What waits for the disk here does so for one batch, and nothing else waits for it: a run has
/// threads for both of its sides.
#[async_trait]
impl ContainerApi for FileContainer {
    async fn ping(&self) -> Result<Abilities, Failure> {
        Ok(Abilities::default())
    }

    async fn next(&self, input: InputType, options: ReadOptions) -> Result<Read, Failure> {
        self.read(input, 1, options)
    }

    async fn next_batch(
        &self,
        input: InputType,
        size: usize,
        options: ReadOptions,
    ) -> Result<Read, Failure> {
        self.read(input, size.clamp(1, LARGEST_BATCH), options)
    }

    fn largest_batch(&self) -> usize {
        LARGEST_BATCH
    }

    fn may_lose_reads(&self) -> bool {
        false
    }

    async fn restart(&self, input: InputType) -> Result<bool, Failure> {
        lock(&self.inputs).remove(&input);
        Ok(self.input(input)?.is_some())
    }

    async fn count(&self, items: Items) -> Result<Option<u64>, Failure> {
        match items {
            Items::Output(output) => {
                let count = lock(&self.outputs).get(&output).map(RowWriter::rows);
                Ok(Some(count.unwrap_or_default()))
            }
            Items::Input(input) => {
                let Some(mut reader) = self.reader(input, true)? else {
                    return Ok(None);
                };
                let (mut rows, mut count) = (Rows::new(), 0_u64);
                loop {
                    rows.clear();
                    let more = reader.read(&mut rows, LARGEST_BATCH)?;
                    count = count.saturating_add(rows.len() as u64);
                    if !more {
                        return Ok(Some(count));
                    }
                }
            }
        }
    }

    fn progress(&self, input: InputType) -> Option<f64> {
        lock(&self.inputs).get(&input).map(RowReader::share)
    }

    async fn append(&self, output: OutputType, rows: &Rows) -> Result<(), Failure> {
        let mut outputs = lock(&self.outputs);
        let writer = match outputs.entry(output) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(RowWriter::create(&self.output(output))?)
            }
        };
        writer.write(rows)
    }

    async fn close(&self, _: OutputType) -> Result<(), Failure> {
        Ok(())
    }

    async fn finish(&self, output: OutputType, keep: bool) -> Result<(), Failure> {
        if keep {
            return self.keep(output);
        }
        drop(lock(&self.outputs).remove(&output));
        Ok(())
    }

    async fn log(
        &self,
        level: LogLevel,
        message: &str,
        context: Option<&Value>,
    ) -> Result<(), Failure> {
        let path = self.folder.join("log.jsonl");
        let line = json!({"level": level.as_str(), "message": message, "context": context});
        let write = || {
            let mut file = fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&path)?;
            file.write_all(format!("{line}\n").as_bytes())
        };
        write().map_err(|error| {
            Failure::new(FailureKind::General, "the log cannot be written")
                .with("file", path.display())
                .because(error)
        })
    }

    async fn processes(&self) -> Result<Vec<Process>, Failure> {
        Ok(Vec::new())
    }

    async fn process(&self, id: &str) -> Result<Option<Process>, Failure> {
        let known = lock(&self.stored).iter().any(|known| known == id);
        Ok(known.then(|| Process {
            id: id.to_owned(),
            status: "done".to_owned(),
            exit_code: Some(0),
            seconds_remaining: None,
        }))
    }

    async fn log_processes(&self) -> Result<(), Failure> {
        Ok(())
    }

    async fn store(&self, storage: Storage, file: &StoreFile) -> Result<String, Failure> {
        let inside = Path::new(&file.remote_file);
        let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
        if file.remote_file.is_empty() || !inside.components().all(plain) {
            return Err(Failure::new(
                FailureKind::PlatformRejected,
                "a file can only be stored below the folder",
            )
            .with("remote_file", &file.remote_file));
        }
        let place = match storage {
            Storage::Internal => "internal",
            Storage::Transport => "transport",
        };
        let target = self.folder.join("storage").join(place).join(inside);
        let copy = || {
            if let Some(folder) = target.parent() {
                fs::create_dir_all(folder)?;
            }
            fs::copy(&file.source_file, &target)
        };
        copy().map_err(|error| {
            Failure::new(FailureKind::PlatformRejected, "a file cannot be stored")
                .with("source_file", &file.source_file)
                .because(error)
        })?;
        let mut stored = lock(&self.stored);
        let id = format!("store-{}", stored.len().saturating_add(1));
        stored.push(id.clone());
        Ok(id)
    }

    async fn classifications(&self, _: Option<&str>) -> Result<Vec<Classification>, Failure> {
        Ok(Vec::new())
    }
}
