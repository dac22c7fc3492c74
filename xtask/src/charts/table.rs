//! The table of a chart's values in its page: defaults from `values.yaml`, words from
//! `values.schema.json`, so that neither is told twice.

use std::fmt::Write as _;

use anyhow::{Context, Result, bail};
use serde_yaml::Value;

/// Lines of a page between which the table stands.
const MARKS: [&str; 2] = ["<!-- values -->", "<!-- end of values -->"];

/// Makes the table.
///
/// # Errors
///
/// When a file is not what it should be, or a value has no description.
pub(super) fn of(values: &str, schema: &str) -> Result<String> {
    let values: Value = serde_yaml::from_str(values).context("values.yaml is no YAML")?;
    let schema: Value = serde_yaml::from_str(schema).context("values.schema.json is no JSON")?;
    let mut rows = Vec::new();
    // Both are read as YAML, which JSON is too: the order of the values is theirs.
    collect(&schema, Some(&values), "", &mut rows)?;
    let mut table = String::from("| Value | Default | Meaning |\n|---|---|---|\n");
    for row in rows {
        writeln!(table, "| `{}` | {} | {} |", row.name, row.usual, row.words)?;
    }
    Ok(table)
}

/// Puts a table into a page.
///
/// # Errors
///
/// When the page lacks a mark.
pub(super) fn put_in(page: &str, table: &str) -> Result<String> {
    let [begin, end] = MARKS;
    let Some((head, rest)) = page.split_once(begin) else {
        bail!("it lacks the line `{begin}`");
    };
    let Some((_, tail)) = rest.split_once(end) else {
        bail!("it lacks the line `{end}`");
    };
    Ok(format!("{head}{begin}\n{table}{end}{tail}"))
}

struct Row {
    name: String,
    usual: String,
    words: String,
}

/// Adds the rows of an object's properties, and of the entries of lists below it.
fn collect(schema: &Value, values: Option<&Value>, path: &str, rows: &mut Vec<Row>) -> Result<()> {
    let Some(properties) = schema.get("properties").and_then(Value::as_mapping) else {
        return Ok(());
    };
    let required = schema.get("required").and_then(Value::as_sequence);
    for (key, property) in properties {
        let key = key.as_str().context("a value whose name is no text")?;
        let name = if path.is_empty() {
            key.to_owned()
        } else {
            format!("{path}.{key}")
        };
        let value = values.and_then(|values| values.get(key));
        let words = property.get("description").and_then(Value::as_str);
        if let Some(words) = words {
            let must = required.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(key)));
            rows.push(Row {
                name: name.clone(),
                usual: usual(value, property, must),
                words: words.replace('|', "\\|"),
            });
        } else if property.get("properties").is_none() {
            bail!("{name} has no description");
        }
        collect(property, value, &name, rows)?;
        if let Some(items) = property.get("items") {
            collect(items, None, &format!("{name}[]"), rows)?;
        }
    }
    Ok(())
}

/// What a value is when nobody sets it.
fn usual(value: Option<&Value>, property: &Value, must: bool) -> String {
    if must {
        return "required".to_owned();
    }
    match (value, property.get("default")) {
        (Some(Value::String(text)), _) if text.is_empty() => String::new(),
        (Some(Value::String(text)), _) => format!("`{text}`"),
        (None, Some(Value::String(text))) => text.clone(),
        (Some(other), _) | (None, Some(other)) => {
            let text = serde_json::to_string(other).unwrap_or_default();
            format!("`{text}`")
        }
        (None, None) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::{of, put_in};

    const SCHEMA: &str = r#"{"properties": {
        "a": {"description": "An a."},
        "b": {"properties": {"c": {"description": "One | two."}}},
        "list": {"description": "Entries.", "items": {
            "required": ["name"],
            "properties": {"name": {"description": "Its name."}}
        }}
    }}"#;

    #[test]
    fn values_are_told_with_their_defaults() {
        let table = of("a: 1\nb: {c: text}\nlist: []\n", SCHEMA).unwrap();
        let rows: Vec<&str> = table.lines().skip(2).collect();
        assert_eq!(
            rows,
            [
                "| `a` | `1` | An a. |",
                "| `b.c` | `text` | One \\| two. |",
                "| `list` | `[]` | Entries. |",
                "| `list[].name` | required | Its name. |",
            ]
        );
    }

    #[test]
    fn a_value_without_words_is_refused() {
        let error = of("{}", r#"{"properties": {"a": {"type": "string"}}}"#).unwrap_err();
        assert_eq!(error.to_string(), "a has no description");
    }

    #[test]
    fn a_table_replaces_the_one_before() {
        let page = "# T\n<!-- values -->\nold\n<!-- end of values -->\nmore\n";
        let new = "# T\n<!-- values -->\nnew\n<!-- end of values -->\nmore\n";
        assert_eq!(put_in(page, "new\n").unwrap(), new);
        assert!(put_in("# T\n", "new\n").is_err());
    }
}
