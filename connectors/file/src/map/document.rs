//! Documents of standard formats: read into memory as a whole, within a limit.

use std::io::{BufRead, Read as _};

use jiff::Timestamp;
use serde::de::DeserializeOwned;

use super::File;
use crate::error::Broken;

/// Reads a document into a type.
pub(super) fn read<T: DeserializeOwned>(
    file: File<'_>,
    content: &mut dyn BufRead,
) -> Result<T, Broken> {
    let bytes = bytes(file, content)?;
    let json = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    Ok(serde_json::from_slice(json)?)
}

fn bytes(file: File<'_>, content: &mut dyn BufRead) -> Result<Vec<u8>, Broken> {
    let limit = file.limits.document;
    let mut bytes = Vec::new();
    content
        .take(limit.saturating_add(1))
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(Broken::content(format!(
            "the document has more than {limit} bytes; `--largest-document` sets the limit"
        )));
    }
    Ok(bytes)
}

/// Reads a time in RFC 3339 as milliseconds since 1970.
pub(super) fn time(text: Option<&String>) -> Option<f64> {
    let time: Timestamp = text?.parse().ok()?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "times of this age are exact in 53 bits"
    )]
    Some(time.as_millisecond() as f64)
}

/// Names what a file is about by its name, when the content does not say.
pub(super) fn stem(name: &str) -> &str {
    let name = name.rsplit('/').next().unwrap_or(name);
    name.split('.').next().unwrap_or(name)
}

/// Returns a text that is there and not empty.
pub(super) fn some(text: &Option<String>) -> Option<&str> {
    text.as_deref().filter(|text| !text.is_empty())
}
