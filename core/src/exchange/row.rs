//! Rows as text: what comes in is checked once and carried as it is.
//!
//! A batch is one text with a JSON object on each line, so that reading, handing on and writing
//! a row cost a copy and not a tree.

use std::borrow::Cow;

use serde::Serialize;
use serde::de::IgnoredAny;
use thiserror::Error;

use super::flatten::flatten;
use super::scan::{Fields, Value, quote, unquoted};

/// What joins the names of nested columns where nobody says otherwise.
pub const SEPARATOR: &str = "-";

/// Why something cannot be a row.
#[derive(Debug, Error)]
pub enum RowError {
    /// It is not JSON.
    #[error("it is not JSON")]
    Json(#[source] serde_json::Error),
    /// It is not UTF-8.
    #[error("it is not UTF-8 text")]
    Text(#[source] std::str::Utf8Error),
    /// It is JSON, but no object.
    #[error("it is no JSON object")]
    NoObject,
    /// Two columns have one name once nested ones are flattened.
    #[error("column `{0}` is there twice once nested columns are flattened; use another separator")]
    Twice(String),
}

/// A batch of rows: flat JSON objects.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// The rows, each with a line end behind it and none in it.
    text: String,
    ends: Vec<usize>,
}

/// A row of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    json: &'a str,
}

/// What becomes of the name of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named<'n> {
    /// It stays.
    Same,
    /// The column goes.
    Gone,
    /// It becomes this one.
    Other(Cow<'n, str>),
}

impl Rows {
    /// Makes an empty batch.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Returns the size of the rows in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Takes all rows out, and keeps the memory.
    pub fn clear(&mut self) {
        self.text.clear();
        self.ends.clear();
    }

    /// Returns the rows, in order.
    pub fn iter(&self) -> impl Iterator<Item = Row<'_>> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| Row {
            json: self
                .text
                .get(start..end.saturating_sub(1))
                .unwrap_or_default(),
        })
    }

    /// Returns a row by its place in the batch.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<Row<'_>> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => *self.ends.get(before)?,
            None => 0,
        };
        let json = self.text.get(start..end.saturating_sub(1))?;
        Some(Row { json })
    }

    /// Returns the rows as JSON Lines.
    #[must_use]
    pub fn lines(&self) -> &str {
        &self.text
    }

    /// Adds a row that somebody else wrote; columns below columns are flattened. Returns whether
    /// there was something in it: a row without columns is none.
    ///
    /// # Errors
    ///
    /// When it is no JSON object, or flattening gives two columns one name.
    pub fn push_json(&mut self, json: &[u8], separator: &str) -> Result<bool, RowError> {
        let text = std::str::from_utf8(json).map_err(RowError::Text)?.trim();
        serde_json::from_str::<IgnoredAny>(text).map_err(RowError::Json)?;
        self.push_checked(text, separator)
    }

    /// Adds a row that is known to be JSON.
    pub(super) fn push_checked(&mut self, text: &str, separator: &str) -> Result<bool, RowError> {
        let Some(inner) = text.strip_prefix('{') else {
            return Err(RowError::NoObject);
        };
        if inner.trim_start() == "}" {
            return Ok(false);
        }
        let nested = memchr::memchr2(b'{', b'[', inner.as_bytes()).is_some()
            && Fields::of(text).any(|(_, value)| value.is_nested());
        let start = self.text.len();
        if nested {
            if let Err(column) = flatten(text, separator, &mut self.text) {
                self.text.truncate(start);
                return Err(RowError::Twice(column));
            }
        } else if memchr::memchr2(b'\n', b'\r', text.as_bytes()).is_some() {
            // Between the parts of an object only: in texts they are escaped.
            self.text.push_str(&text.replace(['\n', '\r'], " "));
        } else {
            self.text.push_str(text);
        }
        if self.text.len() == start.saturating_add(2) {
            self.text.truncate(start);
            return Ok(false);
        }
        self.end();
        Ok(true)
    }

    /// Adds a row of a type of one's own.
    ///
    /// # Errors
    ///
    /// As [`push_json`](Self::push_json), and when it cannot be written as JSON.
    pub fn push<T: Serialize + ?Sized>(&mut self, row: &T) -> Result<bool, RowError> {
        let json = serde_json::to_string(row).map_err(RowError::Json)?;
        self.push_checked(&json, SEPARATOR)
    }

    /// Adds a row of texts.
    pub fn push_columns<'c>(&mut self, columns: impl IntoIterator<Item = (&'c str, &'c str)>) {
        let start = self.text.len();
        self.text.push('{');
        for (name, value) in columns {
            self.column(name, value);
        }
        self.close(start);
    }

    /// Adds a row of texts whose names are quoted already; one without any text is none.
    pub(super) fn push_quoted<'c>(
        &mut self,
        columns: impl Iterator<Item = (&'c str, &'c str)>,
    ) -> bool {
        let start = self.text.len();
        let mut is_blank = true;
        self.text.push('{');
        for (name, value) in columns {
            is_blank = is_blank && value.is_empty();
            self.comma();
            self.text.push_str(name);
            self.text.push(':');
            quote(&mut self.text, value);
        }
        if is_blank {
            self.text.truncate(start);
            return false;
        }
        self.text.push('}');
        self.end();
        true
    }

    /// Adds a row of another batch.
    pub fn push_row(&mut self, row: Row<'_>) {
        self.text.push_str(row.json);
        self.end();
    }

    /// Adds a row of another batch with some columns set to these texts: in place of those that
    /// it has, behind the others.
    pub fn push_with(&mut self, row: Row<'_>, columns: &[(&str, &str)]) {
        self.push_changed(row, &|_| Named::Same, columns);
    }

    /// Adds a row of another batch; `rename` says what becomes of each of its columns, and
    /// `columns` are set as in [`push_with`](Self::push_with).
    pub fn push_changed<'n>(
        &mut self,
        row: Row<'_>,
        rename: &dyn Fn(&str) -> Named<'n>,
        columns: &[(&str, &str)],
    ) {
        let start = self.text.len();
        self.text.push('{');
        let mut fields = Fields::of(row.json);
        while let Some((quoted, value)) = fields.raw() {
            let name = unquoted(quoted);
            let renamed = match rename(&name) {
                Named::Gone => continue,
                Named::Same => None,
                Named::Other(other) => Some(other),
            };
            let renamed = renamed.as_deref();
            if columns
                .iter()
                .any(|(set, _)| *set == renamed.unwrap_or(&name))
            {
                continue;
            }
            self.comma();
            match renamed {
                Some(renamed) => quote(&mut self.text, renamed),
                None => self.text.push_str(quoted),
            }
            self.text.push(':');
            self.text.push_str(value.raw());
        }
        for (name, value) in columns {
            self.column(name, value);
        }
        self.close(start);
    }

    /// Ends the row that begins at `start`; one without columns is none.
    fn close(&mut self, start: usize) {
        self.text.push('}');
        if self.text.len() == start.saturating_add(2) {
            self.text.truncate(start);
        } else {
            self.end();
        }
    }

    fn column(&mut self, name: &str, value: &str) {
        self.comma();
        quote(&mut self.text, name);
        self.text.push(':');
        quote(&mut self.text, value);
    }

    fn comma(&mut self) {
        if !self.text.ends_with('{') {
            self.text.push(',');
        }
    }

    fn end(&mut self) {
        self.text.push('\n');
        self.ends.push(self.text.len());
    }
}

impl<'a> Row<'a> {
    /// Returns the row as JSON.
    #[must_use]
    pub fn json(self) -> &'a str {
        self.json
    }

    /// Returns the columns, in order.
    #[must_use]
    pub fn fields(self) -> Fields<'a> {
        Fields::of(self.json)
    }

    /// Returns the value of a column.
    #[must_use]
    pub fn get(self, column: &str) -> Option<Value<'a>> {
        self.fields()
            .find_map(|(name, value)| (name == column).then_some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(lines: &[&str]) -> Rows {
        let mut rows = Rows::new();
        for line in lines {
            rows.push_json(line.as_bytes(), SEPARATOR).unwrap();
        }
        rows
    }

    #[test]
    fn rows_stay_as_they_are() {
        let rows = rows(&[r#"{"a": 1}"#, " { } ", "{\n\"b\":\"x\\ny\"\n}", "{}"]);
        assert_eq!(rows.len(), 2);
        assert_eq!(rows.lines(), "{\"a\": 1}\n{ \"b\":\"x\\ny\" }\n");
        assert_eq!(rows.get(1).unwrap().get("b").unwrap().text(), "x\ny");
        assert_eq!(rows.get(2), None);
        assert_eq!(rows.iter().count(), 2);
    }

    #[test]
    fn what_is_no_row_is_refused_and_leaves_nothing() {
        let mut rows = Rows::new();
        for bad in [
            "",
            "1",
            "[]",
            "{",
            "{\"a\":}",
            "\u{feff}{}",
            "{} {}",
            "null",
        ] {
            assert!(rows.push_json(bad.as_bytes(), "-").is_err(), "{bad}");
        }
        assert!(rows.push_json(b"{\"a\":\"\xff\"}", "-").is_err());
        let twice = rows.push_json(br#"{"a-b":1,"a":{"b":2}}"#, "-");
        assert!(matches!(twice, Err(RowError::Twice(column)) if column == "a-b"));
        assert_eq!(rows, Rows::new());
        assert!(rows.push_json(br#"{"a-b":1,"a":{"b":2}}"#, ".").unwrap());
    }

    #[test]
    fn columns_are_set_renamed_and_taken_away() {
        let from = rows(&[r#"{"a":"1","b":2,"c":null}"#]);
        let row = from.get(0).unwrap();
        let mut to = Rows::new();
        to.push_with(row, &[("b", "x\"y"), ("d", "")]);
        to.push_changed(
            row,
            &|name| match name {
                "a" => Named::Other("z".into()),
                "b" => Named::Gone,
                _ => Named::Same,
            },
            &[],
        );
        to.push_columns([("k", "v")]);
        to.push_columns([]);
        assert_eq!(
            to.lines(),
            "{\"a\":\"1\",\"c\":null,\"b\":\"x\\\"y\",\"d\":\"\"}\n{\"z\":\"1\",\"c\":null}\n{\"k\":\"v\"}\n"
        );
    }
}
