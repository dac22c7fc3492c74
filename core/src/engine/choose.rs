//! Chooses between a full and an incremental import.

use crate::car::DatabaseState;
use crate::report::Mode;

/// What the choice depends on.
#[derive(Debug, Clone)]
pub struct Situation<'a> {
    /// Whether the user asked for a full import.
    pub forced: bool,
    /// Whether the connector can read changes at all.
    pub incremental: bool,
    /// Whether the service's database was there before.
    pub database: DatabaseState,
    /// The state that the graph was last brought to.
    pub save_point: Option<&'a str>,
    /// The state that the source is in now.
    pub present: Option<&'a str>,
}

/// Returns the mode and the reason, as a clause that follows "because".
#[must_use]
pub fn choose(situation: &Situation<'_>) -> (Mode, &'static str) {
    let full = |why| (Mode::Full, why);
    if situation.forced {
        full("it was asked for")
    } else if !situation.incremental {
        full("the connector has no incremental import")
    } else if situation.database == DatabaseState::Created {
        full("the service's database is new")
    } else if situation.save_point.is_none() {
        full("there is no save point")
    } else if situation.present.is_none() {
        full("the source cannot name its present state")
    } else {
        (Mode::Incremental, "there is a save point")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_doubt_means_full() {
        let sure = Situation {
            forced: false,
            incremental: true,
            database: DatabaseState::Ready,
            save_point: Some("1"),
            present: Some("2"),
        };
        assert_eq!(choose(&sure).0, Mode::Incremental);
        let doubts = [
            Situation {
                forced: true,
                ..sure.clone()
            },
            Situation {
                incremental: false,
                ..sure.clone()
            },
            Situation {
                database: DatabaseState::Created,
                ..sure.clone()
            },
            Situation {
                save_point: None,
                ..sure.clone()
            },
            Situation {
                present: None,
                ..sure
            },
        ];
        let mut reasons: Vec<&str> = doubts
            .iter()
            .map(|doubt| {
                let (mode, why) = choose(doubt);
                assert_eq!(mode, Mode::Full, "{doubt:?}");
                why
            })
            .collect();
        reasons.dedup();
        assert_eq!(reasons.len(), 5, "each doubt has its own reason");
    }
}
