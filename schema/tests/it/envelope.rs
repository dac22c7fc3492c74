//! Envelopes and the other documents of the protocol: read and written, good and bad.

use std::error::Error as _;

use car_schema::wire::{Databases, Health, ImportStatus, JobState, JobStatus};
use car_schema::{Envelope, Object, Report, Source, WireError};
use proptest::prelude::*;
use serde_json::json;

fn read(body: &str) -> Result<Envelope, String> {
    Envelope::from_slice(body.as_bytes()).map_err(|error| {
        assert_eq!(error.to_string(), "the body is not an import envelope");
        error.source().map(ToString::to_string).unwrap_or_default()
    })
}

const HEADERS: &str = r#""source":{"_key":"s"},"report":{"timestamp":1}"#;

#[test]
fn rows_stay_in_their_order_wherever_the_headers_stand() {
    let envelope = read(
        r#"{"asset":[{"external_id":"2"},{"external_id":"1"}],"report":{"_key":"r","timestamp":1.5,"type":"t"},
            "user":[],"source":{"_key":"s","name":"S","description":"d","product_link":"https://example.com"},"asset":[{"external_id":"3"}]}"#,
    )
    .unwrap();
    assert_eq!(envelope.source.key, "s");
    assert_eq!(
        envelope.source.product_link.as_deref(),
        Some("https://example.com")
    );
    assert_eq!(envelope.report.timestamp, 1.5);
    assert_eq!(envelope.report.ty.as_deref(), Some("t"));
    let [(asset, rows), (user, none)] = envelope.collections.as_slice() else {
        panic!("{:?}", envelope.collections);
    };
    assert_eq!((asset.as_str(), user.as_str()), ("asset", "user"));
    let ids: Vec<_> = rows.iter().map(|row| &row["external_id"]).collect();
    assert_eq!(ids, ["2", "1", "3"], "a collection may come in two parts");
    assert!(none.is_empty());
}

#[test]
fn an_envelope_without_rows_is_one() {
    assert!(
        read(&format!("{{{HEADERS}}}"))
            .unwrap()
            .collections
            .is_empty()
    );
}

#[test]
fn what_is_wrong_with_a_bad_envelope_is_said() {
    for (body, reason) in [
        (String::new(), "EOF"),
        ("<html>".to_owned(), "expected value"),
        ("[]".to_owned(), "`source`, `report`"),
        ("null".to_owned(), "`source`, `report`"),
        (
            r#"{"report":{"timestamp":1}}"#.to_owned(),
            "missing field `source`",
        ),
        (
            r#"{"source":{"_key":"s"}}"#.to_owned(),
            "missing field `report`",
        ),
        (
            format!(r#"{{{HEADERS},"source":{{"_key":"t"}}}}"#),
            "duplicate field `source`",
        ),
        (
            format!(r#"{{{HEADERS},"report":{{"timestamp":2}}}}"#),
            "duplicate field `report`",
        ),
        (
            r#"{"source":{},"report":{"timestamp":1}}"#.to_owned(),
            "missing field `_key`",
        ),
        (
            r#"{"source":{"_key":"s"},"report":{}}"#.to_owned(),
            "missing field `timestamp`",
        ),
        (
            r#"{"source":{"_key":7},"report":{"timestamp":1}}"#.to_owned(),
            "expected a string",
        ),
        (
            r#"{"source":{"_key":"s"},"report":{"timestamp":"now"}}"#.to_owned(),
            "f64",
        ),
        (
            r#"{"source":{"_key":"s"},"report":{"timestamp":NaN}}"#.to_owned(),
            "expected value",
        ),
        (
            format!(r#"{{{HEADERS},"asset":[{{"risk":NaN}}]}}"#),
            "expected value",
        ),
        (
            format!(r#"{{{HEADERS},"asset":[{{"risk":1e999}}]}}"#),
            "out of range",
        ),
        (
            format!(r#"{{{HEADERS},"asset":{{}}}}"#),
            "expected a sequence",
        ),
        (format!(r#"{{{HEADERS},"asset":[7]}}"#), "expected a map"),
        (format!(r#"{{{HEADERS},"asset":[{{}}]"#), "EOF"),
        (format!(r#"{{{HEADERS},"asset":[{{"name":"#), "EOF"),
        (format!(r#"{{{HEADERS}}} more"#), "trailing"),
    ] {
        let error = read(&body).unwrap_err();
        assert!(error.contains(reason), "{body}: {error}");
    }
}

#[test]
fn a_body_cut_anywhere_is_refused() {
    let whole = format!(r#"{{{HEADERS},"asset":[{{"external_id":"é","risk":1.5}}]}}"#);
    assert!(read(&whole).is_ok());
    for end in 0..whole.len() {
        let cut = whole.as_bytes().get(..end).unwrap();
        assert!(Envelope::<Object>::from_slice(cut).is_err(), "{end}");
    }
}

#[test]
fn deep_nesting_is_refused_and_not_followed() {
    let deep = |depth: usize| {
        format!(
            r#"{{{HEADERS},"asset":[{{"properties":{}{}}}]}}"#,
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    assert!(read(&deep(100)).is_ok());
    assert!(read(&deep(100_000)).unwrap_err().contains("recursion"));
}

#[test]
fn an_import_status_without_its_lists_is_no_status() {
    assert!(serde_json::from_str::<ImportStatus>("{}").is_err());
    assert!(serde_json::from_str::<ImportStatus>(r#"{"error_imports":[]}"#).is_err());
    let status: ImportStatus = serde_json::from_value(json!({
        "error_imports": [{ "id": "1", "error": "bad", "statusCode": 400 }],
        "incomplete_imports": [{ "id": "2", "status": "INPROGRESS" }],
    }))
    .unwrap();
    assert_eq!(status.error_imports[0].status_code, 400);
    assert_eq!(status.incomplete_imports[0].id, "2");
}

#[test]
fn a_job_is_in_one_of_three_states() {
    for (text, state) in [
        ("INPROGRESS", JobState::InProgress),
        ("COMPLETE", JobState::Complete),
        ("ERROR", JobState::Error),
    ] {
        let status: JobStatus = serde_json::from_value(json!({ "status": text })).unwrap();
        assert_eq!(status.status, state);
    }
    for text in ["", "complete", "DONE"] {
        assert!(serde_json::from_value::<JobStatus>(json!({ "status": text })).is_err());
    }
}

#[test]
fn old_services_tell_less() {
    let health: Health = serde_json::from_str("{}").unwrap();
    assert_eq!(health, Health::default());
    let databases: Databases = serde_json::from_str(r#"{"databases":[{}]}"#).unwrap();
    assert!(!databases.databases[0].is_ready, "silence is not readiness");
    assert!(serde_json::from_str::<Databases>("{}").is_err());
}

#[test]
fn errors_have_a_code_and_a_message() {
    let text = r#"{"code":"row_invalid","message":"asset 3: `name` is missing"}"#;
    let error: WireError = serde_json::from_str(text).unwrap();
    assert_eq!(serde_json::to_string(&error).unwrap(), text);
}

prop_compose! {
    fn row()(id in any::<String>(), number in any::<i64>(), flag in any::<Option<bool>>()) -> Object {
        let mut row = Object::new();
        row.insert("external_id".to_owned(), id.into());
        row.insert("n".to_owned(), number.into());
        row.insert("b".to_owned(), flag.into());
        row
    }
}

prop_compose! {
    fn envelope()(
        key in any::<String>(), name in any::<Option<String>>(), timestamp in -1e15..1e15_f64,
        rows in proptest::collection::btree_map("[a-z]{1,5}_e", proptest::collection::vec(row(), 0..4), 0..4),
    ) -> Envelope {
        Envelope {
            source: Source { key: key.clone(), name: name.clone(), ..Source::default() },
            report: Report { key: Some(key), timestamp, description: name, ..Report::default() },
            collections: rows.into_iter().collect(),
        }
    }
}

proptest! {
    #[test]
    fn an_envelope_comes_back_as_it_went(envelope in envelope()) {
        let body = serde_json::to_vec(&envelope).unwrap();
        prop_assert_eq!(Envelope::from_slice(&body).unwrap(), envelope);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        drop(Envelope::<Object>::from_slice(&body));
    }
}
