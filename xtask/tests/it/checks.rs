//! The list of checks: what fails fails the run, what is skipped is a failure in CI only.

use anyhow::{Result, bail};
use xtask::checks::{Choice, Outcome, STEPS, Step, TestCount, test};
use xtask::place::Place;
use xtask::tools::{TOOLS, Tool};

fn place(ci: bool) -> (tempfile::TempDir, Place) {
    let folder = tempfile::tempdir().unwrap();
    let place = Place {
        root: folder.path().into(),
        cache: folder.path().join("cache"),
        ci,
    };
    (folder, place)
}

fn step(name: &'static str, run: fn(&Place) -> Result<Outcome>) -> Step {
    Step {
        name,
        about: "",
        needs: &[],
        wants: &[],
        run,
    }
}

fn mark(place: &Place, name: &str) {
    std::fs::write(place.root.join(name), "").unwrap();
}

fn good(place: &Place) -> Result<Outcome> {
    mark(place, "good ran");
    Ok(Outcome::Passed)
}

fn bad(_: &Place) -> Result<Outcome> {
    bail!("it is broken")
}

#[test]
fn a_failing_step_fails_the_run_and_the_next_still_runs() {
    let (_folder, place) = place(false);
    let steps = [step("bad", bad), step("good", good)];
    let error = test(&place, &steps, &Choice::default()).unwrap_err();
    assert_eq!(error.to_string(), "failed: bad");
    assert!(place.root.join("good ran").exists());
}

#[test]
fn fail_fast_stops_and_only_chooses() {
    let (_folder, place) = place(false);
    let steps = [step("bad", bad), step("good", good)];
    let fail_fast = Choice {
        fail_fast: true,
        ..Choice::default()
    };
    assert!(test(&place, &steps, &fail_fast).is_err());
    assert!(!place.root.join("good ran").exists());

    let only = Choice {
        only: vec!["good".to_owned()],
        ..Choice::default()
    };
    test(&place, &steps, &only).unwrap();
    assert!(place.root.join("good ran").exists());
}

#[test]
fn failed_tests_fail_the_run_whatever_the_exit_code_was() {
    let (_folder, place) = place(false);
    let run = |_: &Place| {
        Ok(Outcome::Tested(TestCount {
            passed: 5,
            failed: 1,
            skipped: 0,
        }))
    };
    assert!(test(&place, &[step("tests", run)], &Choice::default()).is_err());
}

#[test]
fn what_is_missing_is_skipped_here_and_fails_in_ci() {
    for ci in [false, true] {
        let (_folder, place) = place(ci);
        let without = Step {
            needs: &["jwcrypto"],
            ..step("without", good)
        };
        assert_eq!(test(&place, &[without], &Choice::default()).is_err(), ci);
        assert!(!place.root.join("good ran").exists());

        let partly = Step {
            wants: &["jwcrypto"],
            ..step("partly", good)
        };
        assert_eq!(test(&place, &[partly], &Choice::default()).is_err(), ci);
        assert!(place.root.join("good ran").exists());
    }
}

#[test]
fn what_the_outside_does_not_give_is_a_skip_even_in_ci() {
    let (_folder, place) = place(true);
    let run = |_: &Place| Ok(Outcome::Skipped("no network".to_owned()));
    test(&place, &[step("advisories", run)], &Choice::default()).unwrap();
}

#[test]
fn names_are_unique_and_every_tool_that_a_step_names_is_in_the_table() {
    for (at, step) in STEPS.iter().enumerate() {
        assert!(
            STEPS[..at].iter().all(|other| other.name != step.name),
            "{} twice",
            step.name
        );
        for name in step.needs.iter().chain(step.wants) {
            assert!(
                Tool::named(name).is_some(),
                "{} needs {name}, no tool",
                step.name
            );
        }
    }
    for (at, tool) in TOOLS.iter().enumerate() {
        assert!(
            TOOLS[..at].iter().all(|other| other.name != tool.name),
            "{} twice",
            tool.name
        );
    }
}
