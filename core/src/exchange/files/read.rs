//! Rows from JSON Lines and CSV files, batch by batch.

use std::fs::File;
use std::io::{BufRead, BufReader, Read as _};
use std::path::{Path, PathBuf};

use csv::ByteRecord;

use super::Format;
use crate::exchange::row::{Named, Rows, SEPARATOR};
use crate::exchange::scan::quote;
use crate::failure::{Failure, FailureKind};

/// Bytes that are read from the disk at a time.
const BUFFER: usize = 256 * 1024;

/// Longest line. One that never ends must not fill the memory.
const LONGEST_LINE: u64 = 64 * 1024 * 1024;

/// Bytes of rows after which a batch ends, however few they are.
const FULL_BATCH: usize = 1024 * 1024;

/// Reads the rows of a file.
pub struct RowReader {
    path: PathBuf,
    kind: Kind,
    separator: String,
    show_hidden: bool,
    /// Lines that were read.
    line: u64,
    /// Bytes that were read, and those that were there when the file was opened.
    position: u64,
    size: u64,
    blank: u64,
}

enum Kind {
    Lines {
        file: BufReader<File>,
        line: Vec<u8>,
    },
    Csv {
        reader: Box<csv::Reader<BufReader<File>>>,
        /// Names in quotes; nothing for columns that are left out.
        names: Vec<Option<String>>,
        record: ByteRecord,
    },
}

impl RowReader {
    /// Opens a file; its name says what it holds. Columns whose names begin with an underscore
    /// are left out unless they are to be shown.
    ///
    /// # Errors
    ///
    /// A file that cannot be opened, and a CSV file whose first line has a name twice.
    pub fn open(path: &Path, show_hidden: bool) -> Result<Self, Failure> {
        let format = Format::of(path).ok_or_else(|| {
            Failure::new(
                FailureKind::InvalidParameter,
                "the file is neither JSON Lines nor CSV",
            )
            .with("file", path.display())
            .hint("names of files with rows end in .jsonl, .ndjson or .csv")
        })?;
        let unreadable = |error: std::io::Error| super::unreadable(path, error);
        let file = File::open(path).map_err(unreadable)?;
        let size = file.metadata().map_err(unreadable)?.len();
        let mut file = BufReader::with_capacity(BUFFER, file);
        // A mark of the byte order says nothing about UTF-8.
        if file
            .fill_buf()
            .map_err(unreadable)?
            .starts_with(b"\xef\xbb\xbf")
        {
            file.consume(3);
        }
        let mut reader = Self {
            path: path.to_owned(),
            kind: Kind::Lines {
                file,
                line: Vec::new(),
            },
            separator: SEPARATOR.to_owned(),
            show_hidden,
            line: 0,
            position: 0,
            size,
            blank: 0,
        };
        if format == Format::Csv
            && let Kind::Lines { file, .. } = reader.kind
        {
            let mut csv = csv::ReaderBuilder::new()
                .buffer_capacity(BUFFER)
                .from_reader(file);
            let names = csv
                .headers()
                .map_err(|error| broken(path, 1, error))?
                .clone();
            let mut sorted: Vec<&str> = names.iter().collect();
            sorted.sort_unstable();
            if let Some(twice) = sorted.windows(2).find(|pair| pair.first() == pair.last()) {
                let name = twice.first().copied().unwrap_or_default();
                return Err(broken(path, 1, format!("column `{name}` is there twice")));
            }
            let name = |name: &str| {
                if name.starts_with('_') && !show_hidden {
                    return None;
                }
                let mut quoted = String::new();
                quote(&mut quoted, name);
                Some(quoted)
            };
            reader.kind = Kind::Csv {
                names: names.iter().map(name).collect(),
                reader: Box::new(csv),
                record: ByteRecord::new(),
            };
        }
        Ok(reader)
    }

    /// Sets what joins the names of nested columns.
    #[must_use]
    pub fn separator(mut self, separator: &str) -> Self {
        separator.clone_into(&mut self.separator);
        self
    }

    /// Adds rows to a batch, until `most` were added, the batch is large, or the file ends.
    /// Returns whether there may be more.
    ///
    /// # Errors
    ///
    /// A row that cannot be read, with its line. The batch may hold rows before it.
    pub fn read(&mut self, rows: &mut Rows, most: usize) -> Result<bool, Failure> {
        let full = rows.len().saturating_add(most);
        let enough = rows.bytes().saturating_add(FULL_BATCH);
        while rows.len() < full && rows.bytes() < enough {
            if !self.row(rows)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Reads one row; false at the end. A blank one is read and gives nothing.
    fn row(&mut self, rows: &mut Rows) -> Result<bool, Failure> {
        let before = self.line.saturating_add(1);
        let path = &self.path;
        let kept = match &mut self.kind {
            Kind::Lines { file, line } => {
                line.clear();
                let read = file
                    .by_ref()
                    .take(LONGEST_LINE)
                    .read_until(b'\n', line)
                    .map_err(|error| super::unreadable(path, error))?;
                if read == 0 {
                    return Ok(false);
                }
                self.line = before;
                self.position = self.position.saturating_add(read as u64);
                if read as u64 == LONGEST_LINE && !line.ends_with(b"\n") {
                    return Err(broken(path, before, "the line is longer than 64 MiB"));
                }
                let text = line.trim_ascii();
                if text.is_empty() {
                    false
                } else if self.show_hidden || memchr::memmem::find(text, b"\"_").is_none() {
                    rows.push_json(text, &self.separator)
                        .map_err(|error| broken(path, before, error))?
                } else {
                    let mut whole = Rows::new();
                    whole
                        .push_json(text, &self.separator)
                        .map_err(|error| broken(path, before, error))?;
                    let count = rows.len();
                    let shown = |name: &str| match name.starts_with('_') {
                        true => Named::Gone,
                        false => Named::Same,
                    };
                    for row in whole.iter() {
                        rows.push_changed(row, &shown, &[]);
                    }
                    rows.len() > count
                }
            }
            Kind::Csv {
                reader,
                names,
                record,
            } => {
                let more = reader
                    .read_byte_record(record)
                    .map_err(|error| broken(path, line_of(&error, before), error))?;
                if !more {
                    return Ok(false);
                }
                let place = record.position().map_or(before, csv::Position::line);
                self.line = place;
                self.position = reader.position().byte();
                let mut values = Vec::with_capacity(names.len());
                for (name, value) in names.iter().zip(record.iter()) {
                    if let Some(name) = name {
                        let value = std::str::from_utf8(value)
                            .map_err(|error| broken(path, place, error))?;
                        values.push((name.as_str(), value));
                    }
                }
                rows.push_quoted(values.into_iter())
            }
        };
        if !kept {
            self.blank = self.blank.saturating_add(1);
        }
        Ok(true)
    }

    /// Returns how many rows had nothing in them, and were left out.
    #[must_use]
    pub fn blank(&self) -> u64 {
        self.blank
    }

    /// Returns the line of the row that was read last.
    #[must_use]
    pub fn line(&self) -> u64 {
        self.line
    }

    /// Returns which share of the file was read.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share needs no more precision"
    )]
    pub fn share(&self) -> f64 {
        if self.size == 0 {
            return 1.0;
        }
        (self.position as f64 / self.size as f64).min(1.0)
    }
}

fn line_of(error: &csv::Error, before: u64) -> u64 {
    error.position().map_or(before, csv::Position::line)
}

/// Says that a row cannot be read.
fn broken(
    path: &Path,
    line: u64,
    reason: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> Failure {
    Failure::new(FailureKind::SourceData, "a row cannot be read")
        .with("file", path.display())
        .with("line", line)
        .because(reason)
        .hint("mend or remove the line: rows are one JSON object a line in .jsonl files, and have as many columns as the first line in .csv files")
}
