//! Templates of a mapping: text with `{paths}` in it that stand for values of a record.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde_json::Number;

use super::node::Node;

/// A value of a record.
#[derive(Debug, Clone)]
pub(super) enum Scalar<'a> {
    Text(&'a str),
    Number(&'a Number),
    Bool(bool),
    Other(&'a Node<'a>),
}

impl<'a> Scalar<'a> {
    /// Looks at a node; null is no value.
    pub(super) fn of(node: &'a Node<'a>) -> Option<Self> {
        Some(match node {
            Node::Null => return None,
            Node::Bool(yes) => Self::Bool(*yes),
            Node::Number(number) => Self::Number(number),
            Node::Text(text) => Self::Text(text),
            other => Self::Other(other),
        })
    }

    /// Returns it as text; lists and objects have none.
    pub(super) fn text(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Text(text) => Some(Cow::Borrowed(text.trim())).filter(|text| !text.is_empty()),
            Self::Number(number) => Some(Cow::Owned(number.to_string())),
            Self::Bool(yes) => Some(Cow::Borrowed(if *yes { "true" } else { "false" })),
            Self::Other(_) => None,
        }
    }
}

/// A record of a file.
pub(super) trait Record {
    /// Returns the value at a path; nothing when it is empty or not there.
    fn get(&self, path: &Path) -> Option<Scalar<'_>>;

    /// Returns the elements of the list at a path; one for what is no list.
    fn each(&self, path: &Path, split: Option<&str>) -> Vec<Element<'_>>;
}

/// An element of a list.
#[derive(Debug, Clone)]
pub(super) enum Element<'a> {
    Text(&'a str),
    Node(&'a Node<'a>),
}

impl Element<'_> {
    fn get(&self, steps: &[String]) -> Option<Scalar<'_>> {
        match self {
            Self::Text(text) if steps.is_empty() => Some(Scalar::Text(text)),
            Self::Text(_) => None,
            Self::Node(node) => Scalar::of(node.at(steps)?),
        }
    }
}

/// Where a value is: the name of a column, or fields of objects with dots between them. One that
/// begins with a dot looks into the present element of `each`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub(super) text: String,
    pub(super) steps: Vec<String>,
    pub(super) of_element: bool,
}

impl Path {
    fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("a path is empty; write `{name}`, or `{.}` for an element".to_owned());
        }
        let of_element = text.starts_with('.');
        let rest = text.strip_prefix('.').unwrap_or(text);
        let steps = match rest {
            "" => Vec::new(),
            rest => rest.split('.').map(str::to_owned).collect(),
        };
        Ok(Self {
            text: text.to_owned(),
            steps,
            of_element,
        })
    }
}

/// Text with paths in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Path(Path),
}

impl Template {
    /// Reads a template.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((path, after)) = after.split_once('}') else {
                return Err(format!("`{text}` opens `{{` and does not close it"));
            };
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            parts.push(Part::Path(Path::parse(path)?));
            rest = after;
        }
        if rest.contains('}') {
            return Err(format!("`{text}` closes `}}` and did not open it"));
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        match parts.is_empty() {
            true => Err("it is empty".to_owned()),
            false => Ok(Self(parts)),
        }
    }

    /// Returns its paths.
    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().filter_map(|part| match part {
            Part::Path(path) => Some(path),
            Part::Text(_) => None,
        })
    }

    /// Returns the value as it is, when the template is nothing but one path.
    pub(super) fn scalar<'r>(
        &self,
        record: &'r dyn Record,
        element: Option<&'r Element<'r>>,
    ) -> Option<Scalar<'r>> {
        match self.0.as_slice() {
            [Part::Path(path)] => get(path, record, element),
            _ => None,
        }
    }

    /// Fills it in; nothing when one of its values is missing.
    pub(super) fn fill<'r>(
        &'r self,
        record: &'r dyn Record,
        element: Option<&'r Element<'r>>,
    ) -> Option<Cow<'r, str>> {
        match self.0.as_slice() {
            [Part::Path(path)] => return get(path, record, element)?.text(),
            [Part::Text(text)] => return Some(Cow::Borrowed(text)),
            _ => {}
        }
        let mut filled = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Path(path) => filled.push_str(&get(path, record, element)?.text()?),
            }
        }
        Some(Cow::Owned(filled))
    }
}

fn get<'r>(
    path: &Path,
    record: &'r dyn Record,
    element: Option<&'r Element<'r>>,
) -> Option<Scalar<'r>> {
    match path.of_element {
        true => element?.get(&path.steps),
        false => record.get(path),
    }
}

impl<'de> Deserialize<'de> for Template {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text(Self::parse))
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Text(Self::parse))
    }
}

/// Reads a text by a function, so that what is wrong with it is told with its line.
struct Text<F>(F);

impl<T, F: FnOnce(&str) -> Result<T, String>> Visitor<'_> for Text<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text such as `{name}`")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<T, E> {
        self.visit_str(&number.to_string())
    }

    fn visit_bool<E: Error>(self, yes: bool) -> Result<T, E> {
        self.visit_str(if yes { "true" } else { "false" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_text_with_paths() {
        let paths = |text: &str| -> Vec<String> {
            let template = Template::parse(text).unwrap();
            template.paths().map(|path| path.text.clone()).collect()
        };
        assert_eq!(paths("{a.b}/{ c }!"), ["a.b", "c"]);
        assert_eq!(paths("{.}"), ["."]);
        assert!(paths("text").is_empty());
        for wrong in ["", "{", "{a", "a}", "{}", "{a}}"] {
            assert!(Template::parse(wrong).is_err(), "{wrong}");
        }
    }
}
