//! `name={brand} {model|upper}`: what a column is set to.

use std::borrow::Cow;
use std::str::FromStr;

use car_core::exchange::Row;

/// A column, and what it is set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Setting {
    /// Its name.
    pub(super) column: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Column { name: String, filters: Vec<Filter> },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Filter {
    Trim,
    Upper,
    Lower,
    Default(String),
    Required,
}

impl Setting {
    /// Sets a column to what another one has.
    pub(super) fn copy(column: &str, from: &str) -> Self {
        Self {
            column: column.to_owned(),
            parts: vec![Part::Column {
                name: from.to_owned(),
                filters: Vec::new(),
            }],
        }
    }

    /// Returns the text for a row, or why there is none.
    pub(super) fn text<'r>(&self, row: Row<'r>) -> Result<Cow<'r, str>, String> {
        if let [Part::Column { name, filters }] = self.parts.as_slice() {
            return value(row, name, filters);
        }
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(part) => text.push_str(part),
                Part::Column { name, filters } => text.push_str(&value(row, name, filters)?),
            }
        }
        Ok(text.into())
    }
}

fn value<'r>(row: Row<'r>, name: &str, filters: &[Filter]) -> Result<Cow<'r, str>, String> {
    let mut text = row
        .get(name)
        .map_or(Cow::Borrowed(""), |value| value.text());
    for filter in filters {
        text = match filter {
            Filter::Trim => text.trim().to_owned().into(),
            Filter::Upper => text.to_uppercase().into(),
            Filter::Lower => text.to_lowercase().into(),
            Filter::Default(other) if text.is_empty() => other.clone().into(),
            Filter::Required if text.is_empty() => {
                return Err(format!("column `{name}` is empty"));
            }
            Filter::Default(_) | Filter::Required => text,
        };
    }
    Ok(text)
}

impl FromStr for Setting {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((column, template)) = text.split_once('=') else {
            return Err("write `COLUMN=TEXT`, as in `name={brand} {model}`".to_owned());
        };
        if column.trim().is_empty() {
            return Err("there is no name in front of the `=`".to_owned());
        }
        let mut parts = Vec::new();
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('{') {
            let Some((inner, after)) = after.split_once('}') else {
                return Err("a `{` is not closed".to_owned());
            };
            if !before.is_empty() {
                parts.push(Part::Text(before.to_owned()));
            }
            let mut words = inner.split('|');
            let name = words.next().unwrap_or_default().trim();
            if name.is_empty() {
                return Err("there is no name of a column between `{` and `}`".to_owned());
            }
            parts.push(Part::Column {
                name: name.to_owned(),
                filters: words.map(filter).collect::<Result<_, _>>()?,
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        Ok(Self {
            column: column.trim().to_owned(),
            parts,
        })
    }
}

fn filter(word: &str) -> Result<Filter, String> {
    Ok(match word.trim() {
        "trim" => Filter::Trim,
        "upper" => Filter::Upper,
        "lower" => Filter::Lower,
        "required" => Filter::Required,
        other => match other.strip_prefix("default:") {
            Some(text) => Filter::Default(text.to_owned()),
            None => {
                return Err(format!(
                    "`{other}` is none of trim, upper, lower, required and default:TEXT"
                ));
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use car_core::exchange::Rows;

    use super::*;

    fn set(setting: &str) -> Result<String, String> {
        let mut rows = Rows::new();
        rows.push_columns([("brand", " Acme "), ("model", "x1"), ("none", "")]);
        let setting: Setting = setting.parse()?;
        setting.text(rows.get(0).unwrap()).map(Cow::into_owned)
    }

    #[test]
    fn columns_are_put_together() {
        for (setting, text) in [
            ("name={brand}", " Acme "),
            ("name={brand|trim} {model|upper}!", "Acme X1!"),
            ("name={brand|trim|lower}", "acme"),
            ("name={other}", ""),
            ("name={none|default:-}={other|default:a b}", "-=a b"),
            ("name=plain", "plain"),
            ("name=", ""),
        ] {
            assert_eq!(set(setting).as_deref(), Ok(text), "{setting}");
        }
        assert_eq!(
            set("name={none|required}"),
            Err("column `none` is empty".to_owned())
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (setting, reason) in [
            ("name", "COLUMN=TEXT"),
            ("=x", "in front of"),
            ("name={brand", "not closed"),
            ("name={}", "no name"),
            ("name={brand|loud}", "`loud`"),
        ] {
            assert!(set(setting).unwrap_err().contains(reason), "{setting}");
        }
    }
}
