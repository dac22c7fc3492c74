//! How outcomes and lists are written in the file.

use crate::report::Outcome;

/// The words in the file; they stay when the names in the code change.
const OUTCOMES: [(Outcome, &str); 6] = [
    (Outcome::Failed, "failed"),
    (Outcome::Complete, "complete"),
    (Outcome::Unchanged, "unchanged"),
    (Outcome::Partial, "partial"),
    (Outcome::Held, "held"),
    (Outcome::Interrupted, "interrupted"),
];

pub(super) fn outcome_text(outcome: Outcome) -> &'static str {
    let found = OUTCOMES.iter().find(|(known, _)| *known == outcome);
    found.map_or("failed", |(_, text)| text)
}

pub(super) fn outcome(text: &str) -> Outcome {
    let found = OUTCOMES.iter().find(|(_, known)| *known == text);
    found.map_or(Outcome::Failed, |(outcome, _)| *outcome)
}

/// Writes a list of texts, `None` for an empty one.
pub(super) fn list(texts: &[String]) -> Option<String> {
    if texts.is_empty() {
        return None;
    }
    serde_json::to_string(texts).ok()
}

pub(super) fn unlist(text: Option<String>) -> Vec<String> {
    text.and_then(|text| serde_json::from_str(&text).ok())
        .unwrap_or_default()
}
