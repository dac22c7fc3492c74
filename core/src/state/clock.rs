//! The time by which leases run out.
//!
//! The clock on the wall jumps: it is set by hand, by the network, or stands wrong after a
//! resume. The time since the machine started does not, and is the same for all processes of
//! one machine, so it decides wherever both sides run under the same kernel.

use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// A point in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since 1970 by the clock on the wall.
    pub unix_ms: u64,
    /// Time since the machine started, where the system tells.
    pub boot: Option<Boot>,
}

/// Time since a machine started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// Name of this start of this machine; times of different starts cannot be compared.
    pub id: Arc<str>,
    /// Milliseconds since then, time asleep included.
    pub uptime_ms: u64,
}

/// Tells the time.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Returns the present time.
    fn now(&self) -> Moment;
}

/// The clocks of this machine.
#[derive(Debug, Clone)]
pub struct SystemClock {
    boot: Option<Arc<str>>,
}

impl SystemClock {
    /// Makes a clock.
    #[must_use]
    pub fn new() -> Self {
        let read = |path: &str| std::fs::read_to_string(path).ok();
        // A time namespace shifts the time since the start, so it is part of the name.
        let namespace = std::fs::read_link("/proc/self/ns/time")
            .map(|name| name.display().to_string())
            .unwrap_or_default();
        let boot = read("/proc/sys/kernel/random/boot_id")
            .map(|id| Arc::from(format!("{} {namespace}", id.trim()).trim_end()));
        Self { boot }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Moment {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let boot = self
            .boot
            .as_ref()
            .zip(uptime_ms())
            .map(|(id, uptime_ms)| Boot {
                id: Arc::clone(id),
                uptime_ms,
            });
        Moment {
            unix_ms: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            boot,
        }
    }
}

/// Reads the time since the start: the first number of `/proc/uptime`, in seconds with two
/// decimals.
fn uptime_ms() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/uptime").ok()?;
    let (seconds, hundredths) = text.split_whitespace().next()?.split_once('.')?;
    let seconds: u64 = seconds.parse().ok()?;
    let hundredths: u64 = hundredths.get(..2)?.parse().ok()?;
    seconds
        .checked_mul(1000)?
        .checked_add(hundredths.checked_mul(10)?)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_time_since_the_start_does_not_go_back() {
        let clock = SystemClock::new();
        let (first, second) = (clock.now().boot.unwrap(), clock.now().boot.unwrap());
        assert_eq!(first.id, second.id);
        assert!(first.uptime_ms > 0 && first.uptime_ms <= second.uptime_ms);
    }
}
