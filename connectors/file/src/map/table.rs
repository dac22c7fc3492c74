//! Files whose rows a mapping explains: CSV, JSON and JSON Lines.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::io::BufRead;

use csv::ByteRecord;
use serde::de::{
    DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use super::File;
use super::apply::apply;
use super::longest::Longest;
use super::mapping::Mapping;
use super::model_rows::{each_line, in_line};
use super::node::Node;
use super::template::{Element, Path, Record, Scalar};
use crate::error::Broken;
use crate::rows::Out;

/// A row of CSV.
struct Row<'a> {
    cells: &'a ByteRecord,
    columns: &'a HashMap<&'a str, usize>,
}

impl Row<'_> {
    fn text(&self, path: &Path) -> Option<&str> {
        let cell = self.cells.get(*self.columns.get(path.text.as_str())?)?;
        // The record as a whole was checked.
        let text = std::str::from_utf8(cell).ok()?.trim();
        (!text.is_empty()).then_some(text)
    }
}

impl Record for Row<'_> {
    fn get(&self, path: &Path) -> Option<Scalar<'_>> {
        self.text(path).map(Scalar::Text)
    }

    fn each(&self, path: &Path, split: Option<&str>) -> Vec<Element<'_>> {
        match (self.text(path), split) {
            (Some(text), Some(split)) => parts(text, split),
            (Some(text), None) => vec![Element::Text(text)],
            (None, _) => Vec::new(),
        }
    }
}

impl Record for Node<'_> {
    fn get(&self, path: &Path) -> Option<Scalar<'_>> {
        Scalar::of(self.at(&path.steps)?)
    }

    fn each(&self, path: &Path, split: Option<&str>) -> Vec<Element<'_>> {
        match (self.at(&path.steps), split) {
            (None | Some(Node::Null), _) => Vec::new(),
            (Some(Node::List(nodes)), _) => nodes.iter().map(Element::Node).collect(),
            (Some(Node::Text(text)), Some(split)) => parts(text, split),
            (Some(node), _) => vec![Element::Node(node)],
        }
    }
}

fn parts<'a>(text: &'a str, split: &str) -> Vec<Element<'a>> {
    text.split(split)
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(Element::Text)
        .collect()
}

/// Reads CSV.
pub(super) fn csv(
    file: File<'_>,
    mapping: &Mapping,
    content: &mut dyn BufRead,
    out: &mut Out<'_>,
) -> Result<(), Broken> {
    // Excel writes it.
    if content.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
        content.consume(3);
    }
    let (content, since) = Longest::new(file, content);
    let delimiter = mapping.delimiter.and_then(|c| u8::try_from(c).ok());
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter.unwrap_or(b','))
        .has_headers(false)
        .flexible(false)
        .buffer_capacity(256 * 1024)
        .from_reader(content);
    let mut cells = ByteRecord::new();
    let named: Vec<String> = match &mapping.columns {
        Some(columns) => columns.clone(),
        None => {
            // An empty file has no rows, and needs no names of columns.
            if !reader.read_byte_record(&mut cells).map_err(broken)? {
                return Ok(());
            }
            check(&cells)?;
            let text = |cell: &[u8]| String::from_utf8_lossy(cell).trim().to_owned();
            cells.iter().map(text).collect()
        }
    };
    let columns: HashMap<&str, usize> = named.iter().map(String::as_str).zip(0..).collect();
    for path in mapping.paths() {
        if !columns.contains_key(path.text.as_str()) {
            return Err(Broken::at(
                1,
                1,
                format!(
                    "there is no column `{}`; there are {}",
                    path.text,
                    named.join(", ")
                ),
            ));
        }
    }
    while reader.read_byte_record(&mut cells).map_err(broken)? {
        since.reset();
        check(&cells)?;
        let line = cells.position().map_or(0, csv::Position::line);
        let row = Row {
            cells: &cells,
            columns: &columns,
        };
        out.record(|rows| apply(mapping, &row, &format_args!("line {line}"), rows))?;
    }
    Ok(())
}

fn check(cells: &ByteRecord) -> Result<(), Broken> {
    if cells.as_slice().is_ascii() {
        return Ok(());
    }
    let wrong = cells
        .iter()
        .position(|cell| std::str::from_utf8(cell).is_err());
    match wrong {
        None => Ok(()),
        Some(cell) => Err(Broken::Content {
            line: cells.position().map(csv::Position::line),
            column: Some((cell as u64).saturating_add(1)),
            reason: "the cell is no UTF-8".to_owned(),
        }),
    }
}

fn broken(error: csv::Error) -> Broken {
    let line = error.position().map(csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::Io(error) => error.into(),
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => Broken::Content {
            line,
            column: Some(len.min(expected_len).saturating_add(1)),
            reason: format!("the row has {len} cells, and the first one has {expected_len}"),
        },
        other => Broken::Content {
            line,
            column: None,
            reason: format!("{other:?}"),
        },
    }
}

/// Reads JSON Lines.
pub(super) fn json_lines(
    mapping: &Mapping,
    content: &mut dyn BufRead,
    out: &mut Out<'_>,
) -> Result<(), Broken> {
    each_line(content, |number, line| {
        let node: Node<'_> =
            serde_json::from_slice(line).map_err(|error| in_line(number, &error))?;
        out.record(|rows| apply(mapping, &node, &format_args!("line {number}"), rows))
    })
}

/// Reads JSON: a list of rows, or one row, at the place that the mapping names. One row after the
/// other is in memory, not the document.
pub(super) fn json(
    file: File<'_>,
    mapping: &Mapping,
    content: &mut dyn BufRead,
    out: &mut Out<'_>,
) -> Result<(), Broken> {
    let steps = mapping.rows.as_ref().map_or(&[][..], |path| &path.steps);
    let mut stopped = None;
    let mut number = 0_u64;
    if content.fill_buf()?.starts_with(b"\xef\xbb\xbf") {
        content.consume(3);
    }
    let (content, since) = Longest::new(file, content);
    let mut take = |node: Node<'_>| {
        since.reset();
        number = number.saturating_add(1);
        out.record(|rows| apply(mapping, &node, &format_args!("row {number}"), rows))
            .map_err(|error| stopped = Some(error))
    };
    let mut deserializer = serde_json::Deserializer::from_reader(content);
    let walk = Walk {
        steps,
        take: &mut take,
    };
    let walked = walk.deserialize(&mut deserializer).and_then(|found| {
        deserializer.end()?;
        Ok(found)
    });
    match (walked, stopped) {
        (_, Some(stopped)) => Err(stopped),
        (Err(error), None) => Err(error.into()),
        (Ok(true), None) => Ok(()),
        (Ok(false), None) => Err(Broken::at(
            1,
            1,
            format!("there are no rows at `{}`", steps.join(".")),
        )),
    }
}

/// Walks to the rows; tells whether there are any.
struct Walk<'a, F> {
    steps: &'a [String],
    take: &'a mut F,
}

impl<'de, F: FnMut(Node<'_>) -> Result<(), ()>> DeserializeSeed<'de> for Walk<'_, F> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, F: FnMut(Node<'_>) -> Result<(), ()>> Visitor<'de> for Walk<'_, F> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object, or a list of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        if !self.steps.is_empty() {
            while list.next_element::<IgnoredAny>()?.is_some() {}
            return Ok(false);
        }
        while let Some(node) = list.next_element::<Node<'de>>()? {
            (self.take)(node).map_err(|()| A::Error::custom("stopped"))?;
        }
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<bool, A::Error> {
        let Some((step, steps)) = self.steps.split_first() else {
            let mut fields = Vec::new();
            while let Some((name, node)) = map.next_entry::<String, Node<'de>>()? {
                fields.push((Cow::Owned(name), node));
            }
            (self.take)(Node::Object(fields)).map_err(|()| A::Error::custom("stopped"))?;
            return Ok(true);
        };
        let mut found = false;
        while let Some(name) = map.next_key::<String>()? {
            if name == *step {
                found |= map.next_value_seed(Walk {
                    steps,
                    take: &mut *self.take,
                })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}
