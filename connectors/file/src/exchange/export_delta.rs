//! Changes to a directory with a file for each row, or to an address with one below it for each.

use std::io::Write;
use std::path::{Path, PathBuf};

use async_trait::async_trait;
use car_core::exchange::{Change, ExportDelta, Failures, ModeContext, Row, Rows};
use car_core::{Failure, FailureKind};
use clap::{Args, ValueHint};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::Method;
use schemars::JsonSchema;
use tokio::task::JoinSet;

use super::endpoint::{Endpoint, EndpointSettings, Reply};
use super::export::one_target;

/// Characters that stand in names of files as they are: neither the separator of directories nor
/// the dot is one of them.
const IN_NAMES: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_');

/// Longest name of a file.
const LONGEST_NAME: usize = 250;

/// Requests at a time.
const AT_ONCE: usize = 8;

/// Where changes go.
#[derive(Debug, Clone, Args, JsonSchema)]
#[group(skip)]
pub(super) struct Settings {
    /// Column whose value tells rows apart
    #[arg(
        long,
        env = "KEY_COLUMN",
        value_name = "COLUMN",
        help_heading = "Target"
    )]
    key_column: String,

    /// Directory with a file for each row, named after its key: made, written anew, removed
    #[arg(long, env = "TO_DIRECTORY", value_name = "FOLDER", value_hint = ValueHint::DirPath,
          help_heading = "Target")]
    to_directory: Option<PathBuf>,

    #[command(flatten)]
    endpoint: EndpointSettings,
}

/// Sends changes.
pub(super) struct Delta {
    key: String,
    target: Target,
}

enum Target {
    Directory(PathBuf),
    Address(Endpoint),
}

/// Makes the export.
pub(super) fn open(settings: Settings, _: ModeContext) -> Result<Delta, Failure> {
    let target = match (settings.to_directory, Endpoint::open(&settings.endpoint)?) {
        (Some(folder), None) => Target::Directory(folder),
        (None, Some(endpoint)) => Target::Address(endpoint),
        _ => return Err(one_target()),
    };
    Ok(Delta {
        key: settings.key_column,
        target,
    })
}

#[async_trait]
impl ExportDelta for Delta {
    async fn send(
        &mut self,
        change: Change,
        rows: &Rows,
        failures: &mut Failures,
    ) -> Result<(), Failure> {
        let mut keyed = Vec::with_capacity(rows.len());
        for (index, row) in rows.iter().enumerate() {
            let key = row.get(&self.key).map(|value| value.text());
            match key.filter(|key| !key.is_empty()) {
                Some(key) => keyed.push((index, key.into_owned(), row)),
                None => failures.row(index, format!("column `{}` is empty", self.key)),
            }
        }
        match &self.target {
            Target::Directory(folder) => {
                for (index, key, row) in keyed {
                    let name = format!("{}.json", utf8_percent_encode(&key, IN_NAMES));
                    if name.len() > LONGEST_NAME {
                        failures.row(index, "the key is too long for the name of a file");
                        continue;
                    }
                    let path = folder.join(name);
                    apply(&path, change, row).map_err(|error| unwritable(&path, error))?;
                }
                Ok(())
            }
            Target::Address(endpoint) => request(endpoint, change, keyed, failures).await,
        }
    }
}

/// Makes, replaces or removes a file.
fn apply(path: &Path, change: Change, row: Row<'_>) -> std::io::Result<()> {
    match change {
        Change::Unchanged => Ok(()),
        Change::Deleted => match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        },
        Change::New | Change::Modified => {
            let partial = path.with_extension("partial");
            let mut file = std::fs::File::create(&partial)?;
            file.write_all(row.json().as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()?;
            std::fs::rename(&partial, path)
        }
    }
}

fn unwritable(path: &Path, error: std::io::Error) -> Failure {
    Failure::new(FailureKind::General, "a row cannot be written")
        .with("file", path.display())
        .because(error)
        .hint("check that the directory (`--to-directory`) is there, and that the user of this process may write into it")
}

/// Puts rows below the address, or deletes them there, a few at a time.
async fn request(
    endpoint: &Endpoint,
    change: Change,
    keyed: Vec<(usize, String, Row<'_>)>,
    failures: &mut Failures,
) -> Result<(), Failure> {
    let method = match change {
        Change::Unchanged => return Ok(()),
        Change::New | Change::Modified => Method::PUT,
        Change::Deleted => Method::DELETE,
    };
    let mut waiting = keyed.into_iter();
    let mut running = JoinSet::new();
    loop {
        while running.len() < AT_ONCE
            && let Some((index, key, row)) = waiting.next()
        {
            let (endpoint, method) = (endpoint.clone(), method.clone());
            let body = (method == Method::PUT).then(|| row.json().to_owned());
            running.spawn(async move {
                // Both do the same when they are done twice.
                let sent = endpoint.send(method, Some(&key), body, true).await;
                (index, sent)
            });
        }
        let Some(done) = running.join_next().await else {
            return Ok(());
        };
        let (index, sent) = done.map_err(|error| {
            Failure::new(FailureKind::General, "sending a row ended unexpectedly").because(error)
        })?;
        match sent? {
            Reply::Taken(_) => {}
            // What is gone already is gone.
            Reply::Unknown if change == Change::Deleted => {}
            Reply::Unknown => failures.row(index, "there is nothing at the address"),
            Reply::Refused(reason) => failures.row(index, reason),
        }
    }
}
