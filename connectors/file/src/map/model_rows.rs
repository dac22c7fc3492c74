//! Rows as the model has them: `{"collection": "asset", "external_id": "a", "name": "A"}`, and
//! edges with `from` and `to`. For whoever writes files for this connector.

use std::io::BufRead;

use car_schema::{EndRef, GenericEdge, GenericVertex, Identity, Kind, Object};
use serde_json::Value;

use super::mapping::MODEL;
use crate::error::Broken;
use crate::rows::{Out, Rows};

/// Longest line, in bytes.
const LONGEST_LINE: u64 = 64 << 20;

/// Calls with each line that is not empty, and its number.
pub(super) fn each_line(
    content: &mut dyn BufRead,
    mut take: impl FnMut(u64, &[u8]) -> Result<(), Broken>,
) -> Result<(), Broken> {
    let mut line = Vec::new();
    let mut number = 0_u64;
    loop {
        line.clear();
        number = number.saturating_add(1);
        let mut limited = std::io::Read::take(&mut *content, LONGEST_LINE);
        if limited.read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.len() as u64 >= LONGEST_LINE {
            return Err(Broken::at(number, 1, "the line is longer than 64 MiB"));
        }
        let text = line.trim_ascii();
        let text = match number {
            1 => text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text),
            _ => text,
        };
        if !text.is_empty() {
            take(number, text)?;
        }
    }
}

/// Says where in a line JSON is wrong.
pub(super) fn in_line(number: u64, error: &serde_json::Error) -> Broken {
    Broken::at(number, error.column() as u64, error.to_string())
}

/// Reads lines.
pub(super) fn lines(content: &mut dyn BufRead, out: &mut Out<'_>) -> Result<(), Broken> {
    each_line(content, |number, line| {
        let object: Object =
            serde_json::from_slice(line).map_err(|error| in_line(number, &error))?;
        out.record(|rows| emit(object, number, line, rows))
    })
}

fn emit(mut object: Object, number: u64, line: &[u8], rows: &mut Rows) {
    let mut take = |name: &str| match object.remove(name) {
        Some(Value::String(text)) => Some(text),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let name = take("collection").unwrap_or_default();
    let wrong = |reason: &str| format!("line {number}: {reason}");
    let Some(collection) = MODEL.get(&name) else {
        return rows.reject(
            &name,
            None,
            wrong("`collection` names none of the model"),
            line,
        );
    };
    match &collection.kind {
        Kind::Vertex { identity } => {
            let Some(id) = take(identity.field()) else {
                let reason = wrong(&format!("there is no `{}`", identity.field()));
                return rows.reject(&name, None, reason, line);
            };
            let mut vertex = match identity {
                Identity::ExternalId => GenericVertex::new(name.as_str(), id),
                Identity::Key => GenericVertex::with_key(name.as_str(), id),
            };
            vertex.fields = object;
            rows.emit(&vertex);
        }
        Kind::Edge { from, to } => {
            let (Some(one), Some(other)) = (take("from"), take("to")) else {
                return rows.reject(&name, None, wrong("an edge has `from` and `to`"), line);
            };
            let end = |end: &car_schema::EdgeEnd, id: String| match end.by {
                Identity::ExternalId => EndRef::ExternalId(id),
                Identity::Key => EndRef::Key {
                    collection: end.collection.clone().into_owned(),
                    key: id,
                },
            };
            let mut edge = GenericEdge::new(name.as_str(), end(from, one), end(to, other));
            edge.fields = object;
            rows.emit(&edge);
        }
    }
}
