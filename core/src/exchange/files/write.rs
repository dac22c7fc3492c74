//! Rows into JSON Lines and CSV files, which are there whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::Format;
use crate::exchange::row::{Row, Rows};
use crate::exchange::scan::unquoted;
use crate::failure::{Failure, FailureKind};

/// Bytes that are written to the disk at a time.
const BUFFER: usize = 256 * 1024;

/// Writes rows beside the place where they will be; [`keep`](Self::keep) puts them there.
///
/// What was there before stays until then. Dropping the writer throws the rows away.
pub struct RowWriter {
    target: PathBuf,
    partial: PathBuf,
    kind: Kind,
    rows: u64,
}

enum Kind {
    Lines(BufWriter<File>),
    Csv {
        writer: Box<csv::Writer<BufWriter<File>>>,
        /// Names as they stand in rows, in quotes.
        names: Vec<String>,
        /// Columns of the header that is in the file.
        written: usize,
    },
    Done,
}

impl RowWriter {
    /// Begins a file; its name says how the rows are written.
    ///
    /// # Errors
    ///
    /// A folder in which no file can be made.
    pub fn create(target: &Path) -> Result<Self, Failure> {
        let partial = beside(target, "partial");
        let unwritable = |error| unwritable(target, error);
        let file = fresh(&partial).map_err(unwritable)?;
        let file = BufWriter::with_capacity(BUFFER, file);
        let kind = match Format::of(target) {
            Some(Format::Csv) => Kind::Csv {
                writer: Box::new(csv_writer(file)),
                names: Vec::new(),
                written: 0,
            },
            Some(Format::Lines) | None => Kind::Lines(file),
        };
        Ok(Self {
            target: target.to_owned(),
            partial,
            kind,
            rows: 0,
        })
    }

    /// Adds rows.
    ///
    /// # Errors
    ///
    /// A disk that is full or fails.
    pub fn write(&mut self, rows: &Rows) -> Result<(), Failure> {
        let written = match &mut self.kind {
            Kind::Lines(file) => file.write_all(rows.lines().as_bytes()),
            Kind::Csv {
                writer,
                names,
                written,
            } => write_csv(writer, names, written, rows),
            Kind::Done => Ok(()),
        };
        written.map_err(|error| unwritable(&self.target, error))?;
        self.rows = self.rows.saturating_add(rows.len() as u64);
        Ok(())
    }

    /// Returns how many rows were added.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Puts the file in its place, once it is on disk.
    ///
    /// # Errors
    ///
    /// A disk that is full or fails; what was there before is there still.
    pub fn keep(mut self) -> Result<(), Failure> {
        let target = self.target.clone();
        self.place().map_err(|error| unwritable(&target, error))
    }

    fn place(&mut self) -> io::Result<()> {
        let file = match std::mem::replace(&mut self.kind, Kind::Done) {
            Kind::Lines(file) => file.into_inner().map_err(io::IntoInnerError::into_error)?,
            Kind::Csv {
                writer,
                names,
                written,
            } => {
                let file = writer
                    .into_inner()
                    .map_err(|error| io::Error::other(error.to_string()))?;
                let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
                if names.len() > written {
                    widen(&self.target, &self.partial, &names)?
                } else {
                    file
                }
            }
            Kind::Done => return Ok(()),
        };
        file.sync_all()?;
        drop(file);
        fs::rename(&self.partial, &self.target)?;
        // The name is on disk once the folder is.
        if let Some(folder) = self.target.parent()
            && let Ok(folder) = File::open(folder)
        {
            folder.sync_all()?;
        }
        Ok(())
    }
}

impl Drop for RowWriter {
    fn drop(&mut self) {
        // Gone already when it is in its place.
        drop(fs::remove_file(&self.partial));
    }
}

/// Returns a name in the same folder that nobody takes for the file.
fn beside(target: &Path, what: &str) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    target.with_file_name(format!(".{name}.{what}"))
}

/// Makes an empty file; what an earlier run left there goes.
fn fresh(path: &Path) -> io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).open(path)
}

fn csv_writer(file: BufWriter<File>) -> csv::Writer<BufWriter<File>> {
    csv::WriterBuilder::new()
        .flexible(true)
        .has_headers(false)
        .from_writer(file)
}

/// Writes rows below a header with the columns of the first batch. Columns that come later are
/// noted, and their rows longer than others until the file is [widened](widen).
fn write_csv(
    writer: &mut csv::Writer<BufWriter<File>>,
    names: &mut Vec<String>,
    written: &mut usize,
    rows: &Rows,
) -> io::Result<()> {
    if *written == 0 && !rows.is_empty() {
        for row in rows.iter() {
            note(row, names);
        }
        writer.write_record(names.iter().map(|name| unquoted(name).into_owned()))?;
        *written = names.len();
    }
    let mut values = Vec::new();
    for row in rows.iter() {
        values.clear();
        let mut fields = row.fields();
        let mut place = 0_usize;
        while let Some((name, value)) = fields.raw() {
            // Rows of one kind have their columns in one order.
            if names.get(place).is_none_or(|expected| expected != name) {
                place = match names.iter().position(|known| known == name) {
                    Some(place) => place,
                    None => {
                        names.push(name.to_owned());
                        names.len().saturating_sub(1)
                    }
                };
            }
            if values.len() <= place {
                values.resize(place.saturating_add(1), std::borrow::Cow::Borrowed(""));
            }
            if let Some(slot) = values.get_mut(place) {
                *slot = value.text();
            }
            place = place.saturating_add(1);
        }
        if values.len() < *written {
            values.resize(*written, std::borrow::Cow::Borrowed(""));
        }
        writer.write_record(values.iter().map(|value| value.as_bytes()))?;
    }
    Ok(())
}

fn note(row: Row<'_>, names: &mut Vec<String>) {
    let mut fields = row.fields();
    let mut place = 0_usize;
    while let Some((name, _)) = fields.raw() {
        if names.get(place).is_none_or(|expected| expected != name)
            && !names.iter().any(|known| known == name)
        {
            names.push(name.to_owned());
        }
        place = place.saturating_add(1);
    }
}

/// Writes the file again with all columns in its header, and every row as long as that.
fn widen(target: &Path, narrow: &Path, names: &[String]) -> io::Result<File> {
    let wide = beside(target, "wide");
    let outcome = (|| {
        let mut writer = csv_writer(BufWriter::with_capacity(BUFFER, fresh(&wide)?));
        writer.write_record(names.iter().map(|name| unquoted(name).into_owned()))?;
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .from_reader(BufReader::with_capacity(BUFFER, File::open(narrow)?));
        let mut record = csv::ByteRecord::new();
        while reader.read_byte_record(&mut record)? {
            while record.len() < names.len() {
                record.push_field(b"");
            }
            writer.write_byte_record(&record)?;
        }
        let file = writer
            .into_inner()
            .map_err(|error| io::Error::other(error.to_string()))?;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
        fs::rename(&wide, narrow)?;
        Ok(file)
    })();
    if outcome.is_err() {
        drop(fs::remove_file(&wide));
    }
    outcome
}

/// Says that rows cannot be written.
fn unwritable(target: &Path, error: io::Error) -> Failure {
    let failure =
        Failure::new(FailureKind::General, "rows cannot be written").with("file", target.display());
    let failure = match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            failure
                .hint("make room on the disk, and run it again; what was there before is untouched")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            failure.hint("check that the user of this process may write into the folder")
        }
        io::ErrorKind::NotFound => failure.hint("make the folder first"),
        _ => failure,
    };
    failure.because(error)
}
