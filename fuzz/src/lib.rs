//! What the fuzz targets do with an input, as plain functions: the programs in `targets/` feed them
//! what the fuzzer makes up, and the tests feed them every input that is kept in `corpus/`.
//!
//! A function returns for whatever it is given. What it must not do is panic, hang or grow without
//! bound; where more can be asked of an answer, it asserts that.

#![expect(
    clippy::unwrap_used,
    reason = "what the functions need to start is there, or nothing can be tested"
)]

mod service;

use std::sync::LazyLock;

use car_core::config::Catalog;
use car_core::fuzzing::{open_token, settings_file};
use car_core::handler::Validator;
use car_core::record::Records;
use car_schema::{Model, import_schema};
use clap::Command;
use reference_connector::config::Settings;
use serde_json::Value;
use serde_json::value::RawValue;

use service::Peer;

/// A target: what it is called, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets; the name is that of the program, and of the folder in `corpus/`.
pub const TARGETS: [Target; 6] = [
    ("page", page),
    ("delta", delta),
    ("envelope", envelope),
    ("settings", settings),
    ("jwe", jwe),
    ("graphql", graphql),
];

/// Reads a page of the reference server: a byte that names the collection, then the answer.
pub fn page(input: &[u8]) {
    let Some((collection, body)) = input.split_first() else {
        return;
    };
    let mut records = Records::new();
    reference_connector::fuzzing::page(*collection, body, &mut records);
    assert_service_takes(&records);
}

/// Reads a page of changes of the reference server.
pub fn delta(input: &[u8]) {
    let mut records = Records::new();
    reference_connector::fuzzing::delta(input, &mut records);
    assert_service_takes(&records);
}

/// Reads an envelope as the service does.
pub fn envelope(input: &[u8]) {
    drop(Peer::get().read_envelope(input));
}

/// Reads the settings file of a connector.
pub fn settings(input: &[u8]) {
    static CATALOG: LazyLock<Catalog> =
        LazyLock::new(|| Catalog::new::<Settings>(Command::new("connector")));
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Err(failure) = settings_file::<Settings>(text, &CATALOG) {
        assert!(!failure.chain().is_empty());
    }
}

/// Opens a secret file: the key file, an empty line, the token.
pub fn jwe(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else {
        return;
    };
    if let Some((key, token)) = text.split_once("\n\n") {
        drop(open_token(key, token));
    }
}

/// Answers a GraphQL query over a small graph.
pub fn graphql(input: &[u8]) {
    if let Ok(query) = std::str::from_utf8(input) {
        let answer = Peer::get().query(query);
        assert!(
            answer.get("data").is_some() || answer.get("errors").is_some(),
            "{answer}"
        );
    }
}

/// What the framework lets through, the service must take.
fn assert_service_takes(records: &Records) {
    static VALIDATOR: LazyLock<Validator> =
        LazyLock::new(|| Validator::compile(&import_schema(&Model::core())).unwrap());
    for row in records.rows() {
        if VALIDATOR.check(row.collection, row.json).is_err() {
            continue;
        }
        let json: &RawValue = serde_json::from_slice(row.json).unwrap();
        let envelope = format!(
            r#"{{"source":{{"_key":"fuzz"}},"report":{{"_key":"1","timestamp":1}},"{}":[{json}]}}"#,
            row.collection
        );
        if let Err(error) = Peer::get().read_envelope(envelope.as_bytes()) {
            panic!("the service refuses what the framework lets through: {error}: {json}");
        }
    }
}

/// The answer to a query that could not be carried out at all.
fn refused(error: impl std::fmt::Display) -> Value {
    serde_json::json!({ "errors": [error.to_string()] })
}
