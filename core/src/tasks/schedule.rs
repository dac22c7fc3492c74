//! When a task runs, and what happens when it is scheduled again.
//!
//! Times are milliseconds: since 1970 where they are points, else lengths.

use std::time::Duration;

use croner::Cron;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::error::TaskError;

/// Shortest period.
pub const SHORTEST_PERIOD: Duration = Duration::from_millis(10);
/// Longest time ahead that can be asked for: a hundred years.
const LONGEST: u64 = 100 * 366 * 24 * 3600 * 1000;

/// When a task runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Schedule {
    /// At once.
    #[default]
    Now,
    /// At once, and whoever schedules it waits until it ends. A task that spawns such a child
    /// holds no worker meanwhile; its next step comes when the child has ended.
    NowAndWait,
    /// Once, after so many milliseconds. A restart of the process does not begin the wait anew.
    In(u64),
    /// Once, at a time in milliseconds since 1970. A time that has passed means now.
    At(i64),
    /// Again and again.
    Every(Recurring),
}

impl Schedule {
    /// Runs once, after a time.
    #[must_use]
    pub fn after(wait: Duration) -> Self {
        Self::In(millis(wait).min(LONGEST))
    }

    /// Runs at once and then once in each period.
    ///
    /// # Errors
    ///
    /// When the period is shorter than [`SHORTEST_PERIOD`].
    pub fn every(period: Duration) -> Result<Self, TaskError> {
        Recurring::period(period).map(Self::Every)
    }

    /// Runs when a cron expression says.
    ///
    /// # Errors
    ///
    /// When the expression is not one.
    pub fn cron(expression: &str) -> Result<Self, TaskError> {
        Recurring::cron(expression).map(Self::Every)
    }

    /// Returns the recurrence, if there is one.
    #[must_use]
    pub const fn recurring(&self) -> Option<&Recurring> {
        match self {
            Self::Every(recurring) => Some(recurring),
            Self::Now | Self::NowAndWait | Self::In(_) | Self::At(_) => None,
        }
    }

    /// Returns whether its times belong to the clock on the wall, so that they stay where they
    /// are when that clock jumps.
    pub(crate) const fn is_absolute(&self) -> bool {
        match self {
            Self::At(_) => true,
            Self::Every(recurring) => matches!(recurring.when, When::Cron(_)),
            Self::Now | Self::NowAndWait | Self::In(_) => false,
        }
    }

    /// Returns the first time it is due, and the tick that this is.
    #[must_use]
    pub fn first(&self, now: i64) -> i64 {
        match self {
            Self::Now | Self::NowAndWait => now,
            Self::In(wait) => now.saturating_add(signed(*wait)),
            Self::At(time) => *time,
            Self::Every(recurring) => recurring.first(now),
        }
    }
}

/// When a recurring task runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    /// Once in so many milliseconds, at once the first time.
    Period(u64),
    /// When an expression says: five fields as in cron, six with seconds in front. In UTC.
    Cron(String),
}

/// What a task does again and again. One run at a time, whatever the policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recurring {
    /// When it runs.
    pub when: When,
    /// Most milliseconds by which a run is late, so that not all tasks run at the same moment.
    #[serde(default)]
    pub jitter: u64,
    /// What happens with the runs that were missed while no process was there.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// What happens with the runs that come due while one is at work.
    #[serde(default)]
    pub overlap: Overlap,
}

/// What happens with the runs that were missed while no process was there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// One run stands for all of them.
    #[default]
    Once,
    /// None of them.
    Skip,
    /// Each of them, one after the other.
    All,
}

/// What happens with the runs that come due while one is at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// They are left out; the next one comes at its time.
    #[default]
    Skip,
    /// One run stands for all of them, and comes at once.
    BufferOne,
}

impl Recurring {
    /// Once in a period, with a jitter of a tenth of it, 30 seconds at most.
    ///
    /// # Errors
    ///
    /// When the period is shorter than [`SHORTEST_PERIOD`].
    pub fn period(period: Duration) -> Result<Self, TaskError> {
        if period < SHORTEST_PERIOD {
            return Err(TaskError::Schedule(format!(
                "a period has at least {} ms",
                SHORTEST_PERIOD.as_millis()
            )));
        }
        let period = millis(period).min(LONGEST);
        Ok(Self {
            when: When::Period(period),
            jitter: (period / 10).min(30_000),
            catch_up: CatchUp::default(),
            overlap: Overlap::default(),
        })
    }

    /// When a cron expression says, in UTC.
    ///
    /// # Errors
    ///
    /// When the expression is not one, or never comes true.
    pub fn cron(expression: &str) -> Result<Self, TaskError> {
        let recurring = Self {
            when: When::Cron(expression.trim().to_owned()),
            jitter: 0,
            catch_up: CatchUp::default(),
            overlap: Overlap::default(),
        };
        cron(expression)
            .and_then(|cron| occurrence(&cron, 0, Direction::After))
            .map(|_| recurring)
    }

    /// Sets the jitter.
    #[must_use]
    pub fn jitter(mut self, most: Duration) -> Self {
        self.jitter = millis(most);
        self
    }

    /// Sets what happens with missed runs.
    #[must_use]
    pub fn catch_up(mut self, policy: CatchUp) -> Self {
        self.catch_up = policy;
        self
    }

    /// Sets what happens with runs that come due while one is at work.
    #[must_use]
    pub fn overlap(mut self, policy: Overlap) -> Self {
        self.overlap = policy;
        self
    }

    fn first(&self, now: i64) -> i64 {
        match &self.when {
            When::Period(_) => now,
            When::Cron(_) => self.following(now, now),
        }
    }

    /// Returns the first tick after another one. `now` is for a stored expression that cannot be
    /// read any more: an hour from then.
    fn following(&self, tick: i64, now: i64) -> i64 {
        match &self.when {
            When::Period(period) => tick.saturating_add(signed(*period)),
            When::Cron(expression) => cron(expression)
                .and_then(|cron| occurrence(&cron, tick, Direction::After))
                .unwrap_or_else(|_| now.saturating_add(3_600_000)),
        }
    }

    /// Returns the latest tick up to now, given an earlier one.
    fn latest(&self, tick: i64, now: i64) -> i64 {
        match &self.when {
            When::Period(period) => {
                let period = signed(*period).max(1);
                let passed = now.saturating_sub(tick).max(0) / period;
                tick.saturating_add(passed.saturating_mul(period))
            }
            When::Cron(expression) => cron(expression)
                .and_then(|cron| occurrence(&cron, now, Direction::UpTo))
                .unwrap_or(tick)
                .max(tick),
        }
    }

    /// Returns the tick after a run that has just ended, and when it is due. Ticks up to
    /// `backlog` were missed while no process was there.
    #[must_use]
    pub fn after_run(&self, tick: i64, backlog: i64, now: i64, task: &str) -> (i64, i64) {
        let next = self.following(tick, now);
        if next > now {
            return (next, self.with_jitter(next, task));
        }
        if self.catch_up == CatchUp::All && next <= backlog {
            return (next, now);
        }
        let latest = self.latest(next, now);
        match self.overlap {
            Overlap::BufferOne => (latest, now),
            Overlap::Skip => {
                let next = self.following(latest, now);
                (next, self.with_jitter(next, task))
            }
        }
    }

    /// Returns the tick to go on with after a start, and when it is due, for a tick that was
    /// missed.
    #[must_use]
    pub fn after_absence(&self, tick: i64, now: i64, task: &str) -> (i64, i64) {
        let latest = self.latest(tick, now);
        match self.catch_up {
            CatchUp::All => (tick, now),
            CatchUp::Once => (latest, self.with_jitter(now, task)),
            CatchUp::Skip => {
                let next = self.following(latest, now);
                (next, self.with_jitter(next, task))
            }
        }
    }

    /// Adds to a time what the jitter is for this task then: the same each time it is asked for.
    fn with_jitter(&self, time: i64, task: &str) -> i64 {
        let most = match self.when {
            When::Period(period) => self.jitter.min(period / 2),
            When::Cron(_) => self.jitter,
        };
        let hash = xxh3_64_with_seed(task.as_bytes(), time.unsigned_abs());
        time.saturating_add(signed(
            hash.checked_rem(most.saturating_add(1)).unwrap_or(0),
        ))
    }
}

/// What happens when a task is scheduled that is known already.
///
/// | | waits or runs | has ended |
/// |---|---|---|
/// | `Never` | stays as it is | stays as it is |
/// | `IfNotActive` | goes on, with the new schedule | starts again |
/// | `Always` | runs once more after the present run | starts again |
/// | `StopAndRestart` | is stopped, then starts again | starts again |
///
/// State is kept in all cases, and there are never two runs of a task at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Restart {
    /// Leaves it alone.
    #[default]
    Never,
    /// Starts it if it has ended.
    IfNotActive,
    /// Starts it if it has ended, else has it run once more.
    Always,
    /// Stops it if it is at work, and starts it.
    StopAndRestart,
}

enum Direction {
    After,
    UpTo,
}

fn cron(expression: &str) -> Result<Cron, TaskError> {
    let wrong = |error: &dyn std::fmt::Display| {
        TaskError::Schedule(format!(
            "`{}` is no cron expression: {error}",
            expression.trim()
        ))
    };
    croner::parser::CronParser::builder()
        .seconds(croner::parser::Seconds::Optional)
        .build()
        .parse(expression.trim())
        .map_err(|error| wrong(&error))
}

fn occurrence(cron: &Cron, from: i64, direction: Direction) -> Result<i64, TaskError> {
    let wrong = |error: &dyn std::fmt::Display| {
        TaskError::Schedule(format!("the cron expression never comes true: {error}"))
    };
    let from = Timestamp::from_millisecond(from)
        .map_err(|error| wrong(&error))?
        .to_zoned(TimeZone::UTC);
    let found = match direction {
        Direction::After => cron.find_next_occurrence(&from, false),
        Direction::UpTo => cron.find_previous_occurrence(&from, true),
    };
    found
        .map(|found| found.timestamp().as_millisecond())
        .map_err(|error| wrong(&error))
}

/// Returns a length in milliseconds.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Numbers are signed in the store; ours do not come near the limit.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn each_second() -> Recurring {
        Recurring::period(Duration::from_secs(1))
            .unwrap()
            .jitter(Duration::ZERO)
    }

    #[test]
    fn a_long_run_does_not_pile_up_runs() {
        let skip = each_second();
        assert_eq!(skip.after_run(0, 0, 500, "t"), (1000, 1000));
        assert_eq!(skip.after_run(0, 0, 3500, "t"), (4000, 4000));
        let buffer = each_second().overlap(Overlap::BufferOne);
        assert_eq!(buffer.after_run(0, 0, 3500, "t"), (3000, 3500));
    }

    #[test]
    fn missed_runs_are_made_up_for_as_asked() {
        for (policy, expected) in [
            (CatchUp::Once, (10_000, 10_400)),
            (CatchUp::Skip, (11_000, 11_000)),
            (CatchUp::All, (2000, 10_400)),
        ] {
            let recurring = each_second().catch_up(policy);
            assert_eq!(
                recurring.after_absence(2000, 10_400, "t"),
                expected,
                "{policy:?}"
            );
        }
        let all = each_second().catch_up(CatchUp::All);
        assert_eq!(all.after_run(2000, 10_400, 10_450, "t"), (3000, 10_450));
        assert_eq!(all.after_run(10_000, 10_400, 10_450, "t"), (11_000, 11_000));
    }

    #[test]
    fn jitter_is_bounded_and_repeats() {
        let recurring = each_second().jitter(Duration::from_secs(9));
        let mut seen = std::collections::BTreeSet::new();
        for tick in 0..100 {
            let tick = tick * 1000;
            let (next, due) = recurring.after_run(tick, 0, tick, "t");
            assert!(
                (0..=500).contains(&(due - next)),
                "at most half of the period"
            );
            assert_eq!(recurring.after_run(tick, 0, tick, "t"), (next, due));
            seen.insert(due - next);
        }
        assert!(seen.len() > 20, "it spreads: {seen:?}");
    }

    #[test]
    fn cron_expressions_are_read_in_utc() {
        // 2026-01-01 was a Thursday.
        let new_year: i64 = 1_767_225_600_000;
        let daily = Recurring::cron("30 2 * * *").unwrap();
        assert_eq!(daily.first(new_year), new_year + 9_000_000);
        let mondays = Recurring::cron("0 0 * * MON").unwrap();
        assert_eq!(mondays.first(new_year), new_year + 4 * 86_400_000);
        assert_eq!(
            daily.latest(new_year, new_year + 2 * 86_400_000),
            new_year + 95_400_000
        );
        for text in [
            "",
            "x",
            "61 * * * *",
            "* * *",
            "0 0 31 2 *",
            "* * * * * * * *",
        ] {
            assert!(Recurring::cron(text).is_err(), "{text}");
        }
    }

    #[test]
    fn periods_have_a_length() {
        assert!(Schedule::every(Duration::ZERO).is_err());
        assert!(Schedule::every(Duration::from_millis(9)).is_err());
        assert!(Schedule::every(Duration::MAX).is_ok());
    }
}
