//! Settings by name, read as what they should be.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde_json::Value;

use crate::failure::{Failure, FailureKind};
use crate::saga::container::{ContainerBuilder, Provider};

/// Settings by name, whatever the case of its letters. They are one service, so that none can
/// stand in the place of another.
#[derive(Clone, Default)]
pub struct Values(BTreeMap<String, String>);

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets.
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Values {
    /// Takes texts, numbers and truth values; space around them does not count. `null` is not
    /// there.
    ///
    /// # Errors
    ///
    /// When two names differ by case only, and when a value is a list or an object.
    pub fn new<N: AsRef<str>, V: Into<Value>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Result<Self, Failure> {
        let mut values = BTreeMap::new();
        for (name, value) in pairs {
            let name = name.as_ref();
            let wrong = |what: &str| {
                Failure::new(
                    FailureKind::InvalidParameter,
                    format!("the setting `{name}` {what}"),
                )
            };
            let text = match value.into() {
                Value::Null => continue,
                Value::String(text) => text.trim().to_owned(),
                Value::Number(number) => number.to_string(),
                Value::Bool(truth) => truth.to_string(),
                Value::Array(_) | Value::Object(_) => {
                    return Err(wrong("is neither a text nor a number"));
                }
            };
            if values.insert(name.to_ascii_lowercase(), text).is_some() {
                return Err(wrong("is there twice, with letters of another case"));
            }
        }
        Ok(Self(values))
    }

    /// Returns a setting.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    /// Returns a setting as what it should be.
    ///
    /// # Errors
    ///
    /// [`InvalidParameter`](FailureKind::InvalidParameter) when it is something else.
    pub fn parse<T: FromStr>(&self, name: &str) -> Result<Option<T>, Failure> {
        let Some(text) = self.get(name) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| {
            let what = std::any::type_name::<T>();
            Failure::new(
                FailureKind::InvalidParameter,
                format!("the setting `{name}` is not what it should be"),
            )
            .with("a", what)
        })
    }
}

/// Binds [`Values`] under the key `settings`.
#[derive(Debug, Clone, Default)]
pub struct ValuesProvider(
    /// The settings.
    pub Values,
);

impl Provider for ValuesProvider {
    fn key(&self) -> &'static str {
        "settings"
    }

    fn bind(self: Box<Self>, to: ContainerBuilder) -> ContainerBuilder {
        to.instance(self.0)
    }
}
