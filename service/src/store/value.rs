//! The values that travel between the service and its database.

/// One value of a row or an argument of a statement.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    /// Nothing.
    Null,
    /// True or false; SQLite keeps it as 1 or 0.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any finite number.
    Float(f64),
    /// Text; JSON too is kept as text.
    Text(String),
}

/// What a column holds, in the words that both databases share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnType {
    /// Text and JSON.
    Text,
    /// A 64-bit whole number.
    Int,
    /// A 64-bit floating point number.
    Float,
    /// True or false.
    Bool,
}

impl Value {
    pub(crate) fn text(value: impl Into<String>) -> Self {
        Self::Text(value.into())
    }

    pub(crate) fn opt_text(value: Option<impl Into<String>>) -> Self {
        value.map_or(Self::Null, Self::text)
    }

    pub(crate) fn opt_int(value: Option<i64>) -> Self {
        value.map_or(Self::Null, Self::Int)
    }

    pub(crate) fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Bool(value) => Some(i64::from(*value)),
            Self::Null | Self::Float(_) | Self::Text(_) => None,
        }
    }

    pub(crate) fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(value) => Some(*value),
            #[expect(
                clippy::cast_precision_loss,
                reason = "the column holds floating point"
            )]
            Self::Int(value) => Some(*value as f64),
            Self::Null | Self::Bool(_) | Self::Text(_) => None,
        }
    }

    pub(crate) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(value) => Some(value),
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) => None,
        }
    }

    pub(crate) fn into_text(self) -> Option<String> {
        match self {
            Self::Text(value) => Some(value),
            Self::Null | Self::Bool(_) | Self::Int(_) | Self::Float(_) => None,
        }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

/// A row as it came from the database.
#[derive(Debug, Clone, Default)]
pub(crate) struct Row(pub(crate) Vec<Value>);

impl Row {
    pub(crate) fn get(&self, index: usize) -> &Value {
        const NULL: &Value = &Value::Null;
        self.0.get(index).unwrap_or(NULL)
    }

    pub(crate) fn int(&self, index: usize) -> Option<i64> {
        self.get(index).as_int()
    }

    pub(crate) fn str(&self, index: usize) -> Option<&str> {
        self.get(index).as_str()
    }
}
