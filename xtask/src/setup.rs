//! `cargo xtask setup`: installs what the tests need, or tells what is missing.

use anyhow::{Result, bail};

use crate::checks::only_for_dist;
use crate::place::Place;
use crate::say::{result, talk};
use crate::tools::{TOOLS, Tool, install};

/// Installs the tools of the table, or with `only_check` says what is there. What only
/// `dist` needs is left out unless `all` asks for it.
///
/// # Errors
///
/// When a tool is missing at the end.
pub fn setup(place: &Place, only_check: bool, all: bool) -> Result<()> {
    let mut missing = Vec::new();
    let usual = |tool: &&Tool| all || !only_for_dist(tool.name);
    for tool in TOOLS.iter().filter(usual) {
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
