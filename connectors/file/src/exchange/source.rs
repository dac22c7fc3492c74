//! A directory as data source: the rows of its CSV and JSON Lines files.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use car_core::exchange::{DataSource, Format, ModeContext, Output, RowReader, Rows, Turn};
use car_core::{Failure, FailureKind};
use clap::{Args, ValueHint};
use schemars::JsonSchema;

use crate::error;

/// Rows of one page.
const PAGE: usize = 8192;

/// Which files are read.
#[derive(Debug, Clone, Args, JsonSchema)]
#[group(skip)]
pub(super) struct Settings {
    /// Directory with .csv, .jsonl and .ndjson files, read in the order of their names;
    /// directories in it are read, too
    #[arg(long, env = "CONFIGURATION_PARAMETER_DIRECTORY", value_name = "FOLDER",
          value_hint = ValueHint::DirPath)]
    directory: PathBuf,

    /// Column for the name of the file that a row is from
    #[arg(long, env = "FILE_COLUMN", value_name = "COLUMN")]
    file_column: Option<String>,
}

/// Reads the rows of a directory.
pub(super) struct Source {
    settings: Settings,
    files: Option<VecDeque<PathBuf>>,
    reader: Option<RowReader>,
    page: Rows,
}

/// Makes the source.
pub(super) fn open(settings: Settings, _: ModeContext) -> Result<Source, Failure> {
    Ok(Source {
        settings,
        files: None,
        reader: None,
        page: Rows::new(),
    })
}

#[async_trait]
impl DataSource for Source {
    async fn read(&mut self, output: &mut Output) -> Result<Turn, Failure> {
        let directory = &self.settings.directory;
        let files = match &mut self.files {
            Some(files) => files,
            None => {
                let mut files = Vec::new();
                list(directory, &mut files)
                    .map_err(|error| error::unreadable_directory(directory, error))?;
                files.sort_unstable();
                if files.is_empty() {
                    return Err(Failure::new(
                        FailureKind::SourceUnavailable,
                        "there is no file with rows in the directory",
                    )
                    .with("directory", directory.display())
                    .hint("names of files with rows end in .csv, .jsonl or .ndjson, and do not begin with a dot"));
                }
                self.files.insert(files.into())
            }
        };
        let Some(file) = files.front() else {
            return Ok(Turn::End);
        };
        let reader = match &mut self.reader {
            Some(reader) => reader,
            // Hidden from others are columns with an underscore in front, not from their source.
            None => self.reader.insert(RowReader::open(file, true)?),
        };
        let more = match &self.settings.file_column {
            None => reader.read(&mut output.rows, PAGE)?,
            Some(column) => {
                self.page.clear();
                let more = reader.read(&mut self.page, PAGE)?;
                let name = file.strip_prefix(directory).unwrap_or(file);
                let name = name.to_string_lossy();
                for row in self.page.iter() {
                    output.rows.push_with(row, &[(column, &name)]);
                }
                more
            }
        };
        if !more {
            tracing::info!(
                file = file.display().to_string().as_str(),
                lines = reader.line(),
                blank_rows = reader.blank(),
                "read a file to its end"
            );
            self.reader = None;
            files.pop_front();
        }
        Ok(match files.is_empty() {
            true => Turn::End,
            false => Turn::More,
        })
    }
}

/// Lists the files with rows, links followed.
fn list(directory: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let path = entry.path();
        // A directory behind a link may be one that is being listed.
        if entry.file_type()?.is_dir() {
            list(&path, files)?;
        } else if Format::of(&path).is_some() && path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}
