//! A lease, and how long one lasts.

use std::fs::File;
use std::time::Duration;

use super::clock::Moment;

/// Who asks for a lease, for the message to those who come second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// Name of the machine or the container.
    pub host: String,
    /// Number of the process there.
    pub pid: u32,
}

impl Holder {
    /// Describes this process.
    #[must_use]
    pub fn this_process() -> Self {
        let host = ["/proc/sys/kernel/hostname", "/etc/hostname"]
            .iter()
            .find_map(|path| std::fs::read_to_string(path).ok())
            .map(|name| name.trim().to_owned())
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "this machine".to_owned());
        Self {
            host,
            pid: std::process::id(),
        }
    }
}

/// The right to write for a source, until another has it.
///
/// Dropping it without [`release`](super::Leases::release) counts as dying: the next run takes
/// over.
#[derive(Debug)]
pub struct Lease {
    source: String,
    fence: u64,
    ttl: Duration,
    /// Locked as long as the process lives; the kernel unlocks it, however the process ends.
    alive: Option<File>,
}

impl Lease {
    /// How long a lease lasts without being renewed, if nobody says otherwise: longer than a
    /// busy disk or a suspended process keeps a healthy run from renewing.
    pub const TTL: Duration = Duration::from_secs(30);

    /// Makes a lease, for those who implement [`Leases`](super::Leases).
    ///
    /// `alive` is a file whose lock shows others that the holder lives.
    #[must_use]
    pub const fn new(source: String, fence: u64, ttl: Duration, alive: Option<File>) -> Self {
        Self {
            source,
            fence,
            ttl,
            alive,
        }
    }

    /// Returns the source.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns the number of the lease; a later one has a higher number.
    #[must_use]
    pub const fn fence(&self) -> u64 {
        self.fence
    }

    /// Returns how long it lasts without being renewed.
    #[must_use]
    pub const fn ttl(&self) -> Duration {
        self.ttl
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        // Closing is not enough while a process that was just started still has a copy.
        if let Some(file) = &self.alive
            && let Err(error) = file.unlock()
        {
            tracing::debug!(source = self.source, %error, "the lock of a lease stays until the end");
        }
    }
}

/// When a lease ends, by both clocks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expiry {
    pub(crate) unix_ms: i64,
    pub(crate) boot: Option<(String, i64)>,
}

impl Expiry {
    /// A time to live from now.
    pub(crate) fn after(now: &Moment, ttl: Duration) -> Self {
        let ttl = i64::try_from(ttl.as_millis()).unwrap_or(i64::MAX);
        let add = |time: u64| i64::try_from(time).unwrap_or(i64::MAX).saturating_add(ttl);
        Self {
            unix_ms: add(now.unix_ms),
            boot: now
                .boot
                .as_ref()
                .map(|boot| (boot.id.to_string(), add(boot.uptime_ms))),
        }
    }

    /// Returns the milliseconds that are left, negative when it is over.
    pub(crate) fn left(&self, now: &Moment) -> i64 {
        let until = |end: i64, now: u64| end.saturating_sub(i64::try_from(now).unwrap_or(i64::MAX));
        match (&self.boot, &now.boot) {
            (Some((id, end)), Some(boot)) if **id == *boot.id => until(*end, boot.uptime_ms),
            _ => until(self.unix_ms, now.unix_ms),
        }
    }

    /// Returns whether it was set by a process under the same kernel, since its start.
    pub(crate) fn same_boot(&self, now: &Moment) -> bool {
        matches!((&self.boot, &now.boot), (Some((id, _)), Some(boot)) if **id == *boot.id)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::state::Boot;

    fn moment(unix_ms: u64, boot: &str, uptime_ms: u64) -> Moment {
        Moment {
            unix_ms,
            boot: Some(Boot {
                id: Arc::from(boot),
                uptime_ms,
            }),
        }
    }

    #[test]
    fn a_jump_of_the_wall_clock_changes_nothing_on_the_same_machine() {
        let expiry = Expiry::after(&moment(1_000_000, "a", 500), Duration::from_secs(30));
        assert_eq!(expiry.left(&moment(9_000_000, "a", 1_500)), 29_000);
        assert_eq!(expiry.left(&moment(0, "a", 31_500)), -1_000);
    }

    #[test]
    fn machines_compare_wall_clocks() {
        let expiry = Expiry::after(&moment(1_000_000, "a", 500), Duration::from_secs(30));
        assert_eq!(expiry.left(&moment(1_010_000, "b", 500)), 20_000);
        assert!(!expiry.same_boot(&moment(1_010_000, "b", 500)));
        let unknown = Moment {
            unix_ms: 1_031_000,
            boot: None,
        };
        assert_eq!(expiry.left(&unknown), -1_000);
    }
}
