//! Columns below columns become columns with longer names.

use super::scan::{Fields, quote};

/// Writes an object without objects and lists in it: `{"a":{"b":1},"l":[2,3]}` becomes
/// `{"a-b":1,"l-0":2,"l-1":3}`. Empty objects and lists go.
///
/// # Errors
///
/// The name of a column that would be there twice.
pub(super) fn flatten(json: &str, separator: &str, to: &mut String) -> Result<(), String> {
    let mut flat: Vec<(String, &str)> = Vec::new();
    for (name, value) in Fields::of(json) {
        spread(name.into_owned(), value.raw(), separator, &mut flat);
    }
    let mut names: Vec<&str> = flat.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let twice = names.windows(2).find(|pair| pair.first() == pair.last());
    if let Some(name) = twice.and_then(|pair| pair.first()) {
        return Err((*name).to_owned());
    }
    to.push('{');
    for (position, (name, value)) in flat.iter().enumerate() {
        if position > 0 {
            to.push(',');
        }
        quote(to, name);
        to.push(':');
        to.push_str(value);
    }
    to.push('}');
    Ok(())
}

fn spread<'a>(name: String, raw: &'a str, separator: &str, flat: &mut Vec<(String, &'a str)>) {
    if raw.starts_with('{') {
        for (inner, value) in Fields::of(raw) {
            let name = format!("{name}{separator}{inner}");
            spread(name, value.raw(), separator, flat);
        }
    } else if raw.starts_with('[') {
        // Known to be JSON, so it can be taken apart.
        let elements: Vec<&serde_json::value::RawValue> =
            serde_json::from_str(raw).unwrap_or_default();
        for (position, value) in elements.iter().enumerate() {
            let name = format!("{name}{separator}{position}");
            spread(name, value.get(), separator, flat);
        }
    } else {
        flat.push((name, raw));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nested_columns_get_longer_names() {
        for (json, separator, expected) in [
            (
                r#"{"a":{"b":{"c":1},"d":"x"},"e":[true,{"f":null}],"g":{},"h":[]}"#,
                "-",
                r#"{"a-b-c":1,"a-d":"x","e-0":true,"e-1-f":null}"#,
            ),
            (r#"{"a":{"b":1}}"#, ".", r#"{"a.b":1}"#),
            (r#"{"a":{}}"#, "-", "{}"),
        ] {
            let mut flat = String::new();
            flatten(json, separator, &mut flat).unwrap();
            assert_eq!(flat, expected);
        }
    }
}
