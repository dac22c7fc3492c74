//! What every connector promises, of files behind a web server: each request can go wrong there.

use car_testkit::conformance::Fixture;
use car_testkit::{Program, TestFolder};
use file_connector::FileConnector;

use crate::support::{asset, program};
use crate::web::{PASSWORD, USER, WebFolder};

car_testkit::conformance!(FileConnector, Files);

/// A folder behind a web server.
struct Files {
    files: TestFolder,
    memory: TestFolder,
    server: WebFolder,
}

/// What is in a file: assets of its own, one that others have, too, and an address of both.
fn content(file: usize, version: u64) -> String {
    let rows = (0..8).map(|row| asset(&format!("{file}/{row}")));
    let mut text: String = rows.collect();
    text.push_str(&asset("shared"));
    text.push_str(&format!(
        "{{\"collection\": \"ipaddress\", \"_key\": \"10.0.{version}.{file}\"}}\n"
    ));
    for id in [format!("{file}/0"), "shared".to_owned()] {
        text.push_str(&format!(
            "{{\"collection\": \"asset_ipaddress\", \"from\": \"{id}\", \"to\": \"10.0.{version}.{file}\"}}\n"
        ));
    }
    text
}

impl Fixture for Files {
    async fn start(things: usize) -> Self {
        let files = TestFolder::new();
        for folder in ["a", "b"] {
            std::fs::create_dir(files.file(folder)).unwrap();
            for number in 0..things {
                files.write(&format!("{folder}/{number}.jsonl"), &content(number, 0));
            }
        }
        Self {
            server: WebFolder::start(files.path()).await,
            files,
            memory: TestFolder::new(),
        }
    }

    fn address(&self) -> String {
        self.server.address().to_owned()
    }

    fn program(&self, address: &str) -> Program {
        let memory = self.memory.path().to_str().unwrap();
        program()
            .env(
                "CONFIGURATION_PARAMETER_DIRECTORY",
                format!("http://{address}/files"),
            )
            .env("CONFIGURATION_AUTH_USERNAME", USER)
            .env("CONFIGURATION_AUTH_PASSWORD", PASSWORD)
            .env("CONFIGURATION_PARAMETER_MEMORY", memory)
            .env("CONFIGURATION_PARAMETER_PAGE_SIZE", "5")
    }

    fn wrong_credentials(&self, address: &str) -> Program {
        self.program(address)
            .env("CONFIGURATION_AUTH_PASSWORD", "wrong")
    }

    fn secrets(&self) -> Vec<String> {
        vec![PASSWORD.to_owned()]
    }

    async fn mutate(&self, seed: u64) {
        let number = usize::try_from(seed % 7).unwrap();
        let path = format!("a/{number}.jsonl");
        match seed % 3 {
            0 if self.files.file(&path).exists() => {
                std::fs::remove_file(self.files.file(&path)).unwrap();
            }
            _ => drop(self.files.write(&path, &content(number, seed % 200))),
        }
        self.files.write("b/always.jsonl", &asset("always"));
    }

    async fn clear(&self) -> bool {
        for folder in ["a", "b"] {
            std::fs::remove_dir_all(self.files.file(folder)).unwrap();
        }
        true
    }
}
