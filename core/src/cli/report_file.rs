//! `--report FILE`: the run report, whole or not at all, for nobody else to read.

use std::io::Write;
use std::path::Path;

use crate::config::Origin;
use crate::failure::{Failure, FailureKind};
use crate::report::RunReport;
use crate::secret::Redactor;

/// Writes the report, without secrets.
///
/// It is written beside the file and then renamed, so that a reader finds the old one or the
/// new one, and with mode 0600.
pub(super) fn write(file: &Path, report: &RunReport, redactor: &Redactor) -> Result<(), Failure> {
    let failed = |cause: std::io::Error| {
        Failure::new(FailureKind::General, "could not write the run report")
            .with("file", file.display())
            .hint("check --report: its folder must exist and be writable")
            .because(cause)
    };
    let mut value = serde_json::to_value(report).map_err(|error| failed(error.into()))?;
    redactor.redact_json(&mut value);
    let mut text = serde_json::to_vec_pretty(&value).map_err(|error| failed(error.into()))?;
    text.push(b'\n');
    // Created with mode 0600, and removed when the rename does not happen.
    let mut temporary = tempfile::NamedTempFile::new_in(folder_of(file)).map_err(failed)?;
    temporary.write_all(&text).map_err(failed)?;
    temporary.as_file().sync_all().map_err(failed)?;
    temporary
        .persist(file)
        .map_err(|error| failed(error.error))?;
    Ok(())
}

/// Checks before a run that its report can be written, which is too late to learn after hours.
/// `origin` says where the name of the file is from.
pub(super) fn check(file: &Path, origin: &Origin) -> Result<(), Failure> {
    let unwritable = || {
        let message = format!(
            "cannot write the run report to {}: {origin}",
            file.display()
        );
        Failure::new(FailureKind::InvalidParameter, message)
    };
    // A device, say, which the rename would replace.
    if std::fs::metadata(file).is_ok_and(|there| !there.is_file()) {
        return Err(unwritable().hint("name a file, or a place where there is nothing yet"));
    }
    match tempfile::NamedTempFile::new_in(folder_of(file)) {
        Ok(_) => Ok(()),
        Err(error) => Err(unwritable()
            .hint("its folder must exist and be writable")
            .because(error)),
    }
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
