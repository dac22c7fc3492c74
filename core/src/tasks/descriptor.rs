//! What a task is: any JSON, whose canonical text is its identity.
//!
//! Two descriptors that mean the same are the same, whatever the order of their keys, their
//! spaces, and whether a number is written `1` or `1.0`.

use std::fmt;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Number, Value};
use sha2::{Digest as _, Sha256};

use super::error::TaskError;

/// Largest canonical text, in bytes: a descriptor names work, it does not carry it.
pub const LARGEST_DESCRIPTOR: usize = 16 * 1024;
/// Deepest nesting.
const DEEPEST: usize = 32;
/// Numbers from here on cannot be told apart once they are read.
const LARGEST_EXACT: f64 = 9_007_199_254_740_992.0;

/// What a task is, within its connector.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TaskDescriptor(Arc<str>);

impl TaskDescriptor {
    /// Makes a descriptor of anything that is JSON.
    ///
    /// # Errors
    ///
    /// [`TaskError::Descriptor`] when it is no JSON, too large, nested too deep, or has a number
    /// that could be mistaken for another.
    pub fn new(value: impl Serialize) -> Result<Self, TaskError> {
        let value = serde_json::to_value(value)
            .map_err(|error| TaskError::Descriptor(format!("it is no JSON: {error}")))?;
        let mut text = String::new();
        write(&value, 0, &mut text)?;
        if text.len() > LARGEST_DESCRIPTOR {
            return Err(TaskError::Descriptor(format!(
                "it has {} bytes, and may have {LARGEST_DESCRIPTOR}",
                text.len()
            )));
        }
        Ok(Self(text.into()))
    }

    /// Reads a descriptor from JSON text in any form.
    ///
    /// # Errors
    ///
    /// As [`TaskDescriptor::new`].
    pub fn parse(text: &str) -> Result<Self, TaskError> {
        let value: Value = serde_json::from_str(text)
            .map_err(|error| TaskError::Descriptor(format!("it is no JSON: {error}")))?;
        Self::new(value)
    }

    /// Returns the canonical text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns it as JSON.
    #[must_use]
    pub fn value(&self) -> Value {
        serde_json::from_str(&self.0).unwrap_or_default()
    }

    /// Reads it into a type of the connector's own.
    ///
    /// # Errors
    ///
    /// When it is not what the type asks for.
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, serde_json::Error> {
        serde_json::from_str(&self.0)
    }

    /// Returns the id of the task in a connector: the same wherever and whenever it is asked for.
    #[must_use]
    pub fn id(&self, connector: &str) -> TaskId {
        let mut hash = Sha256::new();
        hash.update(connector.as_bytes());
        hash.update([0]);
        hash.update(self.0.as_bytes());
        let text: String = hash
            .finalize()
            .iter()
            .take(16)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        TaskId(text)
    }
}

impl fmt::Debug for TaskDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for TaskDescriptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for TaskDescriptor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for TaskDescriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// The id of a task: 32 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TaskId(String);

impl TaskId {
    /// Takes an id from outside, however malformed: an unknown one finds nothing.
    pub fn from_text(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn write(value: &Value, depth: usize, text: &mut String) -> Result<(), TaskError> {
    if depth > DEEPEST {
        return Err(TaskError::Descriptor(format!(
            "it is nested deeper than {DEEPEST} levels"
        )));
    }
    match value {
        Value::Null => text.push_str("null"),
        Value::Bool(yes) => text.push_str(if *yes { "true" } else { "false" }),
        Value::Number(number) => write_number(number, text)?,
        Value::String(string) => text.push_str(&quoted(string)),
        Value::Array(list) => {
            text.push('[');
            for (position, value) in list.iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                write(value, depth.saturating_add(1), text)?;
            }
            text.push(']');
        }
        Value::Object(object) => {
            let mut fields: Vec<(&String, &Value)> = object.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            text.push('{');
            for (position, (key, value)) in fields.into_iter().enumerate() {
                if position > 0 {
                    text.push(',');
                }
                text.push_str(&quoted(key));
                text.push(':');
                write(value, depth.saturating_add(1), text)?;
            }
            text.push('}');
        }
    }
    Ok(())
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn write_number(number: &Number, text: &mut String) -> Result<(), TaskError> {
    let Some(float) = number.as_f64().filter(|_| number.is_f64()) else {
        text.push_str(&number.to_string());
        return Ok(());
    };
    if float.abs() >= LARGEST_EXACT {
        return Err(TaskError::Descriptor(format!(
            "number {number} cannot be told from its neighbours; write it as text"
        )));
    }
    if float.fract() == 0.0 {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "whole and below 2^53, as was just checked"
        )]
        text.push_str(&(float as i64).to_string());
    } else {
        text.push_str(&number.to_string());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_means_the_same_is_the_same() {
        let one = TaskDescriptor::parse(r#"{"b": [1.0, -0.0, {"y": 1, "x": null}], "a": "é"}"#);
        let other = TaskDescriptor::parse("{\"a\":\"\\u00e9\",\"b\":[1,0,{\"x\":null,\"y\":1}]}");
        assert_eq!(one.as_ref().unwrap(), other.as_ref().unwrap());
        assert_eq!(one.unwrap().id("c"), other.unwrap().id("c"));
    }

    #[test]
    fn what_differs_differs() {
        let texts = ["1", "\"1\"", "1.5", "null", "[]", "{}", "[1,2]", "[2,1]"];
        let mut all: Vec<TaskDescriptor> = texts
            .iter()
            .map(|text| TaskDescriptor::parse(text).unwrap())
            .collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), texts.len());
        let task = TaskDescriptor::new(json!("directory")).unwrap();
        assert_ne!(task.id("one"), task.id("other"));
    }

    #[test]
    fn what_cannot_name_a_task_is_refused() {
        let deep = "[".repeat(40) + &"]".repeat(40);
        let large = format!("\"{}\"", "x".repeat(LARGEST_DESCRIPTOR));
        for text in [
            "",
            "{",
            "1e300",
            "123456789012345678901234567890",
            &deep,
            &large,
        ] {
            let refused = TaskDescriptor::parse(text);
            assert!(
                matches!(refused, Err(TaskError::Descriptor(_))),
                "{text:.40}"
            );
        }
    }
}
