//! The deletion guard: a sweep that would retire too much of a collection is held.
//!
//! A source that hides half of its data behind a changed permission looks like a source that
//! lost half of its data. Nobody can tell the two apart from here, so a person decides.

use std::collections::BTreeMap;

use crate::failure::{Failure, FailureKind};

/// A collection of which fewer rows than this would go is never held.
const FLOOR: u64 = 100;

/// Finds the collections of which a sweep would retire more than the allowed share.
///
/// `reported` counts the rows of this run, `would_retire` those that the sweep would take. Their
/// sum stands for what the collection had before.
#[must_use]
pub fn excessive(
    reported: &BTreeMap<String, u64>,
    would_retire: &BTreeMap<String, u64>,
    allowed_share: f64,
) -> Vec<(String, u64, f64)> {
    let mut excessive = Vec::new();
    for (collection, &going) in would_retire {
        let staying = reported.get(collection).copied().unwrap_or_default();
        #[expect(
            clippy::cast_precision_loss,
            reason = "a share needs no more precision"
        )]
        let share = going as f64 / going.saturating_add(staying).max(1) as f64;
        if going >= FLOOR && share > allowed_share {
            excessive.push((collection.clone(), going, share));
        }
    }
    excessive
}

/// Makes the failure of a run whose source came back empty.
pub(super) fn empty() -> Failure {
    Failure::new(
        FailureKind::Held,
        "the data source came back empty, so everything that it reported before would be retired",
    )
    .hint("if the source really is empty now, run again with `--approve-deletions`")
    .hint(
        "if not, check what the credentials may see: an empty answer is often a missing permission",
    )
}

/// Makes the failure of a held run.
pub(super) fn held(excessive: &[(String, u64, f64)], allowed_share: f64) -> Failure {
    let list: Vec<String> = excessive
        .iter()
        .map(|(collection, going, share)| {
            format!("{going} of `{collection}` ({:.0} %)", share * 100.0)
        })
        .collect();
    Failure::new(
        FailureKind::Held,
        format!(
            "the import would retire an unusual part of the graph: {}",
            list.join(", ")
        ),
    )
    .with("allowed share", allowed_share)
    .hint("if that much really is gone from the source, run again with `--approve-deletions`")
    .hint("if not, check what the credentials may see; `--max-deletions` sets the allowed share")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(pairs: &[(&str, u64)]) -> BTreeMap<String, u64> {
        pairs
            .iter()
            .map(|(name, count)| ((*name).to_owned(), *count))
            .collect()
    }

    #[test]
    fn small_numbers_and_small_shares_pass() {
        let reported = counts(&[("asset", 10), ("user", 1000)]);
        assert!(excessive(&reported, &counts(&[("asset", 99), ("user", 428)]), 0.3).is_empty());
    }

    #[test]
    fn a_large_share_is_held() {
        let reported = counts(&[("asset", 200)]);
        let found = excessive(&reported, &counts(&[("asset", 100), ("gone", 100)]), 0.3);
        let names: Vec<&str> = found.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["asset", "gone"]);
        let failure = held(&found, 0.3);
        assert_eq!(failure.kind(), FailureKind::Held);
        assert!(
            failure.to_string().contains("100 of `asset` (33 %)"),
            "{failure}"
        );
    }
}
