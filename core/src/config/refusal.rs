//! What is said about a command line that cannot be understood.

use clap::error::{ContextKind, ContextValue, ErrorKind};

use super::catalog::{Catalog, Kind, Setting};
use super::origin::Origin;
use crate::failure::{Failure, FailureKind};

/// Makes a failure of a parser's error. `origin` tells where the value of a setting is from.
pub(super) fn failure(
    error: &clap::Error,
    catalog: &Catalog,
    origin: impl Fn(&Setting) -> Origin,
) -> Failure {
    let given = |kind| text(error.get(kind));
    let named = given(ContextKind::InvalidArg);
    let setting = named.as_deref().and_then(|arg| setting(arg, catalog));
    let invalid = |message: String| Failure::new(FailureKind::InvalidParameter, message);
    let mut failure = match (error.kind(), named.as_deref(), setting) {
        (ErrorKind::UnknownArgument, Some(arg), _) if arg.starts_with('-') => {
            invalid(format!("unknown flag `{arg}`"))
        }
        (ErrorKind::UnknownArgument, Some(arg), _) => {
            invalid(format!("unexpected argument `{arg}`"))
        }
        (ErrorKind::InvalidSubcommand, _, _) => invalid(format!(
            "unknown verb `{}`",
            given(ContextKind::InvalidSubcommand).unwrap_or_default()
        )),
        (ErrorKind::InvalidValue | ErrorKind::ValueValidation, _, Some(setting)) => {
            let value = given(ContextKind::InvalidValue).unwrap_or_default();
            wrong_value(setting, &origin(setting), &value, error)
        }
        (ErrorKind::InvalidValue, Some(arg), None) => invalid(format!(
            "`{}` is not possible for {arg}",
            given(ContextKind::InvalidValue).unwrap_or_default()
        )),
        (ErrorKind::TooManyValues, Some(arg), _) => invalid(format!("`{arg}` takes no value")),
        (ErrorKind::ArgumentConflict, Some(arg), _) => {
            let prior = given(ContextKind::PriorArg).filter(|prior| prior != arg);
            match prior {
                Some(prior) => invalid(format!("`{arg}` cannot be used together with `{prior}`")),
                None => invalid(format!("`{arg}` is given twice")),
            }
        }
        (ErrorKind::InvalidUtf8, _, _) => invalid("an argument is not UTF-8 text".to_owned()),
        (ErrorKind::MissingRequiredArgument, Some(arg), _) => invalid(format!("{arg} is missing")),
        _ => {
            let message = error.to_string();
            let line = message.lines().next().unwrap_or_default();
            invalid(line.trim_start_matches("error: ").to_owned())
        }
    };
    let suggested = given(ContextKind::SuggestedArg)
        .or_else(|| given(ContextKind::SuggestedSubcommand))
        .or_else(|| given(ContextKind::SuggestedValue));
    if let Some(suggested) = suggested {
        failure = failure.hint(format!("did you mean `{suggested}`?"));
    }
    if let Some(values) = given(ContextKind::ValidValue) {
        failure = failure.hint(format!("possible values: {values}"));
    }
    if matches!(
        error.kind(),
        ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand
    ) {
        let program = catalog.command().get_name();
        failure = failure.hint(format!("`{program} --help` lists verbs and flags"));
    }
    failure
}

/// Says that a setting does not take a value, and never which one when that is a secret.
pub(super) fn wrong_value(
    setting: &Setting,
    origin: &Origin,
    value: &str,
    cause: &(dyn std::error::Error + 'static),
) -> Failure {
    let flag = &setting.flag;
    let invalid = |message: String| Failure::new(FailureKind::InvalidParameter, message);
    if value.is_empty() {
        return invalid(format!("`{flag}` needs a value: {origin}"))
            .hint(format!("give `{flag}` by {}", setting.ways()));
    }
    if setting.kind == Kind::Secret || matches!(origin, Origin::SecretFile { .. }) {
        return invalid(format!("the value of `{flag}` is not possible: {origin}"));
    }
    let failure = invalid(format!("`{value}` is not possible for `{flag}`: {origin}"));
    match cause.source() {
        Some(reason) => failure.because(reworded(&reason.to_string())),
        None => failure,
    }
}

/// Says what the standard library says about numbers in the words of a user.
fn reworded(reason: &str) -> String {
    match reason {
        "invalid digit found in string" => "expected a whole number".to_owned(),
        "invalid float literal" => "expected a number".to_owned(),
        reason => reason.to_owned(),
    }
}

fn setting<'c>(arg: &str, catalog: &'c Catalog) -> Option<&'c Setting> {
    let end = arg.find([' ', '=', '[']).unwrap_or(arg.len());
    catalog.setting(arg.get(..end)?.strip_prefix("--")?)
}

fn text(value: Option<&ContextValue>) -> Option<String> {
    let text = match value? {
        ContextValue::String(text) => text.clone(),
        ContextValue::Strings(texts) => texts.join(", "),
        ContextValue::StyledStr(text) => text.to_string(),
        _ => return None,
    };
    (!text.is_empty()).then_some(text)
}
