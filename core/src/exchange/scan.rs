//! Finds columns and values in the text of a row without building anything.
//!
//! Rows are checked once, when they come in; from then on they are known to be JSON objects, and
//! what is here may rely on that. On text that is no JSON it ends early, and never panics.

use std::borrow::Cow;

use memchr::memchr2;

/// The columns of a JSON object, in the order in which they stand there.
#[derive(Debug, Clone)]
pub struct Fields<'a> {
    rest: &'a str,
}

/// A value as it stands in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a> {
    raw: &'a str,
}

impl<'a> Fields<'a> {
    /// Looks at the text of an object.
    pub(super) fn of(json: &'a str) -> Self {
        let json = json.trim_start();
        Self {
            rest: json.strip_prefix('{').unwrap_or(""),
        }
    }

    /// Returns the next column: its name as it is written, in quotes, and its value.
    pub(super) fn raw(&mut self) -> Option<(&'a str, Value<'a>)> {
        let rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r', ',']);
        if !rest.starts_with('"') {
            return None;
        }
        let (name, rest) = rest.split_at_checked(string_end(rest.as_bytes())?)?;
        let rest = rest.trim_start().strip_prefix(':')?.trim_start();
        let (value, rest) = rest.split_at_checked(value_end(rest.as_bytes())?)?;
        self.rest = rest;
        Some((name, Value { raw: value }))
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (Cow<'a, str>, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value) = self.raw()?;
        Some((unquoted(name), value))
    }
}

impl<'a> Value<'a> {
    /// Returns the value as JSON.
    #[must_use]
    pub fn raw(self) -> &'a str {
        self.raw
    }

    /// Returns the value as text: that of a string, nothing for null, and JSON for the others.
    #[must_use]
    pub fn text(self) -> Cow<'a, str> {
        match self.raw.as_bytes().first() {
            Some(b'"') => unquoted(self.raw),
            Some(b'n') => Cow::Borrowed(""),
            _ => Cow::Borrowed(self.raw),
        }
    }

    /// Returns whether it is null or an empty text.
    #[must_use]
    pub fn is_empty(self) -> bool {
        matches!(self.raw, "\"\"" | "null" | "")
    }

    /// Returns whether it is a list or an object.
    #[must_use]
    pub fn is_nested(self) -> bool {
        self.raw.starts_with(['{', '['])
    }
}

/// Takes quotes and escapes away.
pub(super) fn unquoted(quoted: &str) -> Cow<'_, str> {
    let inner = quoted
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(quoted);
    if !inner.contains('\\') {
        return Cow::Borrowed(inner);
    }
    match serde_json::from_str(quoted) {
        Ok(text) => Cow::Owned(text),
        // Half of a pair of surrogates: no text says it.
        Err(_) => Cow::Borrowed(inner),
    }
}

/// Writes a text as a JSON string.
pub(super) fn quote(json: &mut String, text: &str) {
    let plain = |byte: &u8| *byte >= 0x20 && *byte != b'"' && *byte != b'\\';
    if text.as_bytes().iter().all(plain) {
        json.push('"');
        json.push_str(text);
        json.push('"');
        return;
    }
    json.push_str(&serde_json::Value::from(text).to_string());
}

/// Returns where a string that begins here ends, behind its quote.
fn string_end(bytes: &[u8]) -> Option<usize> {
    let mut at = 1_usize;
    loop {
        at = at.checked_add(memchr2(b'"', b'\\', bytes.get(at..)?)?)?;
        match bytes.get(at)? {
            b'"' => return at.checked_add(1),
            // The character behind a backslash ends nothing.
            _ => at = at.checked_add(2)?,
        }
    }
}

/// Returns where a value that begins here ends.
fn value_end(bytes: &[u8]) -> Option<usize> {
    match bytes.first()? {
        b'"' => string_end(bytes),
        b'{' | b'[' => {
            let (mut depth, mut at) = (0_usize, 0_usize);
            loop {
                match bytes.get(at)? {
                    b'"' => {
                        at = at.checked_add(string_end(bytes.get(at..)?)?)?;
                        continue;
                    }
                    b'{' | b'[' => depth = depth.checked_add(1)?,
                    b'}' | b']' => depth = depth.checked_sub(1)?,
                    _ => {}
                }
                at = at.checked_add(1)?;
                if depth == 0 {
                    return Some(at);
                }
            }
        }
        _ => {
            let ends =
                |byte: &u8| matches!(byte, b',' | b'}' | b']' | b' ' | b'\t' | b'\n' | b'\r');
            bytes.iter().position(ends)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Vec<(String, String, String)> {
        Fields::of(json)
            .map(|(name, value)| {
                (
                    name.into_owned(),
                    value.raw().to_owned(),
                    value.text().into_owned(),
                )
            })
            .collect()
    }

    #[test]
    fn columns_are_found_whatever_is_in_them() {
        let json = r#" { "a" : "x,\"}" , "b\"c":-1.5e3,"n":null, "l":[1,"]",{"k":"}"}],"t":true ,"e":"","u":"\u00e4"} "#;
        let found = fields(json);
        let names: Vec<&str> = found.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(names, ["a", "b\"c", "n", "l", "t", "e", "u"]);
        let texts: Vec<&str> = found.iter().map(|(.., text)| text.as_str()).collect();
        assert_eq!(
            texts,
            [
                "x,\"}",
                "-1.5e3",
                "",
                r#"[1,"]",{"k":"}"}]"#,
                "true",
                "",
                "ä"
            ]
        );
    }

    #[test]
    fn what_is_no_object_ends_early() {
        for text in [
            "",
            "{",
            "{}",
            "[]",
            "{\"a",
            "{\"a\":",
            "{\"a\":\"",
            "{\"a\":[",
            "{a:1}",
        ] {
            assert_eq!(fields(text), [], "{text}");
        }
    }

    #[test]
    fn texts_are_quoted_as_json_wants_it() {
        for text in ["plain", "ä", "a\"b", "a\\b", "a\nb", "\u{1}"] {
            let mut json = String::new();
            quote(&mut json, text);
            assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
