//! Rows to a file in a directory, or to an address.

use std::path::PathBuf;

use async_trait::async_trait;
use car_core::exchange::{Export, Failures, Format, ModeContext, RowWriter, Rows};
use car_core::{Failure, FailureKind};
use clap::{Args, ValueHint};
use reqwest::Method;
use schemars::JsonSchema;
use serde::Deserialize;

use super::endpoint::{Endpoint, EndpointSettings, Reply};

/// Where rows go.
#[derive(Debug, Clone, Args, JsonSchema)]
#[group(skip)]
pub(super) struct Settings {
    /// Directory that gets a file with all rows, export.jsonl or export.csv
    #[arg(long, env = "TO_DIRECTORY", value_name = "FOLDER", value_hint = ValueHint::DirPath,
          help_heading = "Target")]
    to_directory: Option<PathBuf>,

    /// How the file is written: jsonl or csv
    #[arg(long, env = "TO_FORMAT", value_name = "FORMAT", default_value = "jsonl",
          help_heading = "Target",
          value_parser = Format::parser())]
    #[schemars(with = "String")]
    to_format: Format,

    #[command(flatten)]
    endpoint: EndpointSettings,
}

/// Sends rows.
pub(super) enum Target {
    File {
        path: PathBuf,
        writer: Option<RowWriter>,
    },
    Address(Endpoint),
}

/// Makes the export.
pub(super) fn open(settings: Settings, _: ModeContext) -> Result<Target, Failure> {
    match (settings.to_directory, Endpoint::open(&settings.endpoint)?) {
        (Some(folder), None) => Ok(Target::File {
            path: folder.join(format!("export.{}", settings.to_format.ending())),
            writer: None,
        }),
        (None, Some(endpoint)) => Ok(Target::Address(endpoint)),
        _ => Err(one_target()),
    }
}

/// Says that rows go to one place.
pub(super) fn one_target() -> Failure {
    Failure::new(
        FailureKind::InvalidParameter,
        "rows go to a directory or to an address: one of both",
    )
    .hint("give `--to-directory` (TO_DIRECTORY) or `--to-url` (TO_URL)")
}

/// An answer that tells which rows of a list were not taken.
#[derive(Deserialize)]
struct Partly {
    #[serde(default)]
    errors: Vec<RowError>,
}

#[derive(Deserialize)]
struct RowError {
    index: usize,
    #[serde(default)]
    message: String,
}

#[async_trait]
impl Export for Target {
    async fn send(&mut self, rows: &Rows, failures: &mut Failures) -> Result<(), Failure> {
        match self {
            Self::File { path, writer } => {
                let writer = match writer {
                    Some(writer) => writer,
                    None => writer.insert(RowWriter::create(path)?),
                };
                writer.write(rows)
            }
            Self::Address(endpoint) => post(endpoint, rows, failures).await,
        }
    }

    async fn finish(&mut self, complete: bool) -> Result<(), Failure> {
        match self {
            // Half a file is none: dropping the writer takes it away.
            Self::File { path, writer } if complete => match writer.take() {
                Some(writer) => writer.keep(),
                None => RowWriter::create(path)?.keep(),
            },
            Self::File { .. } | Self::Address(_) => Ok(()),
        }
    }
}

/// Sends rows as a list; halves of a list that is refused, down to the rows that are to blame.
async fn post(endpoint: &Endpoint, rows: &Rows, failures: &mut Failures) -> Result<(), Failure> {
    let mut pieces = Vec::new();
    pieces.push(0..rows.len());
    while let Some(piece) = pieces.pop() {
        let mut body = String::from("[");
        for place in piece.clone() {
            if body.len() > 1 {
                body.push(',');
            }
            body.push_str(rows.get(place).map_or("{}", |row| row.json()));
        }
        body.push(']');
        match endpoint.send(Method::POST, None, Some(body), false).await? {
            Reply::Taken(answer) => {
                let partly: Option<Partly> = serde_json::from_slice(&answer).ok();
                for error in partly.into_iter().flat_map(|partly| partly.errors) {
                    let place = piece.start.saturating_add(error.index);
                    if piece.contains(&place) {
                        failures.row(place, error.message);
                    }
                }
            }
            Reply::Refused(reason) if piece.len() == 1 => failures.row(piece.start, reason),
            Reply::Refused(_) => {
                let middle = piece.start.midpoint(piece.end);
                pieces.push(middle..piece.end);
                pieces.push(piece.start..middle);
            }
            Reply::Unknown => {
                return Err(Failure::new(
                    FailureKind::SourceInvalidParameter,
                    "there is nothing at the address that rows are sent to",
                )
                .hint("check `--to-url` (TO_URL)"));
            }
        }
    }
    Ok(())
}
