//! What is remembered of a run: its fingerprint, its scopes and where each one stands.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::connector::{Cursor, ModelState};
use crate::report::{Mode, Outcome};

/// Number of a run, never used twice in one state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct RunId(pub i64);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What has to be the same for a run to be resumed: other code, or other settings, may read
/// other rows, and a cursor of one may mean nothing to the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprint {
    /// Name of the connector.
    pub connector: String,
    /// Version of the connector.
    pub version: String,
    /// Hash of the settings that decide what is read; see [`Fingerprint::hash_settings`].
    pub settings: String,
    /// Version of its schema extension, if it has one.
    pub extension: Option<String>,
}

impl Fingerprint {
    /// Hashes settings, given as names and values in any order; the result is in hexadecimal.
    ///
    /// Leave out secrets, which change without changing what is read, and whatever only says how
    /// fast or how loud a run is.
    pub fn hash_settings<'a>(settings: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
        let mut settings: Vec<_> = settings.into_iter().collect();
        settings.sort_unstable();
        let mut hash = Sha256::new();
        for (name, value) in settings {
            // With lengths, so that no two different lists give the same bytes.
            for text in [name, value] {
                hash.update((text.len() as u64).to_le_bytes());
                hash.update(text.as_bytes());
            }
        }
        hash.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Says why a run with the `stored` fingerprint cannot go on under this one, as a clause.
    #[must_use]
    pub fn difference(&self, stored: &Self) -> Option<String> {
        let changed = |what: &str, old: &str, new: &str| {
            (old != new).then(|| format!("{what} changed from `{old}` to `{new}`"))
        };
        let none = "none";
        changed("the connector", &stored.connector, &self.connector)
            .or_else(|| changed("the connector's version", &stored.version, &self.version))
            .or_else(|| {
                changed(
                    "the version of the schema extension",
                    stored.extension.as_deref().unwrap_or(none),
                    self.extension.as_deref().unwrap_or(none),
                )
            })
            .or_else(|| {
                (stored.settings != self.settings).then(|| "the settings changed".to_owned())
            })
    }
}

/// What a run starts with when there is nothing to resume.
#[derive(Debug, Clone)]
pub struct Start {
    /// Full or incremental. An incremental run is never resumed, and ends an unfinished full
    /// one for good.
    pub mode: Mode,
    /// Now, in milliseconds since 1970.
    pub now: u64,
    /// Name of the report that the rows carry.
    pub report_key: String,
    /// State that the source is in now, if it can tell: the save point once the run is through.
    pub present_state: Option<ModelState>,
    /// Age above which an unfinished run is not resumed: a source forgets its cursors, and what
    /// was read long ago is no longer so.
    pub resume_within: Duration,
    /// The session that is open at the CAR service: a run goes on in its own session only.
    pub session: Option<String>,
    /// Whether to go on with an unfinished run or fail: a run whose scopes were read as far as
    /// they could be is resumed in no other way.
    pub retry: bool,
}

impl Start {
    /// Age above which an unfinished run is not resumed, if nobody says otherwise.
    pub const RESUME_WITHIN: Duration = Duration::from_hours(72);

    /// Starts a run now, in milliseconds since 1970; its report is named after the time.
    #[must_use]
    pub fn new(mode: Mode, now: u64, present_state: Option<ModelState>) -> Self {
        Self {
            mode,
            now,
            report_key: now.to_string(),
            present_state,
            resume_within: Self::RESUME_WITHIN,
            session: None,
            retry: false,
        }
    }
}

/// A run that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// Whether it is new, and if so, why.
    pub begun: Begun,
    /// When it began, in milliseconds since 1970; for a resumed one, when it first began.
    pub started_at: u64,
    /// Name of the report that its rows carry, the same from beginning to end.
    pub report_key: String,
    /// State that the source was in when it began.
    pub present_state: Option<ModelState>,
    /// Scopes that were worked on, in the order of their names.
    pub scopes: Vec<ScopeState>,
    /// Bytes of the edge log that belong to checkpointed pages; 0 when there is none.
    pub edge_log_len: u64,
    /// Where the edges begin in the log that are not settled yet.
    pub edges_from: u64,
    /// The session at the CAR service that its pages were sent in; `None` before it was opened.
    pub session: Option<String>,
    /// What the run noted with its last checkpoint.
    pub progress: Option<String>,
}

impl Run {
    /// Returns whether the run goes on from where an earlier process left it.
    #[must_use]
    pub const fn resumed(&self) -> bool {
        matches!(self.begun, Begun::Resumed { .. })
    }
}

/// How a run came about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// There was nothing to resume.
    New,
    /// An unfinished run goes on.
    Resumed {
        /// How often it was resumed, this time included: a run that is resumed again and again
        /// fails at the same place each time.
        times: u32,
    },
    /// There was an unfinished run, which is given up.
    StartedAnew {
        /// Why, as a clause that follows "because".
        reason: String,
    },
}

/// Where a scope stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScopeState {
    /// Its name.
    pub name: String,
    /// Where its next page begins; `None` at the beginning, and at the end.
    pub cursor: Option<Cursor>,
    /// Pages read and acknowledged.
    pub pages: u64,
    /// Rows in them.
    pub rows: u64,
    /// Whether it was read to its end.
    pub complete: bool,
    /// Whether what is gone from it was retired by an earlier session of the run.
    pub settled: bool,
    /// What failed, outermost first; empty when nothing did since its last page.
    pub error: Vec<String>,
}

impl ScopeState {
    /// Returns where the scope stands.
    #[must_use]
    pub fn position(&self) -> Position {
        match (&self.cursor, self.complete) {
            (_, true) => Position::End,
            (Some(cursor), false) => Position::At(cursor.clone()),
            (None, false) => Position::Start,
        }
    }
}

/// A place in a scope.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Position {
    /// Before its first page.
    Start,
    /// Before the page of this cursor.
    At(Cursor),
    /// Behind its last page.
    End,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start => f.write_str("its start"),
            Self::At(cursor) => write!(f, "`{}`", cursor.0),
            Self::End => f.write_str("its end"),
        }
    }
}

/// Where a page led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum To {
    /// To the next page.
    Next(Cursor),
    /// To the end of the scope.
    End,
}

/// Pages of a scope that are read and acknowledged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// Name of the scope.
    pub scope: String,
    /// Cursor of the first of these pages; `None` for the first page of the scope.
    pub from: Option<Cursor>,
    /// Where the last of these pages led to.
    pub to: To,
    /// How many pages.
    pub pages: u64,
    /// Rows in them.
    pub rows: u64,
}

/// What a checkpoint says.
#[derive(Debug, Clone, Copy)]
pub struct Checkpoint<'a> {
    /// Pages that are read and acknowledged, with their edges in the edge log.
    pub advances: &'a [Advance],
    /// Length of the edge log with the edges of these pages, 0 when there is no edge log.
    pub edge_log_len: u64,
    /// Whatever else the run wants to know when it is resumed; `None` leaves the last one.
    pub progress: Option<&'a str>,
}

/// How a run ended.
#[derive(Debug, Clone)]
pub struct Ending {
    /// Where it ended.
    pub outcome: Outcome,
    /// What failed, outermost first.
    pub error: Vec<String>,
    /// Whether the next run may go on from here. If not, the run is closed, and its edge log
    /// goes.
    pub resumable: bool,
    /// The run report, as JSON, for those who ask later.
    pub report: Option<String>,
    /// The scopes that were settled, when the session is closed though not all scopes were. The
    /// others begin from their start when the run is resumed: the next session has to see them
    /// whole.
    pub settled: Option<BTreeSet<String>>,
}

impl Ending {
    /// The run is through, or cannot go on.
    #[must_use]
    pub const fn closed(outcome: Outcome) -> Self {
        Self {
            outcome,
            error: Vec::new(),
            resumable: false,
            report: None,
            settled: None,
        }
    }

    /// The run stopped, and the next one may go on from its checkpoints.
    #[must_use]
    pub const fn resumable(outcome: Outcome, error: Vec<String>) -> Self {
        Self {
            outcome,
            error,
            resumable: true,
            report: None,
            settled: None,
        }
    }
}

/// A run of the past, or the one that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastRun {
    /// Its number.
    pub id: RunId,
    /// Full or incremental.
    pub mode: Mode,
    /// When it began, in milliseconds since 1970.
    pub started_at: u64,
    /// When it last ended or stopped; `None` for one that works, or was killed.
    pub ended_at: Option<u64>,
    /// Where it last ended; `None` for one that works, or was killed.
    pub outcome: Option<Outcome>,
    /// What failed, outermost first; the reason when it was given up.
    pub error: Vec<String>,
    /// Whether it can be resumed.
    pub open: bool,
    /// How often it was resumed.
    pub resumes: u32,
    /// Its run report as JSON.
    pub report: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint() -> Fingerprint {
        Fingerprint {
            connector: "c".to_owned(),
            version: "1".to_owned(),
            settings: Fingerprint::hash_settings([("a", "1")]),
            extension: None,
        }
    }

    #[test]
    fn settings_hash_alike_in_any_order_and_differ_in_any_value() {
        let hash = |pairs: &[(&str, &str)]| Fingerprint::hash_settings(pairs.iter().copied());
        assert_eq!(
            hash(&[("a", "1"), ("b", "2")]),
            hash(&[("b", "2"), ("a", "1")])
        );
        let others: [&[(&str, &str)]; 6] = [
            &[],
            &[("a", "1")],
            &[("a", "1"), ("b", "3")],
            &[("a", "1b2")],
            &[("a", "1"), ("b", "2"), ("", "")],
            &[("a1", ""), ("b", "2")],
        ];
        let hashes: std::collections::BTreeSet<String> =
            others.iter().map(|pairs| hash(pairs)).collect();
        assert_eq!(hashes.len(), 6);
        assert!(!hashes.contains(&hash(&[("a", "1"), ("b", "2")])));
    }

    #[test]
    fn a_difference_says_what_changed() {
        let stored = fingerprint();
        assert_eq!(fingerprint().difference(&stored), None);
        let extended = Fingerprint {
            extension: Some("2".to_owned()),
            ..fingerprint()
        };
        assert_eq!(
            extended.difference(&stored).as_deref(),
            Some("the version of the schema extension changed from `none` to `2`")
        );
        let set = Fingerprint {
            settings: "0".to_owned(),
            ..fingerprint()
        };
        assert_eq!(
            set.difference(&stored).as_deref(),
            Some("the settings changed")
        );
    }
}
