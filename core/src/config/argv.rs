//! The command line as existing deployments write it, made into the usual form.

use std::ffi::{OsStr, OsString};

use super::catalog::{Catalog, Kind};
use crate::secret::Secret;

/// Gives the command line with single dashes before long flags doubled, and values that begin
/// with a dash tied to their flag. Puts the values of secrets into `secrets`, so that even an
/// error about the command line can be cleaned of them.
pub(super) fn usual_form(
    argv: Vec<OsString>,
    catalog: &Catalog,
    secrets: &mut Vec<Secret>,
) -> Vec<OsString> {
    let mut usual = Vec::with_capacity(argv.len());
    let mut words = argv.into_iter().peekable();
    usual.extend(words.next());
    while let Some(word) = words.next() {
        if word == "--" {
            usual.push(word);
            usual.extend(words);
            break;
        }
        let Some((flag, value)) = long_flag(&word, catalog) else {
            usual.push(word);
            continue;
        };
        let setting = catalog.setting(flag);
        let takes_value = setting.is_some_and(|setting| setting.kind != Kind::Switch);
        let flag = format!("--{flag}");
        let is_secret = setting.is_some_and(|setting| setting.kind == Kind::Secret);
        let mut keep = |value: &OsStr| {
            if is_secret {
                secrets.push(Secret::from(value.to_string_lossy().into_owned()));
            }
        };
        if let Some(value) = value {
            keep(OsStr::new(value));
            usual.push(joined(&flag, OsStr::new(value)));
            continue;
        }
        if !takes_value {
            usual.push(flag.into());
            continue;
        }
        let prints_version = flag == "--version"
            && words.peek().is_none_or(|next| {
                dashed(next) || next.to_str().is_some_and(|next| catalog.is_verb(next))
            });
        match words.peek() {
            _ if prints_version => usual.push("--version=".into()),
            Some(next) if dashed(next) && !is_flag(next, catalog) => {
                keep(next);
                usual.push(joined(&flag, next));
                words.next();
            }
            Some(next) if !dashed(next) => {
                keep(next);
                usual.push(flag.into());
                usual.extend(words.next());
            }
            Some(_) | None => usual.push(flag.into()),
        }
    }
    usual
}

/// Reads `--flag`, `-flag`, `--flag=value` or `-flag=value` of a known long flag.
fn long_flag<'w>(word: &'w OsStr, catalog: &Catalog) -> Option<(&'w str, Option<&'w str>)> {
    let word = word.to_str()?;
    let name = word.strip_prefix("--").or_else(|| word.strip_prefix('-'))?;
    let (name, value) = match name.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (name, None),
    };
    let known = name == "help" || name == "health-check" || catalog.setting(name).is_some();
    (known && name.len() > 1).then_some((name, value))
}

fn is_flag(word: &OsStr, catalog: &Catalog) -> bool {
    let short = |word: &str| {
        let mut letters = word.strip_prefix('-').into_iter().flat_map(str::chars);
        let first = letters.next();
        letters.next().is_none()
            && catalog
                .command()
                .get_arguments()
                .any(|arg| arg.get_short() == first)
    };
    long_flag(word, catalog).is_some() || word.to_str().is_some_and(short)
}

fn dashed(word: &OsStr) -> bool {
    word.as_encoded_bytes().starts_with(b"-") && word.len() > 1
}

pub(super) fn joined(flag: &str, value: &OsStr) -> OsString {
    let mut word = OsString::from(flag);
    word.push("=");
    word.push(value);
    word
}

#[cfg(test)]
mod tests {
    use clap::{Args, Command};
    use schemars::JsonSchema;

    use super::*;

    #[derive(Debug, Args, JsonSchema)]
    struct Own {
        /// Address
        #[arg(long)]
        server: String,
        /// Pass phrase
        #[arg(long)]
        password: Secret,
    }

    fn usual(line: &str) -> (String, Vec<Secret>) {
        let catalog = Catalog::new::<Own>(Command::new("x").subcommand(Command::new("import")));
        let mut secrets = Vec::new();
        let argv = line.split(' ').map(OsString::from).collect();
        let words = usual_form(argv, &catalog, &mut secrets);
        let words: Vec<String> = words
            .into_iter()
            .map(|word| word.into_string().unwrap())
            .collect();
        (words.join(" "), secrets)
    }

    #[test]
    fn single_dashes_are_doubled() {
        for (line, expected) in [
            ("x -server a -full import", "x --server a --full import"),
            (
                "x -car-service-url=http://h -d",
                "x --car-service-url=http://h -d",
            ),
            ("x -connection-test", "x --connection-test"),
            ("x -- -server a", "x -- -server a"),
            ("x -serve a", "x -serve a"),
            ("x --server -full", "x --server --full"),
        ] {
            assert_eq!(usual(line).0, expected);
        }
    }

    #[test]
    fn values_with_a_dash_stay_with_their_flag() {
        let (line, secrets) = usual("x --password -hush --server a");
        assert_eq!(line, "x --password=-hush --server a");
        assert_eq!(secrets, [Secret::from("-hush")]);
        assert_eq!(usual("x --password=a=b").1, [Secret::from("a=b")]);
    }

    #[test]
    fn version_without_a_value_does_not_take_the_verb() {
        assert_eq!(usual("x --version import").0, "x --version= import");
        assert_eq!(usual("x --version").0, "x --version=");
        assert_eq!(usual("x --version 1.2 import").0, "x --version 1.2 import");
    }
}
