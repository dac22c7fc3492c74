//! This workspace keeps its rules. What a failure lists is to be mended, not the rule.

use xtask::place::workspace_root;
use xtask::rules::{Workspace, dependencies, files, layout, links};

/// Fails with one violation on each line.
#[track_caller]
fn assert_kept(violations: &[String]) {
    assert!(violations.is_empty(), "\n  {}\n", violations.join("\n  "));
}

#[test]
fn dependencies_go_in_the_right_direction() {
    let workspace = Workspace::read().unwrap();
    // The rule would also be kept by a workspace that it does not see.
    let names: Vec<_> = workspace
        .members
        .iter()
        .map(|member| member.name.as_str())
        .collect();
    for name in [
        "car-schema",
        "car-core",
        "car-service",
        "car-testkit",
        "reference-connector",
    ] {
        assert!(names.contains(&name), "{name} is not among {names:?}");
    }
    assert_kept(&dependencies::violations(&workspace));
}

#[test]
fn crates_share_their_lints_and_connectors_have_the_same_files() {
    assert_kept(&layout::violations(&Workspace::read().unwrap()).unwrap());
}

#[test]
fn files_are_short_small_and_about_the_project_only() {
    assert_kept(&files::violations(&workspace_root()).unwrap());
}

#[test]
fn links_between_pages_lead_somewhere() {
    assert_kept(&links::violations(&workspace_root()).unwrap());
}
