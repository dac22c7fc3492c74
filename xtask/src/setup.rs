//! `cargo xtask setup`: installs what the tests need, or tells what is missing.

use anyhow::{Result, bail};

use crate::place::Place;
use crate::say::{result, talk};
use crate::tools::{TOOLS, install};

/// Installs every tool of the table, or with `only_check` says what is there.
///
/// # Errors
///
/// When a tool is missing at the end.
pub fn setup(place: &Place, only_check: bool) -> Result<()> {
    let mut missing = Vec::new();
    for tool in TOOLS {
        if !only_check {
            talk(format!("setup: {}, for {}", tool.name, tool.purpose));
            if let Err(error) = install(tool, place) {
                talk(format!("  {error:#}"));
            }
        }
        match tool.found(place) {
            Some(location) => result(format!("{:<14} {location}", tool.name)),
            None => {
                result(format!(
                    "{:<14} missing, needed for {}",
                    tool.name, tool.purpose
                ));
                missing.push(tool.name);
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let hint = if only_check {
        "; `cargo xtask setup` installs them"
    } else {
        ""
    };
    bail!("missing: {}{hint}", missing.join(", "));
}
