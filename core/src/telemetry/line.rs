//! One line of the log.

use std::borrow::Cow;
use std::sync::Arc;

use super::Sink;
use super::clock;
use crate::secret::Redactor;

/// Names that every line has; a field of an event that is called the same gets a `_` behind.
const FIXED: [&str; 7] = [
    "ibm_datetime",
    "level",
    "label",
    "message",
    "connector",
    "source",
    "version",
];

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// One JSON object.
    Json,
    /// Text for people.
    Text {
        /// With colours.
        colour: bool,
    },
}

/// Who writes, as JSON lines tell.
#[derive(Debug, Clone, Default)]
pub struct Identity {
    /// Name of the connector.
    pub connector: String,
    /// Name of the source in the graph.
    pub source: String,
    /// Version of the connector.
    pub version: String,
}

/// The value of a field.
#[derive(Debug, Clone)]
pub enum Value {
    /// Text, which may hold a secret.
    Text(String),
    /// Texts, such as an error with its causes.
    Texts(Vec<String>),
    /// Anything else.
    Other(serde_json::Value),
}

/// Writes lines, without secrets.
pub struct LineWriter {
    format: LineFormat,
    identity: Identity,
    redactor: Arc<Redactor>,
    sink: Arc<dyn Sink>,
    clock: fn() -> u64,
}

impl LineWriter {
    /// Makes a writer of lines in this format.
    #[must_use]
    pub fn new(format: LineFormat, redactor: Arc<Redactor>, sink: Arc<dyn Sink>) -> Self {
        Self {
            format,
            identity: Identity::default(),
            redactor,
            sink,
            clock: clock::now,
        }
    }

    /// Sets who writes.
    #[must_use]
    pub fn identity(mut self, identity: Identity) -> Self {
        self.identity = identity;
        self
    }

    /// Sets the clock, which gives microseconds since 1970.
    #[must_use]
    pub fn clock(mut self, clock: fn() -> u64) -> Self {
        self.clock = clock;
        self
    }

    /// Writes a line.
    pub fn write(&self, level: &str, label: &str, message: &str, fields: &[(&'static str, Value)]) {
        let time = clock::timestamp((self.clock)());
        let line = match self.format {
            LineFormat::Json => self.json(&time, level, label, message, fields),
            LineFormat::Text { colour } => self.text(&time, level, message, fields, colour),
        };
        self.sink.line(&line);
    }

    fn json(
        &self,
        time: &str,
        level: &str,
        label: &str,
        message: &str,
        fields: &[(&'static str, Value)],
    ) -> String {
        let clean = |text: &str| serde_json::Value::from(self.redactor.redact(text)).to_string();
        let mut line = String::with_capacity(256);
        let mut add = |name: &str, value: &str| {
            line.push_str(if line.is_empty() { "{\"" } else { ",\"" });
            line.push_str(name);
            line.push_str("\":");
            line.push_str(value);
        };
        add("ibm_datetime", &clean(time));
        add("level", &clean(level));
        add("label", &clean(label));
        add("message", &clean(message));
        add("connector", &clean(&self.identity.connector));
        add("source", &clean(&self.identity.source));
        add("version", &clean(&self.identity.version));
        for (name, value) in fields {
            let value = match value {
                Value::Text(text) => clean(text),
                Value::Texts(texts) => {
                    let texts: Vec<String> = texts.iter().map(|text| clean(text)).collect();
                    format!("[{}]", texts.join(","))
                }
                Value::Other(value) => value.to_string(),
            };
            if FIXED.contains(name) {
                add(&format!("{name}_"), &value)
            } else {
                add(name, &value)
            }
        }
        line.push('}');
        line
    }

    fn text(
        &self,
        time: &str,
        level: &str,
        message: &str,
        fields: &[(&'static str, Value)],
        colour: bool,
    ) -> String {
        let (on, off) = match level {
            _ if !colour => ("", ""),
            "ERROR" => ("\u{1b}[31m", "\u{1b}[0m"),
            "WARN" => ("\u{1b}[33m", "\u{1b}[0m"),
            _ => ("\u{1b}[2m", "\u{1b}[0m"),
        };
        let clock = time.get(11..19).unwrap_or(time);
        let clean = |text: &str| printable(&self.redactor.redact(text)).into_owned();
        let mut line = format!("{clock}Z {on}{level:<5}{off} {}", clean(message));
        for (position, (name, value)) in fields.iter().enumerate() {
            let value = match value {
                Value::Text(text) => clean(text),
                Value::Texts(texts) => clean(&texts.join(": ")),
                Value::Other(value) => value.to_string(),
            };
            let before = if position == 0 { " (" } else { ", " };
            line.push_str(&format!("{before}{name} {value}"));
        }
        if !fields.is_empty() {
            line.push(')');
        }
        line
    }
}

/// Gives a text on one line, without characters that would steer a terminal.
#[must_use]
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.contains(|character: char| character.is_control()) {
        return Cow::Borrowed(text);
    }
    let shown = |character: char| match character {
        '\n' | '\r' | '\t' => ' ',
        character if character.is_control() => char::REPLACEMENT_CHARACTER,
        character => character,
    };
    Cow::Owned(text.chars().map(shown).collect())
}
