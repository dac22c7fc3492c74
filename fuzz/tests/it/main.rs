//! Every input that is kept goes through its target: what fuzzing found once stays found.

use std::path::Path;

use car_fuzz::TARGETS;

#[test]
fn every_kept_input_is_taken_without_a_panic() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    for (name, target) in TARGETS {
        let folder = corpus.join(name);
        let mut inputs: Vec<_> = std::fs::read_dir(&folder)
            .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
            .map(|entry| entry.unwrap().path())
            .collect();
        inputs.sort();
        assert!(!inputs.is_empty(), "{} has no input", folder.display());
        for input in inputs {
            // Shown by test runners beside a failure.
            eprintln!("{}", input.display());
            target(&std::fs::read(&input).unwrap());
        }
    }
}

/// A folder or a program without a target would never be run.
#[test]
fn folders_and_programs_are_those_of_the_targets() {
    let mut names: Vec<String> = TARGETS.map(|(name, _)| name.to_owned()).into();
    names.sort();
    for (folder, end) in [("corpus", ""), ("targets/src", ".rs")] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        let mut there: Vec<String> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .map(|name| name.trim_end_matches(end).to_owned())
            .collect();
        there.sort();
        assert_eq!(there, names, "{}", folder.display());
    }
}
