//! What no tracked file may be: too long to read, too large to clone, or about the machine of
//! whoever wrote it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::tracked_files;

/// Files above this are data, and data is made or fetched, not tracked. In bytes.
const LARGEST: u64 = 1024 * 1024;
/// Lines of a source file.
const LONGEST_SOURCE: usize = 500;
/// Lines of a test file.
const LONGEST_TEST: usize = 800;
/// Places outside of the project that mean nothing to its readers. In parts, so that this file
/// does not name them itself.
const OUTSIDE: [&str; 3] = [
    concat!("..", "/shared"),
    concat!("/work", "/"),
    concat!(".lib", "rary"),
];

/// Names the tracked files that break one of the rules.
///
/// # Errors
///
/// When git or a file cannot be read.
pub fn violations(root: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for name in tracked_files(root)? {
        let path = root.join(&name);
        let bytes = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
        found.extend(of_file(&name, &bytes));
    }
    Ok(found)
}

/// What is wrong with one file.
#[must_use]
pub fn of_file(name: &str, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    if bytes.len() as u64 > LARGEST {
        found.push(format!(
            "{name} is {} KiB: above {} KiB",
            bytes.len() / 1024,
            LARGEST / 1024
        ));
    }
    let Ok(text) = std::str::from_utf8(bytes) else {
        return found;
    };

    let longest = if is_test(name) {
        LONGEST_TEST
    } else {
        LONGEST_SOURCE
    };
    let length = text.lines().count();
    if name.ends_with(".rs") && length > longest {
        found.push(format!(
            "{name} has {length} lines: split it by concept, up to {longest}"
        ));
    }
    for (number, line) in (1..).zip(text.lines()) {
        for place in OUTSIDE {
            if line.contains(place) {
                found.push(format!(
                    "{name}:{number} mentions {place}, outside of the project"
                ));
            }
        }
    }
    found
}

fn is_test(name: &str) -> bool {
    name.split('/')
        .any(|part| part == "tests" || part == "tests.rs")
}
