//! `completions` and `man`: the command line described for shells and for `man`.

use clap_complete::Shell;

use crate::config::Catalog;
use crate::failure::{Failure, FailureKind};

/// Returns the completion script for a shell.
pub(super) fn script(catalog: &Catalog, shell: Shell) -> String {
    let mut command = catalog.command().clone();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// Returns the manual page.
pub(super) fn manual(catalog: &Catalog) -> Result<String, Failure> {
    let mut page = Vec::new();
    clap_mangen::Man::new(catalog.command().clone())
        .render(&mut page)
        .map_err(|error| {
            Failure::new(FailureKind::General, "could not write the manual page").because(error)
        })?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}
