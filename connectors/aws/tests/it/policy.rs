//! The policy in the README is what the code calls, and the other way round.

use std::collections::BTreeSet;

use serde_json::Value;

const POLICY: &str = include_str!("../../policy.json");

#[test]
fn the_policy_allows_exactly_the_calls_of_the_code() {
    let policy: Value = serde_json::from_str(POLICY).unwrap();
    let allowed: BTreeSet<&str> = policy["Statement"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|statement| statement["Action"].as_array().unwrap())
        .map(|action| action.as_str().unwrap())
        .collect();
    let called = aws_connector::actions();
    let called: BTreeSet<&str> = called.iter().map(|action| action.name()).collect();
    assert_eq!(allowed, called);
}

#[test]
fn the_readme_shows_the_policy() {
    let readme = include_str!("../../README.md");
    assert!(
        readme.contains(POLICY.trim()),
        "README.md shows another policy than policy.json"
    );
}
