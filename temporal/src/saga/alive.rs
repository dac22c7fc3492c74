//! Tells whether the process that has a claim is dead, where that can be known for certain: it ran
//! under the same kernel, where numbers of processes mean the same, and for the same user.

use std::path::Path;

use car_core::state::Holder;
use serde::{Deserialize, Serialize};

/// A process that has a claim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct By {
    pub(crate) host: String,
    pub(crate) pid: u32,
    /// What tells it from all others, where the system tells.
    pub(crate) mark: Option<Mark>,
}

/// Tells a process from all others that there are, were and will be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Start of the machine, namespace of numbers, user.
    space: String,
    /// When the process began, in ticks since the machine did.
    start: u64,
}

/// What the system says of a number.
enum Found {
    /// A process that began then.
    Since(u64),
    /// No process, or one that has ended.
    Nobody,
    Unknown,
}

impl By {
    /// Describes this process.
    pub(crate) fn this_process() -> Self {
        let Holder { host, pid } = Holder::this_process();
        let start = match find(pid) {
            Found::Since(start) => Some(start),
            Found::Nobody | Found::Unknown => None,
        };
        let mark = space()
            .zip(start)
            .map(|(space, start)| Mark { space, start });
        Self { host, pid, mark }
    }

    /// Returns whether it is known to be dead, as `observer` sees it.
    pub(crate) fn is_dead(&self, observer: &Self) -> bool {
        let (Some(mark), Some(own)) = (&self.mark, &observer.mark) else {
            return false;
        };
        mark.space == own.space
            && match find(self.pid) {
                Found::Since(start) => start != mark.start,
                Found::Nobody => true,
                Found::Unknown => false,
            }
    }
}

/// Names where the numbers of processes mean the same, to the same user: others may be hidden.
fn space() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let numbers = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!(
        "{} {} {}",
        boot.trim(),
        numbers.display(),
        user(Path::new("/proc/self"))?
    ))
}

#[cfg(unix)]
fn user(own: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(own).ok().map(|own| own.uid())
}

#[cfg(not(unix))]
fn user(_: &Path) -> Option<u32> {
    None
}

fn find(pid: u32) -> Found {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        Ok(text) => read(&text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Found::Nobody,
        Err(_) => Found::Unknown,
    }
}

/// Reads `/proc/PID/stat`: the name, in brackets, may have anything in it.
fn read(text: &str) -> Found {
    let mut fields = match text.rsplit_once(')') {
        Some((_, rest)) => rest.split_whitespace(),
        None => return Found::Unknown,
    };
    match (fields.next(), fields.nth(18).map(str::parse)) {
        // It has ended, and nobody has asked yet how.
        (Some("Z" | "X"), _) => Found::Nobody,
        (Some(_), Some(Ok(start))) => Found::Since(start),
        _ => Found::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_lives_and_one_of_its_number_before_it_does_not() {
        let own = By::this_process();
        let Some(mark) = &own.mark else {
            // No such system.
            return;
        };
        assert!(!own.is_dead(&own));
        let before = By {
            mark: Some(Mark {
                start: mark.start - 1,
                ..mark.clone()
            }),
            ..own.clone()
        };
        assert!(before.is_dead(&own));
        let elsewhere = By {
            mark: Some(Mark {
                space: "elsewhere".to_owned(),
                start: mark.start - 1,
            }),
            ..own.clone()
        };
        assert!(!elsewhere.is_dead(&own));
    }

    #[test]
    fn the_state_and_start_of_a_process_are_found_behind_any_name() {
        let rest = "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20";
        assert!(matches!(
            read(&format!("12 (a) R (b) S {rest}")),
            Found::Since(4711)
        ));
        assert!(matches!(read(&format!("12 (a) Z {rest}")), Found::Nobody));
        assert!(matches!(read("12 (a) S 1"), Found::Unknown));
        assert!(matches!(read(""), Found::Unknown));
    }
}
