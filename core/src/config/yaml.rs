//! The YAML file with settings: one map from flag names to values.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde_yaml::Value;

use super::catalog::{Catalog, Kind, Setting};
use super::origin::Origin;
use crate::failure::{Failure, FailureKind};

/// Largest file that is read; settings are small.
const LARGEST_FILE: u64 = 1 << 20;

/// Values of a setting with the place they are from.
pub(super) struct Entry {
    /// As they would stand on the command line.
    pub values: Vec<String>,
    /// Key and line.
    pub origin: Origin,
}

/// Reads the file. Gives entries by long flag; keys without a value are left out.
pub(super) fn read(file: &Path, catalog: &Catalog) -> Result<BTreeMap<String, Entry>, Failure> {
    let shown = file.display();
    let wrong = |message: String| Failure::new(FailureKind::InvalidParameter, message);
    let mut text = String::new();
    File::open(file)
        .and_then(|opened| opened.take(LARGEST_FILE + 1).read_to_string(&mut text))
        .map_err(|error| {
            wrong(format!(
                "cannot read the settings file {shown} (flag --config)"
            ))
            .because(error)
        })?;
    if text.len() as u64 > LARGEST_FILE {
        return Err(
            wrong(format!("the settings file {shown} has more than 1 MiB"))
                .hint("check that --config names a file with settings"),
        );
    }
    parse(file, &text, catalog)
}

/// Reads the text of the file.
pub(super) fn parse(
    file: &Path,
    text: &str,
    catalog: &Catalog,
) -> Result<BTreeMap<String, Entry>, Failure> {
    let shown = file.display();
    let wrong = |message: String| Failure::new(FailureKind::InvalidParameter, message);
    let value: Value = serde_yaml::from_str(text).map_err(|error| {
        let place = error.location().map_or_else(String::new, |location| {
            format!(", line {} column {}", location.line(), location.column())
        });
        // The library's own message may quote the text, and so a secret.
        if error.to_string().contains("duplicate entry") {
            return wrong(format!("the settings file {shown} has a key twice{place}"))
                .hint("keep one of the two lines");
        }
        wrong(format!("the settings file {shown} is not valid YAML{place}")).hint(
            "check the spaces at line starts, and that a value with `: `, `#` or a quote in it is quoted",
        )
    })?;
    let map = match value {
        Value::Null => return Ok(BTreeMap::new()),
        Value::Mapping(map) => map,
        other => {
            return Err(wrong(format!(
                "the settings file {shown} holds {}, not a map of settings",
                type_name(&other)
            ))
            .hint("write one `key: value` a line"));
        }
    };
    let mut entries = BTreeMap::new();
    for (key, value) in &map {
        let Some(key) = key.as_str() else {
            return Err(wrong(format!(
                "a key of the settings file {shown} is {}, not text",
                type_name(key)
            )));
        };
        let flag = key.replace('_', "-");
        let line = line_of(text, key);
        let origin = Origin::File {
            file: file.to_owned(),
            key: key.to_owned(),
            line,
        };
        let Some(setting) = catalog.setting(&flag).filter(|setting| setting.in_files) else {
            return Err(unknown(&flag, &origin, catalog));
        };
        if let Some(values) = values(setting, value, &origin)? {
            let entry = Entry {
                values,
                origin: origin.clone(),
            };
            if entries.insert(flag, entry).is_some() {
                return Err(wrong(format!("`{}` is set twice: {origin}", setting.flag))
                    .hint("`-` and `_` mean the same in keys; keep one of the two lines"));
            }
        }
    }
    Ok(entries)
}

fn unknown(flag: &str, origin: &Origin, catalog: &Catalog) -> Failure {
    let failure = Failure::new(
        FailureKind::InvalidParameter,
        format!("unknown setting: {origin}"),
    );
    if catalog.setting(flag).is_some() {
        return failure.hint(format!("`--{flag}` can only be given on the command line"));
    }
    let nearest = catalog
        .settings()
        .iter()
        .filter(|setting| setting.in_files && !setting.hidden)
        .map(|setting| (strsim::jaro_winkler(flag, &setting.flag), &setting.flag))
        .max_by(|one, other| one.0.total_cmp(&other.0));
    match nearest {
        Some((likeness, nearest)) if likeness > 0.7 => {
            failure.hint(format!("did you mean `{nearest}`?"))
        }
        _ => failure.hint("keys are the long flags without dashes in front; --help lists them"),
    }
}

/// Gives the values as they would stand on the command line, `None` when there is none.
fn values(
    setting: &Setting,
    value: &Value,
    origin: &Origin,
) -> Result<Option<Vec<String>>, Failure> {
    match value {
        Value::Null => Ok(None),
        Value::Sequence(list) if setting.many => list
            .iter()
            .map(|value| scalar(setting, value, origin))
            .collect::<Result<_, _>>()
            .map(Some),
        value => scalar(setting, value, origin).map(|value| Some(vec![value])),
    }
}

fn scalar(setting: &Setting, value: &Value, origin: &Origin) -> Result<String, Failure> {
    let expected = match setting.kind {
        Kind::Switch => "true or false",
        Kind::Text | Kind::Secret => "text",
        Kind::Other if setting.many => "one value or a list of values",
        Kind::Other => "one value",
    };
    match (setting.kind, value) {
        (_, Value::String(text)) => Ok(text.clone()),
        (Kind::Switch | Kind::Other, Value::Bool(yes)) => Ok(yes.to_string()),
        (Kind::Other, Value::Number(number)) => Ok(number.to_string()),
        (kind, value) => {
            let failure = Failure::new(
                FailureKind::InvalidParameter,
                format!("expected {expected}, found {}: {origin}", type_name(value)),
            );
            Err(match (kind, value) {
                (Kind::Text | Kind::Secret, Value::Number(_) | Value::Bool(_)) => {
                    failure.hint("put the value in quotes")
                }
                _ => failure,
            })
        }
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "text",
        Value::Sequence(_) => "a list",
        Value::Mapping(_) => "a map",
        Value::Tagged(_) => "a tagged value",
    }
}

/// Finds the line of a key: the parser does not tell it for maps.
fn line_of(text: &str, key: &str) -> Option<usize> {
    let is_key = |line: &str| {
        let bare = line.trim_start_matches(['"', '\'']);
        bare.strip_prefix(key)
            .map(|rest| rest.trim_start_matches(['"', '\'']).trim_start())
            .is_some_and(|rest| rest.starts_with(':'))
    };
    text.lines().position(is_key).map(|position| position + 1)
}
