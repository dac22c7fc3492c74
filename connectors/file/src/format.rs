//! What a file is, told by its name and by how it begins.

use crate::error::Broken;

/// How a file is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    None,
    Gzip,
    Zstd,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    CycloneDx,
    Spdx,
    Osv,
    Sarif,
    Nmap,
    Csv,
    Json,
    JsonLines,
}

impl Format {
    /// Returns the word for it, as a mapping file has it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::CycloneDx => "cyclonedx",
            Self::Spdx => "spdx",
            Self::Osv => "osv",
            Self::Sarif => "sarif",
            Self::Nmap => "nmap",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::JsonLines => "jsonl",
        }
    }
}

/// Endings of files that are read, in lower case.
const ENDINGS: [&str; 6] = [".json", ".jsonl", ".ndjson", ".csv", ".xml", ".sarif"];

/// Bytes from which a format is told.
pub(crate) const HEAD: usize = 64 * 1024;

/// Returns a name in lower case, without the ending of a packed file.
fn unpacked(name: &str) -> String {
    let name = name.to_lowercase();
    for ending in [".gz", ".zst"] {
        if let Some(short) = name.strip_suffix(ending) {
            return short.to_owned();
        }
    }
    name
}

/// Tells by the name whether a file is for the connector.
pub(crate) fn is_wanted(name: &str) -> bool {
    let name = unpacked(name);
    ENDINGS.iter().any(|ending| name.ends_with(ending))
}

/// Tells by the first bytes how a file is packed.
pub(crate) fn packing(head: &[u8]) -> Packing {
    if head.starts_with(&[0x1f, 0x8b]) {
        Packing::Gzip
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Packing::Zstd
    } else {
        Packing::None
    }
}

/// Tells the format by the name and by how the unpacked content begins.
pub(crate) fn detect(name: &str, head: &[u8]) -> Result<Format, Broken> {
    if head.starts_with(&[0xff, 0xfe]) || head.starts_with(&[0xfe, 0xff]) {
        return Err(Broken::at(
            1,
            1,
            "it is written in UTF-16; write it in UTF-8",
        ));
    }
    let name = unpacked(name);
    let ends = |ending: &str| name.ends_with(ending);
    if ends(".csv") {
        return Ok(Format::Csv);
    }
    if ends(".jsonl") || ends(".ndjson") {
        return Ok(Format::JsonLines);
    }
    if head.is_empty() {
        return Err(Broken::at(1, 1, "the file is empty"));
    }
    let text = String::from_utf8_lossy(head);
    let text = text.trim_start_matches('\u{feff}').trim_start();
    if ends(".xml") {
        return match text.contains("<nmaprun") {
            true => Ok(Format::Nmap),
            false => Err(Broken::content(
                "it is no XML that is understood: only reports of Nmap are",
            )),
        };
    }
    let has = |key: &str| text.contains(&format!("\"{key}\""));
    Ok(if has("bomFormat") {
        Format::CycloneDx
    } else if has("spdxVersion") {
        Format::Spdx
    } else if ends(".sarif") || (has("runs") && (text.contains("sarif") || has("tool"))) {
        Format::Sarif
    } else if has("affected") && has("id") && (has("modified") || has("schema_version")) {
        Format::Osv
    } else {
        Format::Json
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_is_read() {
        for name in ["a.json", "B.JSON.GZ", "c/d.csv.zst", "e.sarif", "f.ndjson"] {
            assert!(is_wanted(name), "{name}");
        }
        for name in ["a.txt", "a.json.part", "a.gz", "json", "a.zip"] {
            assert!(!is_wanted(name), "{name}");
        }
    }

    #[test]
    fn content_says_what_json_is() {
        let told = |name: &str, text: &str| detect(name, text.as_bytes()).ok();
        assert_eq!(
            told("a.json", "\u{feff}{\"bomFormat\": \"CycloneDX\"}"),
            Some(Format::CycloneDx)
        );
        assert_eq!(
            told("a.json", "{\"spdxVersion\": \"SPDX-2.3\"}"),
            Some(Format::Spdx)
        );
        assert_eq!(
            told("a.json", "{\"id\": 1, \"modified\": 2, \"affected\": []}"),
            Some(Format::Osv)
        );
        assert_eq!(
            told(
                "a.json",
                "{\"version\": \"2.1.0\", \"runs\": [{\"tool\": {}}]}"
            ),
            Some(Format::Sarif)
        );
        assert_eq!(told("a.json", "[]"), Some(Format::Json));
        assert_eq!(
            told("a.xml.gz", "<?xml?><!DOCTYPE nmaprun><nmaprun>"),
            Some(Format::Nmap)
        );
        assert_eq!(told("a.xml", "<other/>"), None);
        assert!(detect("a.csv", b"\xff\xfei\0d\0").is_err());
    }
}
