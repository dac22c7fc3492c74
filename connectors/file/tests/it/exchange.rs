//! Rows in and out by the real binary: with a folder, and with a platform over HTTP.

mod folder;
mod platform;
mod target;

use car_testkit::{Program, TestFolder};

use crate::support::program;

/// Returns a mode of the connector with a folder to exchange rows with.
fn in_folder(mode: &str, folder: &TestFolder) -> Program {
    program().args(&[mode, "--exchange", &text(folder.path())])
}

fn text(path: &std::path::Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn read(folder: &TestFolder, name: &str) -> String {
    std::fs::read_to_string(folder.file(name)).unwrap()
}

/// The names in a folder, in order.
fn names(folder: &TestFolder) -> Vec<String> {
    let entries = std::fs::read_dir(folder.path()).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort_unstable();
    names
}

/// Rows `{"id":"0","name":"row 0"}` and so on.
fn numbered(count: usize) -> String {
    (0..count)
        .map(|id| format!("{{\"id\":\"{id}\",\"name\":\"row {id}\"}}\n"))
        .collect()
}
