//! The bodies of the container API.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::super::api::Read;
use super::super::row::{RowError, Rows};
use crate::failure::{Effect, Failure, FailureKind};

/// An answer with something in it.
#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// Reads the rows of an answer: a list of rows, or one row.
pub(super) fn rows(body: &[u8], separator: &str) -> Result<Read, Failure> {
    let envelope = envelope(body)?;
    let Some(data) = envelope.data.map(RawValue::get) else {
        return Ok(Read::Empty);
    };
    let mut rows = Rows::new();
    let list: Vec<&RawValue> = match data.as_bytes().first() {
        Some(b'[') => serde_json::from_str(data).map_err(|error| garbled(body, error))?,
        Some(b'n') => Vec::new(),
        _ => serde_json::from_str(data)
            .map(|row| vec![row])
            .map_err(|error| garbled(body, error))?,
    };
    for row in list {
        rows.push_checked(row.get(), separator)
            .map_err(|error| garbled(body, error))?;
    }
    Ok(if rows.is_empty() {
        Read::Empty
    } else {
        Read::Rows(rows)
    })
}

fn envelope(body: &[u8]) -> Result<Envelope<'_>, Failure> {
    // A list would do for a struct, too.
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err(garbled(body, RowError::NoObject));
    }
    serde_json::from_slice(body).map_err(|error| garbled(body, error))
}

/// Makes the body of a request that adds rows.
pub(super) fn append(rows: &Rows, separator: Option<&str>) -> String {
    let mut body = String::with_capacity(rows.bytes().saturating_add(64));
    body.push('{');
    if let Some(separator) = separator {
        body.push_str("\"meta\":{\"separator\":");
        super::super::scan::quote(&mut body, separator);
        body.push_str("},");
    }
    body.push_str("\"data\":[");
    for (position, row) in rows.iter().enumerate() {
        if position > 0 {
            body.push(',');
        }
        body.push_str(row.json());
    }
    body.push_str("]}");
    body
}

/// Reads an answer whose content stands by itself or below `data`.
pub(super) fn content<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    let bare = match serde_json::from_slice::<T>(body) {
        Ok(content) => return Ok(content),
        Err(error) => error,
    };
    match envelope(body).ok().and_then(|envelope| envelope.data) {
        Some(data) => serde_json::from_str(data.get()).map_err(|error| garbled(body, error)),
        None => Err(garbled(body, bare)),
    }
}

/// Says that an answer cannot be read.
fn garbled(body: &[u8], error: impl std::error::Error + Send + Sync + 'static) -> Failure {
    let text: String = String::from_utf8_lossy(body).chars().take(60).collect();
    Failure::new(
        FailureKind::PlatformUnexpected,
        "the container API's answer cannot be understood",
    )
    .with("beginning with", format!("{text:?}"))
    .with_effect(Effect::Unknown)
    .because(error)
    .hint("check that the address (`--container-api`) is the one of a container API")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_read_from_lists_and_single_objects() {
        let read = |body: &str| rows(body.as_bytes(), "-");
        for (body, expected) in [
            (
                r#"{"message":"ok","data":[{"a":"1"},{"b":"2"}]}"#,
                "{\"a\":\"1\"}\n{\"b\":\"2\"}\n",
            ),
            (r#"{"data":{"a":"1"}}"#, "{\"a\":\"1\"}\n"),
        ] {
            let Ok(Read::Rows(rows)) = read(body) else {
                panic!("{body}");
            };
            assert_eq!(rows.lines(), expected);
        }
        for body in ["{}", r#"{"data":[]}"#, r#"{"data":{}}"#, r#"{"data":null}"#] {
            assert_eq!(read(body).unwrap(), Read::Empty, "{body}");
        }
        for body in ["", "[]", "<html>", r#"{"data":[1]}"#, r#"{"data":"x"}"#] {
            assert_eq!(
                read(body).unwrap_err().kind(),
                FailureKind::PlatformUnexpected,
                "{body}"
            );
        }
    }

    #[test]
    fn appends_are_written_as_the_route_wants_them() {
        let mut rows = Rows::new();
        rows.push_columns([("a", "1")]);
        rows.push_columns([("b", "2")]);
        assert_eq!(append(&rows, None), r#"{"data":[{"a":"1"},{"b":"2"}]}"#);
        assert_eq!(
            append(&rows, Some(".")),
            r#"{"meta":{"separator":"."},"data":[{"a":"1"},{"b":"2"}]}"#
        );
    }
}
