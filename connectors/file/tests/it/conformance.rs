//! What every connector promises, as far as it does not need a source on the network: the tests
//! of the suite that break requests have their like in `series.rs` and `bad_input.rs`.

use car_testkit::conformance::Fixture;
use car_testkit::{Program, TestFolder};
use file_connector::FileConnector;

use crate::support::program;

mod suite {
    use super::*;

    car_testkit::conformance!(@tests FileConnector, Files,
        help_and_spec_need_no_settings,
        memory_stays_bounded,
    );
}

/// A directory.
struct Files {
    files: TestFolder,
    memory: TestFolder,
}

impl Fixture for Files {
    async fn start(things: usize) -> Self {
        let files = TestFolder::new();
        for number in 0..things {
            let line = |row| {
                format!(
                    "{{\"collection\": \"asset\", \"external_id\": \"{number}/{row}\", \"name\": \"n\"}}\n"
                )
            };
            let text: String = (0..100).map(line).collect();
            files.write(&format!("{number}.jsonl"), &text);
        }
        Self {
            files,
            memory: TestFolder::new(),
        }
    }

    fn address(&self) -> String {
        // Nobody listens there, and nobody asks.
        "127.0.0.1:9".to_owned()
    }

    fn program(&self, _: &str) -> Program {
        let text = |folder: &TestFolder| folder.path().to_str().unwrap().to_owned();
        program()
            .env("CONFIGURATION_PARAMETER_DIRECTORY", text(&self.files))
            .env("CONFIGURATION_PARAMETER_MEMORY", text(&self.memory))
            .env("CONFIGURATION_PARAMETER_SETTLE", "1ms")
    }

    fn wrong_credentials(&self, address: &str) -> Program {
        self.program(address)
    }

    fn secrets(&self) -> Vec<String> {
        Vec::new()
    }

    async fn mutate(&self, seed: u64) {
        let line = format!(
            "{{\"collection\": \"asset\", \"external_id\": \"{seed}\", \"name\": \"n\"}}\n"
        );
        self.files.write("0.jsonl", &line);
    }
}
