//! Log lines that say which request they are about.

use std::fmt;

use serde_json::Value;

use crate::saga::container::{ContainerBuilder, Provider};

/// Writes log lines with what names a request.
#[derive(Clone, Default)]
pub struct Logger {
    prefix: String,
    labels: Vec<(&'static str, String)>,
}

impl fmt::Debug for Logger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Logger").field(&self.prefix).finish()
    }
}

impl Logger {
    /// Writes lines about a request: its id before each, its labels (type, status, asset, tiers)
    /// behind.
    #[must_use]
    pub fn of(id: &str, labels: Vec<(&'static str, String)>) -> Self {
        Self {
            prefix: format!("{id} "),
            labels,
        }
    }

    /// Returns a line as it is written.
    #[must_use]
    pub fn line(&self, message: &str) -> String {
        let mut line = format!("{}{message}", self.prefix);
        for (name, value) in &self.labels {
            line.push_str(&format!(" {name}={value}"));
        }
        line
    }

    /// Says something that is as it should be.
    pub fn info(&self, message: &str) {
        tracing::info!("{}", self.line(message));
    }

    /// Says something that a person should look at.
    pub fn warn(&self, message: &str) {
        tracing::warn!("{}", self.line(message));
    }
}

/// Binds a [`Logger`] under the key `logger`: one that names no request. A container whose
/// deliveries bring their own binds that by
/// [`from_request`](ContainerBuilder::from_request) instead.
#[derive(Debug, Clone, Copy, Default)]
pub struct LoggerProvider;

impl Provider for LoggerProvider {
    fn key(&self) -> &'static str {
        "logger"
    }

    fn bind(self: Box<Self>, to: ContainerBuilder) -> ContainerBuilder {
        to.instance(Logger::default())
    }
}

/// Puts asterisks, as many as there are characters, in the place of the texts under some names,
/// however deep.
pub fn mask(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(object) => {
            for (name, value) in object {
                match value {
                    Value::String(text) if names.contains(&name.as_str()) => {
                        *text = "*".repeat(text.chars().count());
                    }
                    other => mask(other, names),
                }
            }
        }
        Value::Array(array) => {
            for value in array {
                mask(value, names);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
