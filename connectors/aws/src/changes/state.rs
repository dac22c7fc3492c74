//! The save point: until when the graph is in step, and with what.

use std::time::{SystemTime, UNIX_EPOCH};

use car_core::connector::ModelState;
use xxhash_rust::xxh3::xxh3_64;

use crate::client::Estate;
use crate::scope::Service;

/// Version of the text, and of what is imported: another one asks for a full import.
const VERSION: &str = "1";

/// How far back CloudTrail looks, with a day to spare, in milliseconds.
const LONGEST: i64 = 89 * 24 * 60 * 60 * 1000;

/// How late CloudTrail may tell of an event, in milliseconds.
pub(crate) const LATENESS: i64 = 15 * 60 * 1000;

/// A time, and what was imported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct State {
    /// In milliseconds since 1970.
    pub(crate) at: i64,
    /// Stands for the accounts, regions and services.
    pub(crate) estate: String,
}

impl State {
    /// Returns the present state.
    pub(crate) fn now(estate: &Estate, services: &[Service]) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let at = i64::try_from(now.unwrap_or_default().as_millis()).unwrap_or(i64::MAX);
        let mut text = String::new();
        for account in &estate.accounts {
            text.push_str(&account.number);
            for region in account.sites.iter().flat_map(|sites| sites.keys()) {
                text.push(' ');
                text.push_str(region);
            }
            text.push('\n');
        }
        for service in services {
            text.push_str(service.name());
            text.push(' ');
        }
        Self {
            at,
            estate: format!("{:016x}", xxh3_64(text.as_bytes())),
        }
    }

    /// Writes the state as a save point.
    pub(crate) fn text(&self) -> ModelState {
        ModelState(format!("{VERSION}/{}/{}", self.at, self.estate))
    }

    /// Reads a save point; `None` when it is none of this version.
    pub(crate) fn parse(text: &ModelState) -> Option<Self> {
        let mut words = text.0.split('/');
        let (VERSION, at, estate, None) =
            (words.next()?, words.next()?, words.next()?, words.next())
        else {
            return None;
        };
        Some(Self {
            at: at.parse().ok()?,
            estate: estate.to_owned(),
        })
    }

    /// Says why changes since an earlier state cannot be told, if they cannot.
    pub(crate) fn gap_since(&self, since: &Self) -> Option<&'static str> {
        if since.estate != self.estate {
            Some("other accounts, regions or services are imported than last time")
        } else if since.at > self.at {
            Some("the last import is later than now; the clock was changed")
        } else if self.at.saturating_sub(since.at) > LONGEST {
            Some("the last import is older than CloudTrail looks back")
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(at: i64, estate: &str) -> State {
        State {
            at,
            estate: estate.to_owned(),
        }
    }

    #[test]
    fn a_state_is_read_as_it_is_written() {
        let state = state(1_795_330_187_081, "0123456789abcdef");
        assert_eq!(State::parse(&state.text()), Some(state));
        for wrong in ["", "1795330187081", "2/1/a", "1/x/a", "1/1", "1/1/a/b"] {
            assert_eq!(State::parse(&ModelState(wrong.to_owned())), None, "{wrong}");
        }
    }

    #[test]
    fn a_gap_asks_for_a_full_import() {
        let day = 24 * 60 * 60 * 1000;
        let now = state(100 * day, "a");
        assert_eq!(now.gap_since(&state(99 * day, "a")), None);
        for since in [state(99 * day, "b"), state(101 * day, "a"), state(day, "a")] {
            assert!(now.gap_since(&since).is_some(), "{since:?}");
        }
    }
}
